"""Tasks in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Generic

import torch

from gtr_core.parallel.executor import Event, Failed, Outcome, Task
from gtr_core.parallel.guarded import event_of, guarded

_PATIENCE = 10.0
"""Seconds in which a process that has closed its pipe has to be gone."""


class LocalExecutor(Generic[Task, Outcome]):
    """Implements :class:`gtr_core.parallel.executor.Executor`.

    Every process runs one task after the other. One that dies takes its task with it and is replaced.

    Args:
        jobs: processes.
        threads: of each.
        function: runs a task; of a module, so that a new process finds it.
    """

    def __init__(self, jobs: int, threads: int, function: Callable[[Task], Outcome]) -> None:
        self._jobs, self._threads, self._function = jobs, threads, function
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, Task] = {}

    @property
    def slots(self) -> int:
        """The number of processes."""
        return self._jobs

    def submit(self, task: Task) -> None:
        """Hand a task to an idle process, or to a new one."""
        worker = self._ready_worker()
        self._busy[worker] = task
        with suppress(OSError):  # one that has just died is found out by the next wait
            worker.connection.send(task)

    def wait(self, seconds: float) -> list[Event[Task, Outcome]]:
        """Results and failures."""
        by_handle = {handle: worker for worker in self._busy for handle in (worker.connection, worker.process.sentinel)}
        ready = wait(list(by_handle), seconds)
        return [self._event(worker) for worker in dict.fromkeys(by_handle[handle] for handle in ready)]  # type: ignore[index]

    def close(self) -> None:
        """Kill all processes."""
        workers = [*self._idle, *self._busy]
        self._idle, self._busy = [], {}
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.end()

    def _event(self, worker: _Worker) -> Event[Task, Outcome]:
        task = self._busy.pop(worker)
        try:
            outcome = worker.connection.recv()
        except (EOFError, OSError):
            return Failed(task, _reason(worker.end()))
        self._idle.append(worker)
        return event_of(task, outcome)

    def _ready_worker(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.is_alive():
                return worker
            worker.end()
        return _Worker(self._threads, self._function)


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, threads: int, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads, function), name="gtr-worker", daemon=True)
        with _interrupts_held():
            self.process.start()
        theirs.close()

    def end(self) -> int | None:
        """Wait for the process to be gone; its exit code."""
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()
        return self.process.exitcode


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal: a new one shall not hear it, this one a moment later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # else the first process starts it, which would let the signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, threads: int, function: Callable[[Any], Any]) -> None:
    """Life of a process: tasks in, results out, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(guarded(partial(function, task)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _reason(code: int | None) -> str:
    if code is None or code >= 0:
        return f"Its process ended by itself (exit code {code})."
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if name == "SIGKILL":
        return "Its process was killed, perhaps because the memory ran out."
    return f"Its process crashed ({name})."
