"""From a network's raw value to a density. Light: a configuration is read without loading torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DensityHead:
    """Raw density to density: softplus(scale * raw + shift).

    Args:
        scale: how steeply the density rises with the raw value, > 0.
        shift: of the softplus; with 10 the surface level 10 lies at a raw value of (nearly) zero.
    """

    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not (self.scale > 0 and math.isfinite(self.scale) and math.isfinite(self.shift)):
            raise ValueError(f"a density head of scale {self.scale} and shift {self.shift} is no density")

    def density(self, raw: Tensor) -> Tensor:
        """Raw values of any shape -> density >= 0 of the same shape."""
        if self != RELEASED_HEAD:
            raw = raw * self.scale + self.shift
        from torch.nn import functional  # late: configurations are read where torch is not wanted

        return functional.softplus(raw)

    def raw_at(self, density: float) -> float:
        """The raw value that has this density > 0: the level of a surface, before the softplus."""
        return (density + math.log(-math.expm1(-density)) - self.shift) / self.scale


RELEASED_HEAD = DensityHead()
"""A softplus without scale or shift."""
