"""The session's end of the job process: made at first use, told of changed preferences, emptied at every beat."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .. import packages, preferences
from ..values import Event, ServerSettings

if TYPE_CHECKING:
    from ..job_process import JobProcess

LOOK_SECONDS = 5.0
"""The server line and the preferences are looked at this often; never while a job tells how the server is."""


class Mailbox:
    """Owns the :class:`JobProcess`."""

    def __init__(self) -> None:
        self._runner: JobProcess | None = None
        self._settings = ServerSettings()
        self._looks = False
        self._next_look = 0.0

    def open(self, *, look: bool) -> None:
        """The add-on is on; with ``look`` the next beats ask whether a server runs (none is ever started by that)."""
        self._looks = look

    def runner(self) -> JobProcess:
        """The job process, made at first use.

        Raises:
            MissingPackages: Blender's Python lacks numpy or requests.
        """
        if self._runner is None:
            missing = packages.missing()
            if missing:
                raise packages.MissingPackages(missing)
            from ..job_process import JobProcess

            self._settings = preferences.server_settings()
            self._runner = JobProcess(self._settings)
        return self._runner

    def poll(self) -> list[Event]:
        """What the job process has said since the last call."""
        return self._runner.poll() if self._runner is not None else []

    def look(self, *, idle: bool) -> None:
        """Every five seconds: follow the preferences and, when idle, ask how the server is."""
        now = time.monotonic()
        if now < self._next_look or (self._runner is None and (not self._looks or packages.missing())):
            return
        self._next_look = now + LOOK_SECONDS
        self.follow_settings()
        if idle:
            self.runner().check_server()

    def follow_settings(self) -> None:
        """Tell the job process when the server part of the preferences has changed."""
        settings = preferences.server_settings()
        if self._runner is not None and settings != self._settings:
            self._settings = settings
            self._runner.configure(settings)
            self._runner.check_server()

    def close(self) -> None:
        """Let the server go and end the process; also called when Python ends, where bpy may be gone already."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.shutdown()
