"""Training samples from several sources, some more often than others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import torch

from gtr_core.data.dataset import Batch, BatchRequest, TrainingSource, join
from gtr_core.data.training_cameras import sample_generator


class MixedSource:
    """Implements :class:`gtr_core.data.dataset.TrainingSource`.

    Which source a sample comes from is drawn by its number. Points in space are given when all sources give them.

    Args:
        sources: at least one.
        weights: how often each is drawn, all above 0; they need not add up to 1.
    """

    def __init__(self, sources: Sequence[TrainingSource], weights: Sequence[float]) -> None:
        if len(sources) != len(weights) or not sources or min(weights) <= 0:
            raise ValueError(f"{len(sources)} sources cannot have the weights {list(weights)}")
        self._sources, self._weights = list(sources), [weight / sum(weights) for weight in weights]
        self._limits = list(accumulate(self._weights))[:-1]

    @property
    def name(self) -> str:
        """What the samples are made from."""
        parts = zip(self._weights, self._sources, strict=True)
        return ", ".join(f"{weight:.0%} {source.name}" for weight, source in parts)

    @property
    def has_points(self) -> bool:
        """Points in space are given when all sources give them."""
        return all(source.has_points for source in self._sources)

    def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        """See :meth:`gtr_core.data.dataset.TrainingSource.batch`."""
        return join([self._plain(self._drawn(seed, index).batch(seed, [index], request)) for index in indices])

    def validation(self, indices: Sequence[int], request: BatchRequest) -> Batch:
        """Each source in turn."""
        count = len(self._sources)
        parts = [self._sources[index % count].validation([index // count], request) for index in indices]
        return replace(join([self._plain(part) for part in parts]), indices=torch.tensor(list(indices)))

    def _drawn(self, seed: int, index: int) -> TrainingSource:
        place = float(torch.rand((), generator=sample_generator(seed, index, 6), dtype=torch.float64))
        return self._sources[bisect_right(self._limits, place)]

    def _plain(self, batch: Batch) -> Batch:
        """Without the points that only some of the sources give."""
        return batch if self.has_points else replace(batch, points=None)
