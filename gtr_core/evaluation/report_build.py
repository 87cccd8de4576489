"""From a report folder to its tables and its page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from gtr_core.errors import GtrError
from gtr_core.evaluation.pictures import ERROR_SCALE, error_colors
from gtr_core.evaluation.report_figures import COLUMNS, SIZES, Column
from gtr_core.evaluation.report_html import Assets, add_three, html_page
from gtr_core.evaluation.report_meshes import pack_mesh
from gtr_core.evaluation.report_pictures import pack_picture
from gtr_core.evaluation.report_protocol import describe_protocol
from gtr_core.evaluation.report_results import Results, read_results
from gtr_core.evaluation.report_summary import Summary, summarize
from gtr_core.evaluation.rows import SHOWN_VIEWS, ReportFolder
from gtr_core.evaluation.scores import Row
from gtr_core.evaluation.tables import (
    objects_text,
    report_json,
    report_markdown,
    rows_csv,
    summary_csv,
)
from gtr_core.io.mesh_files import read_mesh
from gtr_core.progress import Progress, no_progress

PAGE = "report.html"


def build_report(folder: Path, progress: Progress = no_progress) -> Path:
    """Write ``table.md``, ``table.csv``, ``rows.csv``, ``report.json`` and the page ``report.html``.

    Only what lies in the folder counts, so a report can be built at any time, also of a run that is not finished, and
    the same folder gives the same bytes.

    Args:
        folder: of the report.
        progress: stage ``report``, once per object.

    Returns:
        The page.

    Raises:
        GtrError: ``bad_input`` when the folder holds no report or cannot be written, ``disk_full``.
    """
    report = ReportFolder(folder)
    results = read_results(report)
    summary = summarize(results)
    texts = {
        "table.md": report_markdown(results, summary),
        "table.csv": summary_csv(summary),
        "rows.csv": rows_csv(results),
        "report.json": report_json(results, summary),
        PAGE: _page(results, summary, progress),
    }
    for name, text in texts.items():
        report.write(folder / name, text.encode())
    return folder / PAGE


def _page(results: Results, summary: Summary, progress: Progress) -> str:
    assets = Assets()
    header = results.header
    data: dict[str, Any] = {
        "overview": _overview(results),
        "facts": [
            ["Device", header.device],
            ["Commit", header.commit],
            ["Started", _date(header.started)],
        ],
        "protocol": describe_protocol(header.protocol),
        "error": {"colors": _error_colors(), "largest": f"{1 / ERROR_SCALE:g}"},
        "views": sum(view < int(header.protocol.get("num_novel", 0)) for view in SHOWN_VIEWS),
        "columns": [_column(column) for column in COLUMNS],
        "sizes": [_column(column) for column in SIZES if column.key == "faces"],
        "methods": [method.title for method in results.methods],
        "summary": _summary(summary),
        "failed": len(results.failed),
        "pending": results.pending,
        "objects": [],
        "rows": [],
        "three": add_three(assets),
    }
    for number, name in enumerate(header.objects):
        progress("report", number, len(header.objects))
        data["objects"].append(_object(results.folder, name, assets))
        for index in range(len(results.methods)):
            if (name, index) in results.rows:
                row = results.rows[name, index]
                data["rows"].append({"object": number, "method": index, **_row(results.folder, row, assets)})
    progress("report", len(header.objects), len(header.objects))
    return html_page(f"Evaluation of {', '.join(entry.title for entry in header.systems)}", data, assets)


def _overview(results: Results) -> str:
    done = len(results.rows)
    total = done + results.pending
    objects, methods = len(results.header.objects), len(results.methods)
    parts = [f"{objects} object{'s' * (objects != 1)}", f"{methods} method{'s' * (methods != 1)}"]
    if results.pending:
        parts.append(f"{done} of {total} rows run so far")
    if results.failed:
        parts.append(f"{len(results.failed)} of {done} rows failed" if done > 1 else "the one row failed")
    return ", ".join(parts)


def _error_colors() -> list[str]:
    """The colours of the error pictures from none to the largest."""
    errors = torch.linspace(0, 1 / ERROR_SCALE, 9)[:, None].expand(-1, 3)
    levels = (error_colors(errors, torch.zeros_like(errors)) * 255).round().int().tolist()
    return [f"rgb({red} {green} {blue})" for red, green, blue in levels]


def _date(text: str) -> str:
    """A day and time for people; a text that is none stays as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return text


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "title": column.title,
        # An arrow stays beside its word, and a letter is no line.
        "heading": column.heading.replace(" ↑", "\N{NO-BREAK SPACE}↑")
        .replace(" ↓", "\N{NO-BREAK SPACE}↓")
        .replace("F-", "F\N{NON-BREAKING HYPHEN}"),
        "better": column.better,
        "decimals": column.decimals,
        "hint": column.hint,
        "paper": column.paper,
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "lines": [
            {
                "cells": [
                    {"text": cell.text, "best": cell.best, "mark": cell.mark}
                    for cell in (line.cells[column.key] for column in COLUMNS)
                ],
                "means": {key: cell.value for key, cell in line.cells.items()},
                "objects": objects_text(line),
            }
            for line in summary.lines
        ],
        "notes": summary.notes,
        "footnotes": [[mark, f"{text}."] for mark, text in summary.footnotes.items()],
    }


def _object(folder: ReportFolder, name: str, assets: Assets) -> dict[str, Any]:
    return {
        "name": name,
        "truth": _picture(folder.truth_picture(name), 2, assets),
        "inputs": _picture(folder.inputs_picture(name), 1, assets),
        "mesh": _mesh(folder.truth_mesh(name), assets),
    }


def _row(folder: ReportFolder, row: Row, assets: Assets) -> dict[str, Any]:
    shown = row.status == "ok"
    place = (row.object, row.system, row.variant)
    return {
        "status": row.status,
        "reason": row.reason,
        "figures": {column.key: column.value(row) for column in (*COLUMNS, *SIZES)},
        "missing": row.missing,
        "notes": row.notes,
        "picture": _picture(folder.result_picture(*place), 3, assets) if shown else [],
        "mesh": _mesh(folder.result_mesh(*place), assets) if shown else None,
    }


def _picture(path: Path, rows: int, assets: Assets) -> list[int]:
    return [assets.add(content) for content in pack_picture(path, rows)]


def _mesh(path: Path, assets: Assets) -> int | None:
    """A mesh that is not there, or whose file is damaged, is left out."""
    if not path.is_file():
        return None
    try:
        return assets.add(pack_mesh(read_mesh(path)))
    except GtrError:
        return None
