"""When the server should unload its models, and when it should leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gtr_server.leases import Leases
from gtr_server.settings import Settings

STANDSTILL_SECONDS = 10.0
"""Two looks at the times so far apart: this process stood still meanwhile, as on a machine that slept."""


class Lifetime:
    """Idle times. The server's end is one event, set from anywhere, that the main thread waits for.

    Args:
        settings: of this run.
        leases: who uses the server.
        active_jobs: how many jobs are queued or running.
        unload: frees the memory of the models.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        leases: Leases,
        active_jobs: Callable[[], int],
        unload: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.leases = settings, leases
        self.stopping = threading.Event()
        self._active_jobs, self._unload, self._clock = active_jobs, unload, clock
        self._worked = self._looked = clock()
        self._unloaded = True

    def work(self) -> None:
        """A client wants something (not just a sign of life)."""
        self._worked = self._clock()
        self._unloaded = False

    def tick(self) -> None:
        """Look at the times; sets ``stopping`` when nobody needs the server any more."""
        self._forgive_standstill()
        if self._active_jobs():
            self.work()
            return
        idle = self._clock() - self._worked
        unowned = self.leases.unowned_for()
        if idle >= self.settings.unload_after and not self._unloaded:
            self._unloaded = True
            self._unload()
        if unowned is None:
            leave = idle >= self.settings.exit_after
        else:
            # A client whose lease ran out, but who asked for something a moment ago, is slow and not gone.
            gone = not self.leases.lapsed or idle >= self.settings.lease_ttl
            leave = gone and min(unowned, idle) >= self.patience
        if leave:
            self.stopping.set()

    def _forgive_standstill(self) -> None:
        moment = self._clock()
        pause, self._looked = moment - self._looked, moment
        if pause > STANDSTILL_SECONDS:
            self.leases.extend(pause)
            self._worked += pause

    @property
    def patience(self) -> float:
        """Seconds without clients and work after which the server leaves."""
        if not self.leases.ever_held:
            return max(self.settings.idle_timeout, self.settings.lease_ttl)
        return 0.0 if self.settings.stop_when_unowned else self.settings.idle_timeout
