"""The page of a report in a real browser, as a person uses it: tables, filters, pictures."""

import csv
import io
import re

import pytest
from playwright.sync_api import expect
from report_sample import FAULT, HOSTILE, OBJECTS, write_sample

from gtr_core.evaluation.report_build import build_report

TITLES = ["Half the faces", "Half the faces +shrunk", "60 faces", "Never works"]
A_PICTURE = re.compile("^blob:")


def shown_rows(page) -> list[list[str]]:
    """Texts of the cells of the rows that are not filtered away."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#rows-table tbody tr:not([hidden])")]
            .map((row) => [...row.children].map((cell) => cell.textContent))"""
    )


def test_header_and_means(report_page) -> None:
    assert report_page.title() == "Evaluation of Half the faces, 60 faces, Never works"
    expect(report_page.locator("#overview")).to_have_text("4 objects, 4 methods, 5 of 16 rows failed")
    assert report_page.locator("#facts dd").all_inner_texts() == ["CPU", "0123abcd", "2026-01-02 03:04 UTC"]
    expect(report_page.locator("#summary-table tbody th")).to_have_text(TITLES)
    expect(report_page.locator("#summary-notes")).to_contain_text("Means over 3 of 4 objects")
    expect(report_page.locator("#summary-notes")).to_contain_text("No weights.")
    best = report_page.locator("#summary-table td.best").first
    expect(best).to_have_css("text-align", "right")
    expect(best).to_have_css("font-variant-numeric", "tabular-nums")
    report_page.get_by_text("How it was measured").click()
    expect(report_page.locator("#protocol dl")).to_contain_text("16000 per surface")


def test_a_hostile_name_is_text(report_page) -> None:
    assert report_page.evaluate("typeof window.pwned") == "undefined"
    expect(report_page.locator("#objects h3").first).to_have_text(HOSTILE)
    expect(report_page.locator("#rows-table tbody th").first).to_have_text(HOSTILE)
    expect(report_page.locator("#objects .message").first).to_have_text(f"Failed: {FAULT}")


def test_a_click_or_a_key_on_a_heading_sorts(report_page, report_folder) -> None:
    table = csv.DictReader(io.StringIO((report_folder / "rows.csv").read_text("utf-8")))
    known = sorted(float(row["psnr"]) for row in table if row["psnr"])
    head = report_page.locator("#rows-table th[data-key=psnr]")
    expect(head).to_have_attribute("aria-sort", "none")
    for act, direction, figures in (
        (lambda: head.get_by_role("button").click(), "descending", known[::-1]),
        (lambda: head.get_by_role("button").press("Enter"), "ascending", known),
    ):
        act()
        expect(head).to_have_attribute("aria-sort", direction)
        rows = shown_rows(report_page)
        assert [row[2] for row in rows[:11]] == [f"{figure:.2f}" for figure in figures]
        assert [row[2][:7] for row in rows[11:]] == ["Failed:"] * 5
    expect(report_page.locator("#rows-table th[aria-sort=none]")).to_have_count(12)


def test_every_column_sorts(report_page) -> None:
    for head in report_page.locator("#rows-table thead th").all():
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", re.compile("ending$"))
    faces = [int(row[-1]) for row in shown_rows(report_page) if not row[2].startswith("Failed")]
    assert faces == sorted(faces)


def test_filters_act_on_table_and_pictures(report_page) -> None:
    count = report_page.locator("#filter-count")
    report_page.locator("#filter-object").fill("  TOR")
    expect(count).to_have_text("4 of 16 rows")
    assert {row[0] for row in shown_rows(report_page)} == {"torus"}
    expect(report_page.locator(".object:not([hidden]) h3")).to_have_text("torus")
    report_page.locator("#filter-methods summary").click()
    report_page.get_by_role("checkbox", name="60 faces").uncheck()
    expect(count).to_have_text("3 of 16 rows")
    expect(report_page.locator("#filter-methods summary")).to_have_text("Methods: 3 of 4")
    expect(report_page.locator("#object-3 .line[data-method='2']")).to_be_hidden()
    report_page.get_by_role("button", name="None", exact=True).click()
    expect(report_page.get_by_text("No row matches.")).to_be_visible()
    report_page.get_by_role("button", name="All", exact=True).click()
    report_page.keyboard.press("Escape")
    expect(report_page.locator(".menu-list")).to_be_hidden()
    report_page.locator("#filter-object").fill("")
    report_page.get_by_label("Failures only").check()
    expect(count).to_have_text("5 of 16 rows")
    assert {row[1] for row in shown_rows(report_page)} == {"60 faces", "Never works"}


