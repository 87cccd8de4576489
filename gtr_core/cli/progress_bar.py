"""Progress in a terminal: a bar per stage; one line per finished stage where there is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

WORDS = {
    "read": "Reading views",
    "download": "Downloading (MB)",
    "verify": "Checking (MB)",
    "convert": "Converting",
    "load": "Loading model",
    "encode": "Encoding views",
    "hull": "Carving hull",
    "fit": "Fitting surface",
    "fuse": "Fusing views",
    "extract": "Extracting mesh",
    "color": "Colouring",
    "texture": "Refining texture",
    "draw": "Drawing picture",
    "evaluate": "Evaluating",
    "report": "Writing report",
    "save": "Writing files",
}
_WIDTH = 30
_REDRAW_SECONDS = 0.1


class ProgressBar:
    """A :data:`gtr_core.progress.Progress` that draws itself.

    Args:
        check: called at each step; it raises to stop the work.
        stream: where to draw.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        check: Callable[[], None],
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._stage = ""
        self._done, self._total = 0, 0
        self._started = self._drawn = clock()
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show this step, then stop if that is wished."""
        now = self._clock()
        if stage != self._stage:
            self.close()
            self._stage, self._started, self._drawn = stage, now, 0.0
        self._done, self._total = done, total
        if self._stream.isatty() and (now - self._drawn >= _REDRAW_SECONDS or done >= total):
            self._drawn = now
            self._stream.write("\r" + self._line(now)[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
            self._stream.flush()
        self._check()

    def finish(self) -> None:
        """End the current stage as done, without asking whether to stop."""
        self._done = self._total
        self.close()

    def close(self) -> None:
        """End the line of the current stage."""
        if not self._stage:
            return
        now = self._clock()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._started
        if self._stream.isatty():
            self._stream.write("\r" + self._line(now) + "\x1b[K\n")
        else:
            label = WORDS.get(self._stage, self._stage)
            self._stream.write(f"{label}: {self._done}/{self._total}, {now - self._started:.1f} s\n")
        self._stream.flush()
        self._stage = ""

    def _line(self, now: float) -> str:
        share = min(1.0, self._done / self._total) if self._total > 0 else 1.0
        filled = round(share * _WIDTH)
        elapsed = now - self._started
        minutes, seconds = divmod(int(elapsed), 60)
        left = ""
        if 0 < share < 1 and elapsed > 1:
            left = f", {elapsed / share - elapsed:.0f} s left"
        bar = "█" * filled + "░" * (_WIDTH - filled)
        label = WORDS.get(self._stage, self._stage)
        return f"{label:<17}{bar} {self._done}/{self._total}  {minutes}:{seconds:02d}{left}"
