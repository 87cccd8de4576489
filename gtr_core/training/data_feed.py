"""Batches that are made while the network computes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from gtr_core.data.dataset import Batch, BatchRequest, TrainingSource, join

Key = tuple[range, BatchRequest]


class DataFeed:
    """Asks a source ahead of time.

    Threads, not processes: the sources compute in native code, which runs beside Python.

    Args:
        source: of the batches.
        seed: of the run.
        threads: that make batches; 0 makes each when it is wanted.
        ahead: batches that are made ahead of time.
    """

    def __init__(self, source: TrainingSource, seed: int, *, threads: int, ahead: int = 2) -> None:
        self._source, self._seed, self._ahead = source, seed, ahead
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "data") if threads else None
        self._coming: dict[Key, list[Future[Batch]]] = {}

    def get(self, key: Key, following: Callable[[int], Key]) -> Batch:
        """A batch.

        Args:
            key: numbers of its samples, and what is wanted of them.
            following: the keys of the batches that will probably be wanted after it: 1 is the next one.
        """
        if self._pool is None:
            return self._source.batch(self._seed, key[0], key[1])
        wanted = [key, *(following(k) for k in range(1, self._ahead + 1))]
        for later in wanted:
            if later not in self._coming:
                self._coming[later] = self._start(later)
        for stale in [known for known in self._coming if known not in wanted]:
            for future in self._coming.pop(stale):
                future.cancel()
        return join([future.result() for future in self._coming.pop(key)])

    def _start(self, key: Key) -> list[Future[Batch]]:
        """Divide a batch among the threads."""
        assert self._pool is not None
        indices, request = key
        size = -(-len(indices) // self._threads)
        return [
            self._pool.submit(self._source.batch, self._seed, indices[first : first + size], request)
            for first in range(0, len(indices), size)
        ]

    def __enter__(self) -> DataFeed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
