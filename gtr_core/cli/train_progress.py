"""What a training shows in the terminal: one line that changes, or one line per row of the log."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from gtr_core.training.loop import Report

if TYPE_CHECKING:
    from gtr_core.training.trainer import StepRecord

_WIDTH = 24
_REDRAW_SECONDS = 0.2
_ROW_SECONDS = 10.0
"""Between two lines where there is no terminal."""
_SHOWN = ("rgb", "lpips", "ssim", "mask", "depth", "opacity", "tsdf", "point_color", "rescue")


class TrainProgress(Report):
    """Draws itself.

    Args:
        stream: where to draw; None takes the standard error stream.
        clock: seconds, monotonic.
    """

    def __init__(self, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._drawn: float | None = None
        self._speed = 0.0
        self._last: tuple[float, int] | None = None
        self._loss: float | None = None

    def step(self, record: StepRecord, share: float) -> None:
        """Show this step if it is time."""
        now = self._clock()
        self._measure(now, record)
        self._loss = record.loss if self._loss is None else 0.95 * self._loss + 0.05 * record.loss
        if not self._stream.isatty() or (self._drawn is not None and now - self._drawn < _REDRAW_SECONDS):
            return
        self._drawn = now
        filled = round(share * _WIDTH)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        terms = "  ".join(f"{name} {record.terms[name]:.4f}" for name in _SHOWN if name in record.terms)
        line = f"{bar} {share:6.1%}  step {record.step:,}  {self._speed:.1f} samples/s  loss {self._loss:.4f}  {terms}"
        self._stream.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        self._stream.flush()

    def row(self, row: dict[str, float]) -> None:
        """Tell of a row: always when it judges the network, else seldom, and only where no line changes."""
        psnr, now = row.get("validation_psnr"), self._clock()
        if psnr is not None:
            self._line(f"step {row['step']:.0f}: new views {psnr:.2f} dB")
        elif not self._stream.isatty() and (self._drawn is None or now - self._drawn >= _ROW_SECONDS):
            self._drawn = now
            terms = ", ".join(f"{name} {row[name]:.4f}" for name in _SHOWN if name in row)
            self._line(
                f"step {row['step']:.0f}: {row['samples_per_second']:.1f} samples/s, loss {row['loss']:.4f}, {terms}"
            )

    def close(self) -> None:
        """End the line."""
        if self._stream.isatty() and self._drawn is not None:
            self._stream.write("\n")
            self._stream.flush()

    def _line(self, text: str) -> None:
        start, end = ("\r", "\x1b[K\n") if self._stream.isatty() else ("", "\n")
        self._stream.write(start + text + end)
        self._stream.flush()

    def _measure(self, now: float, record: StepRecord) -> None:
        if self._last is not None and now > self._last[0]:
            speed = (record.samples - self._last[1]) / (now - self._last[0])
            self._speed = speed if self._speed == 0 else 0.9 * self._speed + 0.1 * speed
        self._last = (now, record.samples)
