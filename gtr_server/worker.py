"""The worker process: one job at a time, in the main thread; a second thread listens to the front."""

from __future__ import annotations

import errno
import gc
import importlib
import logging
import os
import queue
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from gtr_core.errors import GtrError
from gtr_core.progress import Cancelled
from gtr_server.faults import inject
from gtr_server.logs import log_to
from gtr_server.parent_watch import die_with_parent
from gtr_server.problems import ProblemCode
from gtr_server.reporter import Reporter
from gtr_server.wire import Cancel, Channel, Failed, Finish, Ready, Run, StartFailed, Stop, Stopped, Succeeded, Unload

if TYPE_CHECKING:
    from gtr_server.tasks import Tasks

log = logging.getLogger(__name__)

IDLE_SECONDS = 3.0
"""A worker without a job for so long after its start prepares for later ones."""
EXIT_DEVICE_LOST = 75
"""The device cannot be used any more in this process: a fresh one can."""


def main(connection: Connection, parent: int, device: str, log_file: str, tasks: str) -> None:
    """Entry of the process.

    Args:
        connection: pipe to the front.
        parent: process id of the front.
        device: for torch.
        log_file: where this process logs.
        tasks: module of the class ``Tasks``.
    """
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log_to(Path(log_file))
    worker = Worker(Channel(connection), device, tasks)
    threading.Thread(target=worker.listen, name="front", daemon=True).start()
    worker.work()


class Worker:
    """State of the process."""

    def __init__(self, channel: Channel, device: str, tasks: str) -> None:
        self.channel, self.device, self.tasks = channel, device, tasks
        self._work: queue.Queue[Run | Unload | Stop] = queue.Queue()
        self._current: Reporter | None = None
        self._lock = threading.Lock()
        self._early: set[tuple[str, type]] = set()

    def listen(self) -> None:
        """Take the front's messages; leave with it."""
        while True:
            try:
                message = self.channel.receive()
            except (EOFError, OSError):
                os._exit(1)
            match message:
                case Run() | Unload() | Stop():
                    self._work.put(message)
                case Cancel(job=job) | Finish(job=job):
                    self._interrupt(job, type(message))

    def _interrupt(self, job: str, kind: type) -> None:
        # The message can overtake the start of its job, which the other thread has yet to take from the queue.
        with self._lock:
            reporter = self._current
            if reporter is None or reporter.job != job:
                self._early.add((job, kind))
                return
        if kind is Cancel:
            reporter.cancel()
        else:
            reporter.finish()

    def work(self) -> None:
        """Load the libraries, then do what comes until told to stop."""
        inject("boot")
        try:
            tasks: Tasks = importlib.import_module(self.tasks).Tasks(self.device)  # torch comes with it
        except (ImportError, OSError, RuntimeError) as error:
            log.exception("The libraries cannot be loaded")
            self.channel.send(StartFailed(f"{type(error).__name__}: {error}"))
            raise SystemExit(1) from error
        self.channel.send(Ready(tasks.device_info()))
        if self._idle_for(IDLE_SECONDS):
            tasks.warm_up()
        while not isinstance(message := self._work.get(), Stop):
            if isinstance(message, Unload):
                tasks.unload()
                gc.collect()
                continue
            outcome = self._do(message, tasks)
            self.channel.send(outcome)
            if isinstance(outcome, Failed) and outcome.leaving:
                return

    def _idle_for(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self._work.empty() and time.monotonic() < end:
            time.sleep(0.02)
        return self._work.empty()

    def _do(self, run: Run, tasks: Tasks) -> Succeeded | Failed | Stopped:
        reporter = self._begin(run)
        try:
            result = tasks.do(run, reporter)
            reporter.check_cancel()
            return Succeeded(run.job, *result, tasks.device_info())
        except Cancelled:
            return Stopped(run.job)
        except Exception as error:
            log.exception("Job %s, attempt %d", run.job, run.attempt)
            return describe(run.job, error)
        finally:
            with self._lock:
                self._current = None

    def _begin(self, run: Run) -> Reporter:
        reporter = Reporter(run.job, run.attempt, Path(run.folder), self.channel.send)
        with self._lock:
            self._current = reporter
            early, self._early = self._early, set()
        if (run.job, Cancel) in early:
            reporter.cancel()
        if (run.job, Finish) in early:
            reporter.finish()
        return reporter


def describe(job: str, error: Exception) -> Failed:
    """The error in words for the user; what only developers understand stays in the log.

    A device error of CUDA poisons the process: it leaves without a word, and the front starts the job anew.
    """
    if isinstance(error, GtrError):
        return Failed(job, str(error.code), error.message, error.hint, error.view)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        hint = "Choose a lower resolution, or close other programs."
        return Failed(job, ProblemCode.OUT_OF_MEMORY, "Out of memory.", hint, leaving=True)
    if "CUDA error" in str(error):
        os._exit(EXIT_DEVICE_LOST)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Failed(job, ProblemCode.DISK_FULL, "The disk is full.", "Make room and try again.")
    return Failed(job, ProblemCode.INTERNAL, "Something unexpected failed.", "The worker's log says more.")
