"""What every tracer of procedural objects does: the compiled ones and the readable one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from gtr_core.data.procedural.layout import Record

Points = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Hits:
    """Where rays meet S objects, N rays each.

    Args:
        distance: (S, N) along the ray in world units; 0 = the ray misses.
        normal: (S, N, 3) unit outward normals in the world; 0 where it misses.
        color: (S, N, 3) sRGB in [0, 1], 0 where it misses; None when not asked for.
    """

    distance: Tensor
    normal: Tensor
    color: Tensor | None

    @property
    def mask(self) -> Tensor:
        """(S, N) bool, whether the ray hits."""
        return self.distance > 0


class Tracer(Protocol):
    """A way to evaluate the tables of ``layout.SCENE``. All tensors are float32 on the tracer's device."""

    name: str

    def distance(self, tables: Record, points: Tensor) -> Tensor:
        """Signed distances (S, N) at points (S, N, 3), negative inside, never more than the true distance."""

    def object_distance(self, table: Record, points: Points) -> Points:
        """Signed distances (N,) of one object, a (1,) record, in its own space at points (N, 3), in float64."""

    def surface(self, tables: Record, points: Tensor) -> tuple[Tensor, Tensor]:
        """Unit normals (S, N, 3) and sRGB colours (S, N, 3) at points (S, N, 3) of the surface."""

    def trace(self, tables: Record, origins: Tensor, directions: Tensor, *, colors: bool = True) -> Hits:
        """First hits of rays with origins and unit directions (S, N, 3)."""
