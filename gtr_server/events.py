"""What happens to the jobs, as numbered events that clients wait for (long-poll). Kept in memory only."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from gtr_server.job import now
from gtr_server.limits import MAX_WAITERS
from gtr_server.problems import Problem, ProblemCode

KEPT_EVENTS, KEPT_JOBS = 500, 200
SEQUENCE_STEP = 1_000_000_000
"""Events of one run of the server; the next run numbers its own above them."""


@dataclass
class _JobLog:
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    stage: str | None = None
    progress: float = 0.0
    last: int = 0
    preview: tuple[str, int] = ("", 0)


class EventLog:
    """Events per job, with rising numbers across restarts.

    Args:
        start: how many times the server was started on this data, from 1.
    """

    def __init__(self, start: int) -> None:
        self._next = start * SEQUENCE_STEP
        self._jobs: OrderedDict[str, _JobLog] = OrderedDict()
        self._changed = threading.Condition()
        self._waiters = threading.BoundedSemaphore(MAX_WAITERS)
        self._closed = False

    def begin(self, job: str, code: str, **members: Any) -> None:
        """Append the first event of a job; nothing when a quicker thread has already told more."""
        with self._changed:
            if job not in self._jobs:
                self.add(job, code, **members)

    def add(self, job: str, code: str, *, stage: str | None = None, progress: float | None = None, **data: Any) -> None:
        """Append an event and wake who waits.

        Args:
            job: its id.
            code: ``state``, ``progress``, ``preview`` or ``requeued``.
            stage: the stage that the job is in; None keeps the last one.
            progress: of the whole job, in [0, 1]; None keeps the last one. It never falls within an attempt.
            data: members of the event's ``data``.
        """
        with self._changed:
            log = self._jobs.setdefault(job, _JobLog())
            self._jobs.move_to_end(job)
            while len(self._jobs) > KEPT_JOBS:
                self._jobs.popitem(last=False)
            if code == "requeued":
                log.stage, log.progress = None, 0.0
            if code == "preview":
                log.preview = (data["kind"], data["step"])
            log.stage = stage or log.stage
            log.progress = max(log.progress, progress or 0.0)
            self._next += 1
            log.last = self._next
            log.events.append(
                {
                    "seq": self._next,
                    "t": now(),
                    "stage": log.stage,
                    "progress": round(log.progress, 4),
                    "message_code": code,
                    "data": data,
                }
            )
            self._changed.notify_all()

    def last(self, job: str) -> tuple[str | None, float]:
        """Stage and progress of the job, as far as this run of the server knows."""
        with self._changed:
            log = self._jobs.get(job, _JobLog())
            return log.stage, round(log.progress, 4)

    def preview(self, job: str) -> tuple[str, int]:
        """Kind and step of the latest preview."""
        with self._changed:
            return self._jobs.get(job, _JobLog()).preview

    def after(self, job: str, sequence: int) -> tuple[list[dict[str, Any]], int]:
        """Events later than ``sequence``, and the number of the last one."""
        with self._changed:
            return self._after(job, sequence)

    def wait(self, job: str, sequence: int, seconds: float) -> tuple[list[dict[str, Any]], int]:
        """Like :meth:`after`, but wait for one to come.

        Raises:
            Problem: ``too_many_streams`` when too many clients wait already.
        """
        if not self._waiters.acquire(blocking=False):
            raise Problem(ProblemCode.TOO_MANY_STREAMS, "Too many clients wait for events.", retry_after=1)
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._after(job, sequence)[0]), seconds)
                return self._after(job, sequence)
        finally:
            self._waiters.release()

    def close(self) -> None:
        """Send everybody home: the server stops."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _after(self, job: str, sequence: int) -> tuple[list[dict[str, Any]], int]:
        log = self._jobs.get(job)
        if log is None or log.last <= sequence:
            return [], max(sequence, log.last if log else 0)
        return [event for event in log.events if event["seq"] > sequence], log.last
