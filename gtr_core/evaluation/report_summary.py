"""Means over the objects, one line per method, as the paper's Tables 1 and 2 have them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from string import ascii_lowercase

from gtr_core.evaluation.report_figures import COLUMNS, Column
from gtr_core.evaluation.report_results import Method, Results
from gtr_core.evaluation.scores import Row


@dataclass(frozen=True)
class Cell:
    """One mean.

    Args:
        value: None when there is none.
        text: as the tables show it.
        best: whether no other method has a better one (to the shown digits).
        mark: letter of the footnote that says why there is none; empty with a value.
    """

    value: float | None
    text: str
    best: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Line:
    """The means of a method; ``cells`` by key of the column; ``ok``, ``failed``, ``pending`` count objects."""

    method: Method
    cells: dict[str, Cell]
    ok: int
    failed: int
    pending: int


@dataclass(frozen=True)
class Summary:
    """The table of means.

    Args:
        lines: one per method.
        compared: the objects that every compared method has a result for.
        counts: number of objects behind the means of a column, by key.
        notes: sentences below the table on what the means are over.
        footnotes: text by letter.
    """

    lines: tuple[Line, ...]
    compared: tuple[str, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]
    footnotes: dict[str, str]


def summarize(results: Results) -> Summary:
    """Means over the objects that every method has, so that no method gains by failing on the hard ones.

    A method without any result, and a figure that a method never has, are left out of the comparison.
    """
    compared = _compared_objects(results)
    counts: dict[str, int] = {}
    notes = [_compared_sentence(results, compared)]
    cells: list[dict[str, Cell]] = [{} for _ in results.methods]
    reasons: dict[str, str] = {}
    for column in COLUMNS:
        names = _objects_with(results, column, compared)
        counts[column.key] = len(names)
        if 0 < len(names) < len(compared):
            notes.append(_fewer_sentence(results, column, compared, names))
        for index, cell in enumerate(_column_cells(results, column, compared, names, reasons)):
            cells[index][column.key] = cell
    lines = [_line(results, index, cells[index]) for index in range(len(results.methods))]
    footnotes = {mark: f"{reason[:1].upper()}{reason[1:]}" for reason, mark in reasons.items()}
    return Summary(tuple(lines), compared, counts, tuple(notes), footnotes)


def _compared_objects(results: Results) -> tuple[str, ...]:
    running = {index for _, index in results.ok}
    names = results.header.objects
    return tuple(name for name in names if running and all((name, index) in results.ok for index in running))


def _objects_with(results: Results, column: Column, compared: tuple[str, ...]) -> tuple[str, ...]:
    """The compared objects on which every method has this figure that has it anywhere."""
    has = {key for key, row in results.ok.items() if key[0] in compared and column.value(row) is not None}
    methods = {index for _, index in has}
    return tuple(name for name in compared if methods and all((name, index) in has for index in methods))


def _column_cells(
    results: Results, column: Column, compared: tuple[str, ...], names: tuple[str, ...], marks: dict[str, str]
) -> list[Cell]:
    values: list[float | None] = []
    for index in range(len(results.methods)):
        figures = [column.value(results.ok[name, index]) for name in names if (name, index) in results.ok]
        known = [figure for figure in figures if figure is not None]
        values.append(sum(known) / len(known) if known and len(known) == len(names) else None)
    best = _best_text(column, values)
    cells = []
    for index, value in enumerate(values):
        text = column.text(value)
        if value is None:
            reason = _reason(results, index, column, compared)
            cells.append(Cell(None, text, mark=marks.setdefault(reason, _letter(len(marks)))))
        else:
            cells.append(Cell(value, text, best=text == best))
    return cells


def _best_text(column: Column, values: list[float | None]) -> str:
    """The best figure as shown; empty when there is nothing to compare."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or not column.better:
        return ""
    return column.text(max(known) if column.better == "up" else min(known))


def _reason(results: Results, index: int, column: Column, compared: tuple[str, ...]) -> str:
    """Why a method has no mean of a figure."""
    rows = [row for (_, method), row in results.ok.items() if method == index]
    if not rows:
        failed = any(method == index for _, method in results.rows)
        return "no object has a result" if failed else "not run yet"
    if not compared:
        return "there is no object for which every row has a result"
    said = Counter(_missing(row, column) for row in rows if column.value(row) is None)
    if not said:
        return f"no object has {column.title} in every row"
    if len(said) == 1:
        return next(iter(said))
    return ", ".join(f"{reason} ({count})" for reason, count in sorted(said.items(), key=lambda item: -item[1]))


def _missing(row: Row, column: Column) -> str:
    return row.missing.get(column.key, "not measured").rstrip(".")


def _compared_sentence(results: Results, compared: tuple[str, ...]) -> str:
    total = len(results.header.objects)
    if not results.rows:
        return "Nothing has been run yet."
    if not compared:
        return f"No means: none of the {_objects(total)} has a result in every row."
    if len(compared) == total:
        return "Means over the one object." if total == 1 else f"Means over all {total} objects."
    verb = "has" if len(compared) == 1 else "have"
    return f"Means over {len(compared)} of {_objects(total)}: those that {verb} a result in every row."


def _fewer_sentence(results: Results, column: Column, compared: tuple[str, ...], names: tuple[str, ...]) -> str:
    said: dict[str, set[str]] = {}
    for (name, _), row in results.ok.items():
        if name in compared and name not in names and column.key in row.missing:
            said.setdefault(_missing(row, column), set()).add(name)
    ordered = sorted(said.items(), key=lambda item: (-len(item[1]), item[0]))
    why = "; ".join(f"{reason} ({_objects(len(at))})" for reason, at in ordered)
    text = f"{column.title}: mean over {len(names)} of {_objects(len(results.header.objects))}"
    return f"{text}; not on the others because: {why}." if why else f"{text}."


def _line(results: Results, index: int, cells: dict[str, Cell]) -> Line:
    there = [row for (_, method), row in results.rows.items() if method == index]
    ok = sum(row.status == "ok" for row in there)
    pending = len(results.header.objects) - len(there)
    return Line(results.methods[index], cells, ok, len(there) - ok, pending)


def _objects(count: int) -> str:
    return f"{count} object" if count == 1 else f"{count} objects"


def _letter(index: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    high, low = divmod(index, len(ascii_lowercase))
    return (_letter(high - 1) if high else "") + ascii_lowercase[low]
