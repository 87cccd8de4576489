"""The process beside Blender that talks to the server: orders come in through a pipe, events go out. No bpy."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import packages
from ..jobs import JobRunner
from ..values import Event, Handle
from .pipe import Connection, open_end

if TYPE_CHECKING:
    from ..values import ServerSettings

BEAT_SECONDS = 0.02
LEAVE_SECONDS = 15.0
"""Time to release the lease when Blender is gone; one that closes in order waits less and then ends this process."""
ORDERS = frozenset({
    "submit", "resubmit", "cancel", "finish", "configure", "start_server", "stop_server", "check_server",
    "look_for_job", "unload_model", "restart_worker",
})  # fmt: skip
"""Methods of :class:`JobRunner` that Blender may call."""


@dataclass(frozen=True)
class Hello:
    """The first message: this Python has what the add-on needs."""


@dataclass(frozen=True)
class Told:
    """Events since the last message, and what :meth:`JobRunner.known_jobs` says after them."""

    events: tuple[Event, ...]
    jobs: dict[Handle, tuple[str, str]]


def main(handle: int) -> None:
    """Serve until Blender closes its end of the pipe, or is gone.

    Args:
        handle: of the pipe, inherited: a file descriptor, on Windows a handle.
    """
    try:
        packages.numpy()
        packages.requests()
    except packages.MissingPackages as error:
        sys.exit(str(error))
    pipe = open_end(handle)
    try:
        pipe.send(Hello())
        settings: ServerSettings = pipe.recv()
    except (EOFError, OSError):
        return
    child = _Child(JobRunner(settings), pipe)
    threading.Thread(target=child.speak, name="gtr-events", daemon=True).start()
    child.listen()


class _Child:
    """A runner at one end of a pipe. One thread listens and another speaks: neither side ever waits for the other."""

    def __init__(self, runner: JobRunner, pipe: Connection) -> None:
        self._runner, self._pipe = runner, pipe
        self._lock = threading.Lock()
        self._leaving = threading.Event()

    def listen(self) -> None:
        """Do what Blender orders."""
        try:
            while True:
                order, arguments = self._pipe.recv()
                if order not in ORDERS:
                    raise ValueError(f"unknown order {order}")
                with self._lock:
                    getattr(self._runner, order)(*arguments)
        except (EOFError, OSError):
            pass  # Blender ended, or was killed: either way its lease is to be released
        self._leaving.set()
        self._runner.shutdown(LEAVE_SECONDS)

    def speak(self) -> None:
        """Tell Blender what happens."""
        before: dict[Handle, tuple[str, str]] = {}
        while not self._leaving.wait(BEAT_SECONDS):
            with self._lock:
                events = tuple(self._runner.poll())
                jobs = self._runner.known_jobs()
            if not events and jobs == before:
                continue
            before = jobs
            try:
                self._pipe.send(Told(events, jobs))
            except OSError:
                return
