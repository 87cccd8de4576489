"""The tables of a report: means over common objects, reasons for what is missing, and nothing lost on the way."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from gtr_core.errors import GtrError
from gtr_core.evaluation.report_results import read_results
from gtr_core.evaluation.report_summary import Summary, summarize
from gtr_core.evaluation.rows import ReportFolder, ReportHeader, SystemEntry
from gtr_core.evaluation.scores import Row
from gtr_core.evaluation.tables import (
    report_json,
    report_markdown,
    rows_csv,
    summary_csv,
    summary_markdown,
    summary_text,
)

OBJECTS = ("apple", "bowl", "cup")
SYSTEMS = (
    SystemEntry("fit", "{}", "Fit", ("", "+20 steps")),
    SystemEntry("other", "{}", "Other | <b>", ("",)),
)


def row(name: str, system: str = "fit", variant: str = "", **values) -> Row:
    return Row(name, system, variant, **values)


def results_of(folder: Path, rows: list[Row], objects=OBJECTS, systems=SYSTEMS):
    report = ReportFolder(folder)
    report.write_header(
        ReportHeader({"num_novel": 20}, "d" * 16, "c0ffee", "CPU", "2026-01-01T00:00:00+00:00", objects, systems)
    )
    pairs = {(entry.object, entry.system) for entry in rows}
    for name, system in pairs:
        report.write_rows([entry for entry in rows if (entry.object, entry.system) == (name, system)])
    return read_results(report)


def cell(summary: Summary, line: int, key: str) -> str:
    found = summary.lines[line].cells[key]
    return ("*" if found.best else "") + found.text + (f" {summary.footnotes[found.mark]}" if found.mark else "")


@pytest.fixture
def full(tmp_path):
    """Three objects, three methods, whose last one fails on the cup."""
    rows = [
        row(name, system, variant, psnr=20.0 + at + 2 * bool(variant) - 3 * (system == "other"), cd=1.0, seconds=2.0)
        for at, name in enumerate(OBJECTS)
        for system, variant in (("fit", ""), ("fit", "+20 steps"), ("other", ""))
        if (name, system) != ("cup", "other")
    ]
    return results_of(tmp_path, [*rows, row("cup", "other", status="failed", reason="There is no file cup.glb.")])


def test_means_are_over_the_objects_that_every_method_has(full) -> None:
    summary = summarize(full)
    assert summary.compared == ("apple", "bowl")
    assert [line.cells["psnr"].value for line in summary.lines] == [20.5, 22.5, 17.5]
    assert summary.notes == ("Means over 2 of 3 objects: those that have a result in every row.",)
    assert [(line.ok, line.failed, line.pending) for line in summary.lines] == [(3, 0, 0), (3, 0, 0), (2, 1, 0)]


def test_best_figures_by_direction_and_ties_together(full) -> None:
    summary = summarize(full)
    assert [cell(summary, k, "psnr") for k in range(3)] == ["20.50", "*22.50", "17.50"]
    assert [cell(summary, k, "cd") for k in range(3)] == ["*1.0000"] * 3
    assert [cell(summary, k, "seconds") for k in range(3)] == ["2.0"] * 3


def test_a_missing_figure_says_why(tmp_path) -> None:
    rows = [row(name, psnr=20.0, missing={"lpips": "no weights"}) for name in OBJECTS[:2]]
    rows += [row("cup", psnr=20.0, missing={"lpips": "the pictures are too small."})]
    summary = summarize(results_of(tmp_path, rows, systems=(SystemEntry("fit", "{}", "Fit", ("",)),)))
    assert cell(summary, 0, "lpips") == "– No weights (2), the pictures are too small (1)"
    assert cell(summary, 0, "ssim") == "– Not measured"
    assert cell(summary, 0, "psnr") == "20.00"


def test_a_figure_that_some_objects_lack_is_averaged_over_the_others(tmp_path) -> None:
    why = {"iou": "the true mesh is not watertight"}
    rows = [
        row(name, system, variant, psnr=20.0, iou=None if name == "bowl" else 0.5 + at, missing=why)
        for at, name in enumerate(OBJECTS)
        for system, variant in (("fit", ""), ("fit", "+20 steps"), ("other", ""))
    ]
    summary = summarize(results_of(tmp_path, rows))
    assert summary.counts["iou"] == 2
    assert summary.lines[0].cells["iou"].value == pytest.approx((0.5 + 2.5) / 2)
    expected = "IoU: mean over 2 of 3 objects; not on the others because: the true mesh is not watertight (1 object)."
    assert summary.notes == ("Means over all 3 objects.", expected)


def test_a_method_that_never_works_does_not_empty_the_table(tmp_path) -> None:
    rows = [row(name, variant=variant, psnr=20.0) for name in OBJECTS for variant in ("", "+20 steps")]
    rows += [row(name, "other", status="failed", reason="No mesh.") for name in OBJECTS]
    summary = summarize(results_of(tmp_path, rows))
    assert summary.compared == OBJECTS
    assert cell(summary, 2, "psnr") == "– No object has a result"


def test_methods_without_a_common_object_have_no_means(tmp_path) -> None:
    rows = [row("apple", psnr=20.0), row("apple", variant="+20 steps", psnr=20.0), row("bowl", "other", psnr=20.0)]
    rows += [row("apple", "other", status="failed", reason="No mesh.")]
    summary = summarize(results_of(tmp_path, rows))
    assert summary.notes == ("No means: none of the 3 objects has a result in every row.",)
    assert cell(summary, 0, "psnr") == "– There is no object for which every row has a result"


def test_a_run_that_has_not_begun(tmp_path) -> None:
    results = results_of(tmp_path, [])
    summary = summarize(results)
    assert results.pending == 9
    assert summary.notes == ("Nothing has been run yet.",)
    assert cell(summary, 0, "psnr") == "– Not run yet"
    assert "| Fit | –<sup>a</sup> |" in report_markdown(results, summary)


def test_variants_after_a_failure_have_failed_for_its_reason(tmp_path) -> None:
    results = results_of(tmp_path, [row("apple", status="failed", reason="The masks are empty.")])
    assert [(method.title, found.reason) for method, found in results.failed] == [
        ("Fit", "The masks are empty."),
        ("Fit +20 steps", "The masks are empty."),
    ]
    assert results.pending == 7


def test_a_variant_that_did_not_come_says_so(tmp_path) -> None:
    results = results_of(tmp_path, [row("apple", psnr=20.0)])
    assert [found.reason for _, found in results.failed] == ["The system ended without this result."]


def test_markdown_table_has_the_papers_columns_and_any_name_stays_in_its_cell(full) -> None:
    text = summary_markdown(summarize(full))
    head, rule, *body = [line for line in text.splitlines() if line.startswith("|")]
    names = [name.strip() for name in head.strip("|").split("|")]
    assert names[:6] == ["Method", "PSNR ↑", "SSIM ↑", "LPIPS ↓", "CD ↓", "IoU ↑"]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, *body)} == {len(names) + 1}
    assert body[2].startswith("| Other \\| &lt;b&gt; | 17.50 |")
    assert "| **22.50** |" in body[1]
    assert body[2].endswith("| 2 (1 failed) |")


def test_the_report_lists_failures(full) -> None:
    text = report_markdown(full, summarize(full))
    assert "- cup, Other \\| &lt;b&gt;: There is no file cup.glb." in text.splitlines()
    assert text.count("\n| cup |") == 3


def test_the_terminal_shows_aligned_columns(full) -> None:
    head, rule, *rows = summary_text(summarize(full)).splitlines()[:5]
    ends = [found.end() for found in re.finditer("-+", rule)]
    assert {len(line) for line in (head, *rows)} == {len(rule)}
    assert [row[: ends[0]].strip() for row in rows] == ["Fit", "Fit +20 steps", "Other | <b>"]
    assert [row[ends[0] : ends[1]].strip() for row in (head, *rows)] == ["PSNR ↑", "20.50", "22.50*", "17.50"]
    assert summary_text(summarize(full)).splitlines()[-2:] == [
        "Means over 2 of 3 objects: those that have a result in every row.",
        "a: Not measured.",
    ]


def test_csv_holds_every_figure_exactly(full) -> None:
    rows = list(csv.DictReader(io.StringIO(rows_csv(full))))
    assert len(rows) == 9
    for entry in rows:
        there = full.rows[entry["object"], {"": 0, "+20 steps": 1}[entry["variant"]] if entry["system"] == "fit" else 2]
        assert entry["psnr"] == ("" if there.psnr is None else repr(there.psnr))
        assert (entry["status"], entry["reason"]) == (there.status, there.reason)
    means = list(csv.DictReader(io.StringIO(summary_csv(summarize(full)))))
    assert [(entry["title"], float(entry["psnr"]), entry["failed"]) for entry in means] == [
        ("Fit", 20.5, "0"),
        ("Fit +20 steps", 22.5, "0"),
        ("Other | <b>", 17.5, "1"),
    ]


def test_json_holds_header_means_and_rows(full) -> None:
    values = json.loads(report_json(full, summarize(full)))
    assert values["header"]["commit"] == "c0ffee"
    assert values["compared_objects"] == ["apple", "bowl"]
    assert values["summary"][2]["means"]["psnr"] == 17.5
    assert values["summary"][2]["missing"]["lpips"] == "Not measured"
    assert [Row.from_dict(entry) for entry in values["rows"]] == [
        full.rows[name, index] for name in OBJECTS for index in range(3)
    ]


def test_a_folder_without_a_report_is_refused(tmp_path) -> None:
    with pytest.raises(GtrError, match="holds no report"):
        read_results(ReportFolder(tmp_path))
