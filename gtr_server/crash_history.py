"""When to start a worker again after crashes, and when to give up."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS, CRASHES = 300.0, 5
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0


class CrashHistory:
    """Back-off 1, 2, 4 .. 60 s; five crashes in five minutes are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque(maxlen=CRASHES)
        self._in_a_row = 0
        self.not_before = clock()
        """Earliest moment of the next start."""
        self.degraded = False

    def crashed(self) -> None:
        """A worker has died unasked."""
        moment = self._clock()
        self._times.append(moment)
        self.not_before = moment + min(FIRST_DELAY * 2**self._in_a_row, LONGEST_DELAY)
        self._in_a_row += 1
        self.degraded = len(self._times) == CRASHES and moment - self._times[0] <= WINDOW_SECONDS

    def worked(self) -> None:
        """A job has been done: the next crash is a first one."""
        self._in_a_row = 0

    def forgive(self) -> None:
        """The user wants another try."""
        self._times.clear()
        self._in_a_row = 0
        self.degraded = False
        self.not_before = self._clock()
