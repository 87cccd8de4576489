"""Random numbers that are the same on every machine and with every version of numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 256


class Draw:
    """A stream of random choices that belongs to (seed, index) and nothing else.

    It takes the raw bits of numpy's Philox, a counter-based generator whose bits are fixed by its publication, and
    makes the numbers itself: numpy may change its distributions from one release to the next.

    Args:
        seed: of the whole family of objects, 0 or more.
        index: which object of the family, 0 or more.
    """

    def __init__(self, seed: int, index: int) -> None:
        self._bits = np.random.Philox(key=np.array([seed, index], dtype=np.uint64))
        self._numbers: list[float] = []

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        if not self._numbers:
            raw = np.asarray(self._bits.random_raw(_BLOCK), dtype=np.uint64)
            self._numbers = ((raw >> np.uint64(11)) * 2.0**-53).tolist()
        return self._numbers.pop()

    def uniform(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit()

    def ratio(self, low: float, high: float) -> float:
        """Uniform in the logarithm, in [low, high), both positive."""
        return low * math.exp(math.log(high / low) * self.unit())

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.unit() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def sign(self) -> float:
        """-1 or 1."""
        return 1.0 if self.unit() < 0.5 else -1.0

    def choice(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of the options, with these relative weights."""
        if weights is None:
            return options[int(self.unit() * len(options))]
        mark = self.unit() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            mark -= weight
            if mark < 0:
                return option
        return options[-1]

    def seed(self) -> int:
        """A seed for the hashes of a pattern, in [0, 2^24)."""
        return int(self.unit() * 2**24)

    def direction(self) -> tuple[float, float, float]:
        """Uniform on the unit sphere."""
        y, angle = self.uniform(-1, 1), self.uniform(0, 2 * math.pi)
        around = math.sqrt(max(1 - y * y, 0.0))
        return around * math.sin(angle), y, around * math.cos(angle)
