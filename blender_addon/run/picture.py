"""When the panels are drawn anew: as soon as something else is to be seen, the progress line a little slower."""

from __future__ import annotations

import time

import bpy

from .. import windows
from .status import Status

LINE_SECONDS = 0.25
"""The progress line is drawn anew this often: a button that is drawn anew all the time is hard to press."""


class Picture:
    """What the panels showed last."""

    def __init__(self) -> None:
        self._shown: tuple[object, ...] = ()
        self._next_line = 0.0

    def publish(self, status: Status) -> None:
        """Bar, status text and panels follow the status when it has changed."""
        line = status.progress
        lasting = (status.state, status.server.text, status.message, str(status.error), status.held is None)
        shown = (*lasting, status.former.offered is None, str(line))
        now = time.monotonic()
        if shown == self._shown or (shown[:-1] == self._shown[:-1] and now < self._next_line):
            return
        self._shown, self._next_line = shown, now + LINE_SECONDS
        bpy.context.window_manager.gtr.progress = 100.0 * line.fraction
        windows.set_status(f"GTR: {line.text}" if status.run is not None and line.text else None)
        windows.redraw()
