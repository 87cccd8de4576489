"""What becomes of jobs: store, events and folders always change together, in this order."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from gtr_server.events import EventLog
from gtr_server.job import Artifact, Job, State
from gtr_server.problems import Problem, ProblemCode
from gtr_server.progress_scale import overall, scale_of
from gtr_server.settings import Settings
from gtr_server.store import MAX_ATTEMPTS, Store
from gtr_server.wire import Failed, Previewed, Progressed, Run, Succeeded

log = logging.getLogger(__name__)


def job_folder(settings: Settings, job: Job) -> Path:
    """Folder of the results of the job's current attempt."""
    return settings.jobs / job.id / f"a{job.attempt}"


class Outcomes:
    """Every change of a job's state goes through here, but for its birth and the wish to cancel it."""

    def __init__(self, settings: Settings, store: Store, events: EventLog) -> None:
        self.settings, self.store, self.events = settings, store, events

    def start_next(self) -> tuple[Job, Run] | None:
        """Claim the oldest queued job and make its folder; jobs that cannot start fail here."""
        while (job := self.store.claim()) is not None:
            self.tell(job)
            try:
                return job, self._order(job)
            except Problem as problem:
                self._end(self.store.fail(job.id, {"code": problem.code, "detail": problem.detail}))
        return None

    def _order(self, job: Job) -> Run:
        parent = None if job.parent is None else str(job_folder(self.settings, self.store.get(job.parent)))
        folder = job_folder(self.settings, job)
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        return Run(job.id, job.attempt, job.task, job.model, job.request, str(self.settings.blobs), str(folder), parent)

    def progressed(self, job: Job, message: Progressed) -> None:
        """Pass progress on to who waits for it."""
        share = overall(scale_of(job), message.stage, message.done, message.total)
        self.events.add(job.id, "progress", stage=message.stage, progress=share, done=message.done, total=message.total)

    def previewed(self, job: Job, message: Previewed) -> None:
        """Say that there is a new preview."""
        self.events.add(job.id, "preview", kind=message.kind, step=message.step)

    def succeeded(self, job: Job, message: Succeeded) -> None:
        """Commit the results."""
        artifacts = [Artifact(**entry) for entry in message.artifacts]
        self._end(self.store.succeed(job.id, artifacts, message.notes, message.stats))

    def failed(self, job: Job, message: Failed) -> None:
        """Commit the error."""
        self._discard(job)
        error = {"code": message.code, "detail": message.detail, "hint": message.hint, "view": message.view}
        self._end(self.store.fail(job.id, error))

    def stopped(self, job: Job) -> None:
        """The worker has stopped the job on request: it is cancelled, or put back when the server itself stops."""
        self._discard(job)
        self._end(self.store.requeue(job.id, count_attempt=False))

    def lost(self, job: Job, code: ProblemCode, detail: str) -> None:
        """The worker is gone, or was killed, in the middle of the job: try once more, then give up."""
        self._discard(job)
        if job.attempt < MAX_ATTEMPTS:
            again = self.store.requeue(job.id, count_attempt=True)
            if again.state is State.QUEUED:
                log.warning("Job %s is queued again: %s", job.id, detail)
                self.events.add(
                    job.id, "requeued", state=again.state, attempt=again.attempt, reason=code, detail=detail
                )
                return
            self._end(again)
        else:
            self._end(self.store.fail(job.id, {"code": code, "detail": detail, "hint": "", "view": None}))

    def tell(self, job: Job) -> None:
        """Append the job's state as an event."""
        data: dict[str, Any] = {"state": job.state, "attempt": job.attempt}
        if job.error:
            data["error"] = job.error
        # The thread that accepted a job can be slower than the one that starts it.
        append = self.events.begin if job.state is State.QUEUED else self.events.add
        stage = {State.QUEUED: "wait", State.RUNNING: "load"}.get(job.state)
        progress = 1.0 if job.state is State.SUCCEEDED else None
        append(job.id, "state", stage=stage, progress=progress, **data)

    def _discard(self, job: Job) -> None:
        # Before the end is stored: who hears of it finds nothing left, and a full disk gets the room to store it.
        shutil.rmtree(self.settings.jobs / job.id, ignore_errors=True)

    def _end(self, job: Job) -> None:
        if job.state is not State.SUCCEEDED:
            self._discard(job)
        log.info("Job %s (%s): %s", job.id, job.task, job.state)
        self.tell(job)
