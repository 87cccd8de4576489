"""Keeps one worker process alive, feeds it the queued jobs, and outlives whatever happens to it."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from gtr_server import wire
from gtr_server.crash_history import CrashHistory
from gtr_server.job import Job, State
from gtr_server.outcomes import Outcomes
from gtr_server.problems import ProblemCode
from gtr_server.settings import Settings
from gtr_server.worker_process import WorkerProcess, oom_kills

log = logging.getLogger(__name__)

START_SECONDS, LONGEST_WAIT, STANDSTILL_SECONDS = 120.0, 5.0, 10.0
"""Longest time for a worker to load its libraries; between two looks at the clock; beyond that we stood still."""
CRASHED = "The model process died."
KILLED = "The model process was ended by the system: it needed too much memory."
SILENT = "A step made no progress for {seconds:.0f} s and was stopped."


@dataclass
class _Current:
    job: Job
    heard: float
    kill_at: float = float("inf")
    """A cancelled job that has not stopped by then is killed with its worker."""


class Supervisor:
    """One thread that owns the worker; all public methods may be called from any thread and return at once."""

    def __init__(self, settings: Settings, outcomes: Outcomes) -> None:
        self.settings, self.outcomes = settings, outcomes
        self.crashes = CrashHistory()
        self.device: dict[str, Any] = {}
        self.reason = ""
        self._worker: WorkerProcess | None = None
        self._ready = False
        self._expected_end = False
        self._started_at, self._looked, self._oom_kills = 0.0, time.monotonic(), 0
        self._current: _Current | None = None
        self._unsettled: Job | None = None
        self._wants_finish: set[str] = set()
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._bell_in, self._bell = Pipe(duplex=False)
        self._bell_lock = threading.Lock()
        self._leaving = False
        self._thread = threading.Thread(target=self._serve, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the thread, and with it the worker."""
        self._thread.start()

    def stop(self) -> None:
        """Put a running job back into the queue, end the worker, and wait for both."""
        self._order(self._begin_stop)
        self._thread.join()

    def wake(self) -> None:
        """A job was queued."""
        self._order(lambda: None)

    def cancel(self, job: str) -> None:
        """Stop this job if it is the running one: by asking, then by force."""
        self._order(lambda: self._cancel(job))

    def finish(self, job: str) -> None:
        """Let this refinement end after its current step."""
        self._order(lambda: self._finish(job))

    def unload(self) -> None:
        """Free the memory of the models."""
        self._order(lambda: self._worker.send(wire.Unload()) if self._worker else None)

    def restart(self) -> None:
        """Kill the worker and start another, also when it has crashed too often."""
        self._order(self._restart)

    @property
    def state(self) -> str:
        """``ready``, ``starting``, ``restarting`` or ``degraded``."""
        if self.crashes.degraded:
            return "degraded"
        if self._ready:
            return "ready"
        return "restarting" if self.reason else "starting"

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, while there is one."""
        worker = self._worker
        return worker.pid if worker else None

    def _order(self, command: Callable[[], None]) -> None:
        self._commands.put(command)
        with self._bell_lock:
            self._bell.send_bytes(b"!")

    # From here on everything runs in the supervisor's own thread.

    def _serve(self) -> None:
        while not self._leaving or self._current is not None:
            self._turn()
        if self._worker is not None:
            self._worker.send(wire.Stop())
        self._drop_worker(patience=2.0)

    def _turn(self) -> None:
        try:
            self._settle()
            self._start_worker()
            self._dispatch()
            self._listen()
            self._check_times()
        except (sqlite3.Error, OSError):
            # A full disk, most likely. The job whose end could not be stored is settled when storing works again.
            log.exception("The supervisor could not store what happened")
            self._unsettled = self._unsettled or (self._current.job if self._current else None)
            self._close_job()
            self._drop_worker()
            time.sleep(1.0)
            self._obey()

    def _settle(self) -> None:
        if self._unsettled is not None:
            self.outcomes.lost(self._unsettled, ProblemCode.DISK_FULL, "The result could not be stored.")
            self._unsettled = None

    def _start_worker(self) -> None:
        if (
            self._worker is not None
            or self._leaving
            or self.crashes.degraded
            or time.monotonic() < self.crashes.not_before
        ):
            return
        self._oom_kills = oom_kills()
        self._worker = WorkerProcess(self.settings.device, self.settings.worker_log, self.settings.tasks)
        self._started_at = time.monotonic()
        log.info("Worker %d started", self._worker.pid)

    def _dispatch(self) -> None:
        if self._worker is None or not self._ready or self._current is not None or self._leaving:
            return
        found = self.outcomes.start_next()
        if found is not None:
            job, order = found
            self._current = _Current(job, time.monotonic())
            self._worker.send(order)
            if job.id in self._wants_finish:
                self._worker.send(wire.Finish(job.id))

    def _listen(self) -> None:
        worker = self._worker
        sources: list[Any] = [self._bell_in]
        if worker is not None:
            sources += [worker.connection, worker.sentinel]
        heard = wait(sources, self._patience())
        while self._bell_in.poll():
            self._bell_in.recv_bytes()
        if worker is not None and len(heard) > (self._bell_in in heard):
            messages = worker.pending()
            for message in messages:
                self._hear(message)
            if worker.sentinel in heard or not messages:
                self._worker_gone()
        self._obey()

    def _obey(self) -> None:
        while not self._commands.empty():
            self._commands.get()()

    def _patience(self) -> float:
        """Seconds until something has to be done even if nothing is heard."""
        moments = [time.monotonic() + LONGEST_WAIT]
        if self._worker is None and not self.crashes.degraded:
            moments.append(self.crashes.not_before)
        if self._current is not None:
            moments += [self._current.kill_at, self._current.heard + self.settings.stage_timeout]
        return max(0.0, min(moments) - time.monotonic())

    def _hear(self, message: wire.Message) -> None:
        if isinstance(message, wire.Ready):
            self._ready, self.device, self.reason = True, message.device, ""
            log.info("Worker ready after %.1f s", time.monotonic() - self._started_at)
            return
        if isinstance(message, wire.StartFailed):
            self.reason = message.reason
            return
        current = self._current
        if current is None or getattr(message, "job", None) != current.job.id:
            return
        current.heard = time.monotonic()
        match message:
            case wire.Progressed():
                self.outcomes.progressed(current.job, message)
                return
            case wire.Previewed():
                self.outcomes.previewed(current.job, message)
                return
            case wire.Succeeded():
                self.outcomes.succeeded(current.job, message)
                self.device = message.device
            case wire.Failed():
                self.outcomes.failed(current.job, message)
                if message.leaving:
                    self._ready, self._expected_end = False, True
            case wire.Stopped():
                self.outcomes.stopped(current.job)
        self.crashes.worked()
        self._close_job()

    def _close_job(self) -> None:
        if self._current is not None:
            self._wants_finish.discard(self._current.job.id)
        self._current = None

    def _worker_gone(self) -> None:
        expected = self._expected_end
        code = self._drop_worker(patience=1.0)
        if expected:
            return
        killed = code == -9 and oom_kills() > self._oom_kills
        self.reason = self.reason or (KILLED if killed else CRASHED)
        log.error("Worker ended with code %s", code)
        self.crashes.crashed()
        if self._current is not None:
            job = self._current.job
            self._close_job()
            if killed:
                self.outcomes.lost(job, ProblemCode.WORKER_KILLED, KILLED)
            else:
                self.outcomes.lost(job, ProblemCode.WORKER_CRASHED, CRASHED)

    def _drop_worker(self, patience: float = 0.0) -> int | None:
        worker, self._worker = self._worker, None
        self._ready = self._expected_end = False
        return worker.end(patience) if worker is not None else None

    def _check_times(self) -> None:
        moment, current = time.monotonic(), self._current
        pause, self._looked = moment - self._looked, moment
        if pause > STANDSTILL_SECONDS:  # and the worker perhaps too, as on a machine that slept
            self._started_at += pause
            if current is not None:
                current.heard, current.kill_at = min(current.heard + pause, moment), current.kill_at + pause
        if current is None:
            if self._worker is not None and not self._ready and moment > self._started_at + START_SECONDS:
                self._drop_worker()
                self.reason = f"The model process was not ready after {START_SECONDS:.0f} s."
                self.crashes.crashed()
        elif moment >= current.kill_at:
            log.warning("Job %s did not stop by itself", current.job.id)
            self._drop_worker()
            self._close_job()
            self.outcomes.stopped(current.job)
        elif moment >= current.heard + self.settings.stage_timeout:
            self._drop_worker()
            self._close_job()
            self.reason = SILENT.format(seconds=self.settings.stage_timeout)
            self.crashes.crashed()
            self.outcomes.lost(current.job, ProblemCode.TIMEOUT, self.reason)

    def _cancel(self, job: str) -> None:
        if self._worker is not None and self._current is not None and self._current.job.id == job:
            self._worker.send(wire.Cancel(job))
            self.outcomes.tell(replace(self._current.job, state=State.CANCELLING))
            self._current.kill_at = min(self._current.kill_at, time.monotonic() + self.settings.cancel_grace)

    def _finish(self, job: str) -> None:
        self._wants_finish.add(job)
        if self._worker is not None and self._current is not None and self._current.job.id == job:
            self._worker.send(wire.Finish(job))

    def _restart(self) -> None:
        self._drop_worker()
        self.crashes.forgive()
        if self._current is not None:
            job = self._current.job
            self._close_job()
            self.outcomes.lost(job, ProblemCode.WORKER_KILLED, "The model process was restarted.")

    def _begin_stop(self) -> None:
        self._leaving = True
        if self._current is not None and self._worker is not None:
            self._worker.send(wire.Cancel(self._current.job.id))
            self._current.kill_at = time.monotonic() + self.settings.cancel_grace