def test_pictures_come_when_they_are_near(report_page) -> None:
    images = report_page.locator("#objects img")
    assert images.count() == 4 * 3 + 11 * 3
    assert report_page.locator("#object-3 img[src]").count() == 0
    report_page.locator("#object-3").scroll_into_view_if_needed()
    for image in report_page.locator("#object-3 img").all():
        image.scroll_into_view_if_needed()
        expect(image).to_have_attribute("src", A_PICTURE)
        expect(image).to_have_js_property("naturalHeight", 64)
    report_page.get_by_role("button", name="1 view", exact=True).click()
    strip = report_page.locator("#object-3 .strip").first.bounding_box()
    assert strip["width"] == pytest.approx(strip["height"], abs=1)


def test_a_picture_enlarges_and_flips_to_the_truth_and_to_other_methods(report_page) -> None:
    report_page.get_by_role("button", name="Render, Half the faces, torus: enlarge").click()
    title, large = report_page.locator("#lightbox-title"), report_page.locator("#lightbox-stage img:not([hidden])")
    expect(title).to_have_text("torus: Half the faces")
    expect(large).to_have_count(3)
    own = large.first.get_attribute("src")
    report_page.keyboard.press("ArrowRight")
    expect(title).to_have_text("torus: Half the faces +shrunk")
    report_page.keyboard.press("ArrowLeft")
    report_page.keyboard.down(" ")
    expect(title).to_have_text("torus: Ground truth")
    expect(large).to_have_count(2)
    report_page.keyboard.up(" ")
    expect(title).to_have_text("torus: Half the faces")
    expect(large.first).to_have_attribute("src", own)
    report_page.keyboard.press("Escape")
    expect(report_page.locator("#lightbox")).to_be_hidden()
    report_page.get_by_role("button", name="Input views, torus: enlarge").click()
    expect(large).to_have_count(1)
    report_page.get_by_role("button", name="Close").click()
    expect(report_page.locator("#lightbox")).to_be_hidden()


def test_every_object_is_a_dot(report_page) -> None:
    dots = report_page.locator("#spread-plot circle")
    expect(dots).to_have_count(11)
    dots.first.dispatch_event("pointerover", {"bubbles": True})
    expect(report_page.locator("#spread-object")).to_have_text(HOSTILE)
    expect(report_page.locator("#spread-plot circle.marked")).to_have_count(3)
    report_page.locator("#spread-figure").select_option("iou")
    expect(dots).to_have_count(8)


@pytest.mark.parametrize(("done", "overview", "message"), [
    (OBJECTS[1:2], "4 objects, 4 methods, 4 of 16 rows run so far, 1 of 4 rows failed", "Means over 1 of 4 objects"),
    ((), "4 objects, 4 methods, 0 of 16 rows run so far", "Nothing has been run yet."),
])  # fmt: skip
def test_a_run_that_is_not_finished(open_report, tmp_path, done, overview, message) -> None:
    write_sample(tmp_path, done=done, size=32)
    build_report(tmp_path)
    page = open_report(tmp_path)
    expect(page.locator("#overview")).to_have_text(overview)
    expect(page.locator("#summary-notes")).to_contain_text(message)
    expect(page.locator("#filter-count")).to_contain_text(f"; {16 - 4 * len(done)} not run yet")
    expect(page.locator("#object-3 .message")).to_have_text(["Not run yet."] * 4)
    expect(page.locator("#object-3").get_by_role("button", name="Compare in 3D")).to_have_count(0)


@pytest.mark.parametrize(("scheme", "low", "high"), [("light", 200, 255), ("dark", 0, 50)])
def test_follows_the_color_scheme(open_report, report_folder, scheme, low, high) -> None:
    page = open_report(report_folder, color_scheme=scheme)
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert all(low <= int(part) <= high for part in re.findall(r"\d+", color))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
