"""The evaluation itself: what is left to do, given out to processes, and kept as it comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from gtr_core.data.objects import ObjectFile
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.pair import PairOutcome, PairSettings, PairTask, failed_rows
from gtr_core.evaluation.rows import ReportFolder, ReportHeader, SystemEntry
from gtr_core.evaluation.schedule import ATTEMPTS, Schedule
from gtr_core.evaluation.system import System
from gtr_core.io.atomic import making_folder
from gtr_core.parallel.executor import Event, Executor, Finished
from gtr_core.progress import Cancelled, Progress, no_progress

_BEAT = 0.2
"""Seconds between two looks at the processes and at whether to stop."""


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate.

    Args:
        report: folder of the report.
        objects: with distinct names.
        systems: with distinct names, in the order of the tables.
        settings: conventions and places.
        device: of this run, for people.
    """

    report: ReportFolder
    objects: Sequence[ObjectFile]
    systems: Sequence[System]
    settings: PairSettings
    device: str = ""


@dataclass
class Tally:
    """How a run went.

    Args:
        pairs: all of the run.
        done: pairs that are over by now, the kept ones among them.
        kept: pairs whose rows were there already.
        rows: new rows.
        failed: new rows without a result.
    """

    pairs: int
    done: int = 0
    kept: int = 0
    rows: int = 0
    failed: int = 0


def evaluate(
    evaluation: Evaluation, executor: Callable[[], Executor[PairTask, PairOutcome]], progress: Progress = no_progress
) -> Tally:
    """Run every pair of an object and a system whose rows are not there yet.

    A pair whose rows are there, without failure and with the same digests of object, system and conventions, is kept.
    What is done is kept at any time; stopping loses only what is under way.

    Args:
        evaluation: what to do.
        executor: makes where to do it; closed at the end, however that comes.
        progress: stage ``evaluate`` in pairs.

    Raises:
        GtrError: ``bad_input`` when the report was made by another protocol, is being written to by another run or
            cannot be written; ``disk_full``.
        Cancelled: when ``progress`` raises it, with what is kept in words.
    """
    report = evaluation.report
    making_folder(report.root)
    lock = FileLock(report.root / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"Another evaluation is writing to {report.root}.", "Wait for it or choose another."
        ) from error
    try:
        report.write_header(merged_header(evaluation, report.header()))
        return _Run(evaluation).go(executor, progress)
    finally:
        lock.release()


def merged_header(evaluation: Evaluation, old: ReportHeader | None) -> ReportHeader:
    """The header of the report with what this run adds.

    Raises:
        GtrError: ``bad_input`` when the report was made by another protocol.
    """
    protocol = evaluation.settings.protocol
    systems = {system.name: _entry(system) for system in evaluation.systems}
    names = {file.name for file in evaluation.objects}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    if old is not None:
        if old.protocol_digest != protocol.digest:
            raise _other_protocol(evaluation.report.root, old, json.loads(protocol.to_json()))
        systems = {**{entry.name: entry for entry in old.systems}, **systems}
        names, started = names | set(old.objects), old.started
    return ReportHeader(
        protocol=json.loads(protocol.to_json()),
        protocol_digest=protocol.digest,
        commit=evaluation.settings.commit,
        device=evaluation.device,
        started=started,
        objects=tuple(sorted(names)),
        systems=tuple(systems.values()),
    )


def _other_protocol(root: Path, old: ReportHeader, wanted: dict[str, object]) -> GtrError:
    changed = [name for name, value in wanted.items() if old.protocol.get(name) != value]
    return GtrError(
        ErrorCode.BAD_INPUT,
        f"{root} was made by another protocol ({', '.join(changed) or 'of another version'} differ).",
        "Choose another folder, or the options that it was made with.",
    )


def _entry(system: System) -> SystemEntry:
    return SystemEntry(system.name, system.key, system.title, system.variants)


class _Run:
    """The state of one run."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._report, self._evaluation = evaluation.report, evaluation
        tasks = [self._task(file, system) for file in evaluation.objects for system in evaluation.systems]
        self._schedule, self._tally = Schedule(tasks), Tally(len(tasks))
        self._under_way = 0

    def go(self, executor: Callable[[], Executor[PairTask, PairOutcome]], progress: Progress) -> Tally:
        running = executor()
        try:
            progress("evaluate", 0, self._tally.pairs)
            while self._schedule or self._under_way:
                self._submit(running)
                for event in running.wait(_BEAT):
                    self._take(event)
                progress("evaluate", self._tally.done, self._tally.pairs)
        except Cancelled as stop:
            raise Cancelled(
                f"Cancelled. {self._tally.done} of {self._tally.pairs} pairs are kept in {self._report.root}; "
                "the same command goes on from there."
            ) from stop
        finally:
            running.close()
        return self._tally

    def _task(self, file: ObjectFile, system: System) -> PairTask:
        """The pair; rows of other settings go, so that no report mixes them with new ones."""
        settings = self._evaluation.settings
        system_digest = system.digest(file.name)
        rows = self._report.rows(file.name, system.name)
        digests = {(row.system_digest, row.protocol_digest) for row in rows}
        if digests - {(system_digest, settings.digest)}:
            self._report.rows_file(file.name, system.name).unlink(missing_ok=True)
            rows = []
        whole = tuple(row.variant for row in rows) == system.variants and all(row.status == "ok" for row in rows)
        return PairTask(file, system, system_digest, settings, known_object=rows[0].object_digest if whole else "")

    def _submit(self, running: Executor[PairTask, PairOutcome]) -> None:
        while self._under_way < running.slots:
            task = self._schedule.next()
            if task is None:
                return
            name = task.file.name
            truth = (self._report.truth_picture(name), self._report.inputs_picture(name), self._report.truth_mesh(name))
            running.submit(replace(task, with_truth=not all(path.exists() for path in truth)))
            self._under_way += 1

    def _take(self, event: Event[PairTask, PairOutcome]) -> None:
        self._under_way -= 1
        if isinstance(event, Finished):
            self._schedule.ended(event.task)
            self._keep(event.outcome)
        elif not event.innocent:
            self._schedule.ended(event.task)
            self._keep(PairOutcome(failed_rows(event.task, event.reason)))
        elif not self._schedule.again(event.task):
            self._keep(PairOutcome(failed_rows(event.task, f"{event.reason} That happened {ATTEMPTS} times.")))

    def _keep(self, outcome: PairOutcome) -> None:
        self._tally.done += 1
        if not outcome.rows:
            self._tally.kept += 1
            return
        for path, data in outcome.files:
            self._report.write(self._report.root / path, data)
        self._report.write_rows(outcome.rows)  # last: with them the pair counts as done
        self._tally.rows += len(outcome.rows)
        self._tally.failed += sum(row.status == "failed" for row in outcome.rows)
