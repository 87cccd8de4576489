"""The tables of a report as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import asdict, fields
from typing import Any

from gtr_core.evaluation.report_figures import COLUMNS, SIZES
from gtr_core.evaluation.report_results import Results
from gtr_core.evaluation.report_summary import Cell, Line, Summary
from gtr_core.evaluation.scores import Row

_NOT_IN_CSV = ("notes", "missing")


def summary_markdown(summary: Summary) -> str:
    """The table of means in the paper's form, best figures bold, with its footnotes."""
    heads = ["Method", *(column.heading for column in COLUMNS), "Objects"]
    rows = [
        [_plain(line.method.title), *(_cell(line.cells[column.key]) for column in COLUMNS), objects_text(line)]
        for line in summary.lines
    ]
    marks = [f"<sup>{mark}</sup> {_plain(text)}." for mark, text in summary.footnotes.items()]
    below = [_plain(note) for note in summary.notes] + marks
    return _table(heads, rows) + "\n" + "  \n".join(below) + "\n"


def summary_text(summary: Summary) -> str:
    """The table of means for a terminal: aligned columns, best figures with a star, footnotes below."""
    heads = ["Method", *(column.heading for column in COLUMNS), "Objects"]
    rows = [
        [line.method.title, *(_terminal_cell(line.cells[column.key]) for column in COLUMNS), objects_text(line)]
        for line in summary.lines
    ]
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    aligned = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in [heads, ["-" * width for width in widths], *rows]
    ]
    marks = [f"{mark}: {text}." for mark, text in summary.footnotes.items()]
    return "\n".join([*aligned, "", *summary.notes, *marks]) + "\n"


def report_markdown(results: Results, summary: Summary) -> str:
    """The whole report as text: means, every row, failures with their reasons."""
    header = results.header
    parts = [
        "# Evaluation",
        f"{len(header.objects)} objects, {len(results.methods)} methods; {header.device}; commit {header.commit}; "
        f"started {header.started}; protocol {header.protocol_digest}.",
        summary_markdown(summary),
        "## Every object",
        _rows_table(results),
        "## Failures",
        _failures(results),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def summary_csv(summary: Summary) -> str:
    """The means in full precision, one line per method; empty fields are missing figures."""
    heads = ["system", "variant", "title", *(column.key for column in COLUMNS), "ok", "failed", "pending"]
    lines: list[list[Any]] = [
        [
            *(line.method.system, line.method.variant, line.method.title),
            *(line.cells[column.key].value for column in COLUMNS),
            *(line.ok, line.failed, line.pending),
        ]
        for line in summary.lines
    ]
    return _csv(heads, lines)


def rows_csv(results: Results) -> str:
    """Every row with every figure, one line per object and method."""
    names = [field.name for field in fields(Row) if field.name not in _NOT_IN_CSV]
    return _csv(names, [[getattr(row, name) for name in names] for _, row in _ordered(results)])


def report_json(results: Results, summary: Summary) -> str:
    """Header, means and rows with everything that is known."""
    means = [
        {
            **asdict(line.method),
            "means": {key: cell.value for key, cell in line.cells.items()},
            "missing": {key: summary.footnotes[cell.mark] for key, cell in line.cells.items() if cell.mark},
            "objects": {"ok": line.ok, "failed": line.failed, "pending": line.pending},
        }
        for line in summary.lines
    ]
    values = {
        "header": asdict(results.header),
        "compared_objects": summary.compared,
        "objects_behind_means": summary.counts,
        "notes": summary.notes,
        "summary": means,
        "rows": [row.to_dict() for _, row in _ordered(results)],
    }
    return json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def objects_text(line: Line) -> str:
    """How many objects have a result: ``46``, ``44 (2 failed)``, ``3 (1 failed, 42 to run)``."""
    rest = [f"{count} {word}" for count, word in ((line.failed, "failed"), (line.pending, "to run")) if count]
    return f"{line.ok} ({', '.join(rest)})" if rest else str(line.ok)


def _rows_table(results: Results) -> str:
    columns = (*COLUMNS, *SIZES)
    rows = [
        [
            *(_plain(row.object), _plain(results.methods[index].title)),
            *(column.text(column.value(row)) for column in columns),
            "" if row.status == "ok" else "failed",
        ]
        for index, row in _ordered(results)
    ]
    heads = ["Object", "Method", *(column.heading for column in columns), "Status"]
    return _table(heads, rows, left=2) if rows else "No rows yet."


def _failures(results: Results) -> str:
    lines = [f"- {_plain(row.object)}, {_plain(method.title)}: {_plain(row.reason)}" for method, row in results.failed]
    return "\n".join(lines) if lines else "None."


def _ordered(results: Results) -> list[tuple[int, Row]]:
    """The rows object by object with the index of their method."""
    return [
        (index, results.rows[name, index])
        for name in results.header.objects
        for index in range(len(results.methods))
        if (name, index) in results.rows
    ]


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text}<sup>{cell.mark}</sup>" if cell.mark else text


def _terminal_cell(cell: Cell) -> str:
    """With a place on the right for a star or a mark, so that the points lie below each other."""
    return f"{cell.text}{'*' if cell.best else cell.mark or ' '}"


def _table(heads: list[str], rows: list[list[str]], left: int = 1) -> str:
    rules = [":--"] * left + ["--:"] * (len(heads) - left)
    return "".join(f"| {' | '.join(line)} |\n" for line in [heads, rules, *rows])


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: names and reasons may hold any sign."""
    escaped = re.sub(r"([\\`*_\[\]|~])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _csv(heads: list[str], lines: list[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    return text.getvalue()
