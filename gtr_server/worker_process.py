"""The worker process as the front sees it: start, talk, wait, kill."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from gtr_server import worker
from gtr_server.wire import Channel, Message


class WorkerProcess:
    """One process. Start it from a thread that lives as long as the server (the kernel watches that thread)."""

    def __init__(self, device: str, log_file: Path, tasks: str) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.channel = Channel(ours)
        self._process = context.Process(
            target=worker.main, args=(theirs, os.getpid(), device, str(log_file), tasks), name="gtr-worker", daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def connection(self) -> Connection:
        """Readable when a message waits."""
        return self.channel.connection

    @property
    def sentinel(self) -> int:
        """Readable when the process has ended."""
        return self._process.sentinel

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid or 0

    def send(self, message: Message) -> None:
        """Send a message; a dead worker does not hear it (its sentinel tells)."""
        try:
            self.channel.send(message)
        except OSError:
            return

    def pending(self) -> list[Message]:
        """Messages that have arrived, also those that a process now dead has sent before."""
        messages: list[Message] = []
        try:
            while self.connection.poll():
                messages.append(self.channel.receive())
        except (EOFError, OSError):
            pass
        return messages

    def end(self, patience: float = 0.0) -> int | None:
        """Wait for the process to end, then kill it and what it has started; returns its exit code."""
        self._process.join(patience)
        if self._process.is_alive():
            _kill_children(self.pid)
            self._process.kill()
            self._process.join()
        code = self._process.exitcode
        self.connection.close()
        self._process.close()
        return code


def _kill_children(pid: int) -> None:
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()


def oom_kills() -> int:
    """How many processes Linux has ended for want of memory since it started; 0 where that is not known."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
