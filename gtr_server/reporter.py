"""A job's line to the front: progress, cancel, finish, previews, times."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from gtr_core.progress import Cancelled
from gtr_server.faults import inject
from gtr_server.wire import Message, Previewed, Progressed

PREVIEW = "preview.npz"
INTERVAL = 0.1
"""Seconds between two progress messages of one stage."""


class Reporter:
    """The ``progress`` callback of one job, and what else a task may tell or ask."""

    def __init__(self, job: str, attempt: int, folder: Path, send: Callable[[Message], None]) -> None:
        self.job, self.attempt, self.folder = job, attempt, folder
        self.seconds: dict[str, float] = {}
        self._send = send
        self._cancel, self._finish = threading.Event(), threading.Event()
        self._stage = ""
        self._since = self._sent = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report progress.

        Raises:
            Cancelled: when the front asked for it.
        """
        self.check_cancel()
        moment = time.monotonic()
        entered = stage != self._stage
        if entered:
            self._close_stage(moment)
            self._stage = stage
        if entered or done >= total or moment - self._sent >= INTERVAL:
            self._sent = moment
            self._send(Progressed(self.job, stage, done, total))
        if entered:
            inject(stage, self.attempt, self.check_cancel, lambda: self._send(Progressed(self.job, stage, done, total)))

    def preview(self, kind: str, step: int, write: Callable[[Path], None]) -> None:
        """Replace the preview file: ``write`` fills a temporary one, which then takes its place at once."""
        temporary = self.folder / "preview.new.npz"
        write(temporary)
        try:
            temporary.replace(self.folder / PREVIEW)
        except PermissionError:
            return  # Windows, while the front reads the last one: the next preview will do
        self._send(Previewed(self.job, kind, step))

    def check_cancel(self) -> None:
        """Raise :class:`Cancelled` when the front asked for it."""
        if self._cancel.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """The front wants the job to stop."""
        self._cancel.set()

    def finish(self) -> None:
        """The front wants a refinement to end with what it has."""
        self._finish.set()

    def should_finish(self) -> bool:
        """Whether a refinement should end after this step."""
        return self._finish.is_set()

    def close(self) -> dict[str, float]:
        """Seconds per stage, in the order in which they came."""
        self._close_stage(time.monotonic())
        return {stage: round(seconds, 3) for stage, seconds in self.seconds.items()}

    def _close_stage(self, moment: float) -> None:
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + moment - self._since
        self._since = moment
