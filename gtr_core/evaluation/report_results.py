"""All rows of a report in the order of its header, with the ones that are still to come."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.rows import ReportFolder, ReportHeader
from gtr_core.evaluation.scores import Row


@dataclass(frozen=True)
class Method:
    """One row of the paper's table: a system in one variant."""

    system: str
    variant: str
    title: str


@dataclass(frozen=True)
class Results:
    """What a report folder holds by now.

    Args:
        folder: where it lies.
        header: its objects and systems.
        methods: systems with their variants, in the order of the tables.
        rows: by object and index of the method; a pair that has not been run yet is not in it.
    """

    folder: ReportFolder
    header: ReportHeader
    methods: tuple[Method, ...]
    rows: dict[tuple[str, int], Row]

    @cached_property
    def ok(self) -> dict[tuple[str, int], Row]:
        """The rows that have a result."""
        return {key: row for key, row in self.rows.items() if row.status == "ok"}

    @cached_property
    def failed(self) -> list[tuple[Method, Row]]:
        """The rows without a result, object by object."""
        return [
            (self.methods[index], self.rows[name, index])
            for name in self.header.objects
            for index in range(len(self.methods))
            if (name, index) in self.rows and (name, index) not in self.ok
        ]

    @property
    def pending(self) -> int:
        """How many rows have not been run yet."""
        return len(self.header.objects) * len(self.methods) - len(self.rows)


def read_results(folder: ReportFolder) -> Results:
    """Read the rows of a report, also of one that is not finished.

    Raises:
        GtrError: ``bad_input`` when the folder holds no report or its header is damaged.
    """
    header = folder.header()
    if header is None:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"{folder.root} holds no report.", "Give the folder that gtr evaluate wrote to."
        )
    methods = tuple(
        Method(entry.name, variant, f"{entry.title} {variant}".strip())
        for entry in header.systems
        for variant in entry.variants
    )
    rows: dict[tuple[str, int], Row] = {}
    for name in header.objects:
        for entry in header.systems:
            there = {row.variant: row for row in folder.rows(name, entry.name)}
            for index, method in enumerate(methods):
                if method.system == entry.name and there:
                    rows[name, index] = there.get(method.variant) or _without_result(name, method, there)
    return Results(folder, header, methods, rows)


def _without_result(name: str, method: Method, there: dict[str, Row]) -> Row:
    """A system that fails may end before its later variants; they have failed for the same reason."""
    reasons = [row.reason for row in there.values() if row.status == "failed"]
    reason = reasons[0] if reasons else "The system ended without this result."
    return Row(name, method.system, method.variant, status="failed", reason=reason)
