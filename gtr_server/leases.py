"""Who uses the server: clients hold a lease and renew it; whoever is silent too long is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MAX_CLIENTS = 1000


class Leases:
    """Leases by client id.

    Args:
        ttl: seconds that a lease lasts without being renewed.
        clock: monotonic seconds.
    """

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.ttl, self._clock = ttl, clock
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()
        self._unowned_since = clock()
        self.ever_held = False
        """Whether any client has ever come."""
        self.lapsed = False
        """Whether the lease that ended last ran out: its client did not say good-bye, it may only be slow."""

    def renew(self, client: str) -> bool:
        """Take or renew a lease; False when there are absurdly many."""
        with self._lock:
            self._expire()
            if client not in self._ends and len(self._ends) >= MAX_CLIENTS:
                return False
            self._ends[client] = self._clock() + self.ttl
            self.ever_held = True
            return True

    def release(self, client: str) -> None:
        """Give a lease back."""
        with self._lock:
            self._expire()
            if self._ends.pop(client, None) is not None:
                self.lapsed = False
                self._unowned_since = self._clock()

    def extend(self, seconds: float) -> None:
        """Let every lease last longer: for so long nobody could be heard."""
        with self._lock:
            self._ends = {client: end + seconds for client, end in self._ends.items()}

    def count(self) -> int:
        """How many are held."""
        with self._lock:
            self._expire()
            return len(self._ends)

    def unowned_for(self) -> float | None:
        """Seconds since the last lease ended (or since the start); None while one is held."""
        with self._lock:
            self._expire()
            return None if self._ends else self._clock() - self._unowned_since

    def _expire(self) -> None:
        moment = self._clock()
        ended = [client for client, end in self._ends.items() if end <= moment]
        for client in ended:
            self._unowned_since = max(self._unowned_since, self._ends.pop(client))
            self.lapsed = True
