"""Objects as values: a batch of tables with everything that can be asked of them, and one object alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gtr_core.data.procedural.layout import Layout, Record
from gtr_core.data.procedural.tracer import Hits, Tracer
from gtr_core.data.procedural.tracers import choose_tracer


@dataclass(frozen=True)
class Scenes:
    """S objects, each inside [-1, 1]^3 with its longest side 1.9.

    Args:
        tables: (S,) records of ``layout.SCENE``.
        tracer: that evaluates them; its device is that of all tensors.
    """

    tables: Record
    tracer: Tracer

    @classmethod
    def join(cls, scenes: Sequence[Scene | Scenes], *, device: torch.device | str = "cpu") -> Scenes:
        """Several objects as one batch."""
        return cls(np.concatenate([one.tables for one in scenes]), choose_tracer(device))

    def __len__(self) -> int:
        return len(self.tables)

    def __getitem__(self, index: int) -> Scene:
        return Scene(self.tables[index : index + 1], self.tracer)

    def sdf(self, points: Tensor) -> Tensor:
        """Signed distances (S, N) in world units at points (S, N, 3): negative inside.

        The sign is exact and the value never exceeds the true distance; see ``distance`` for the value itself.
        """
        return self.tracer.distance(self.tables, points)

    def distance(self, points: Tensor, *, reach: float = 1e-3) -> Tensor:
        """Signed distances (S, N) corrected to first order: close to the true ones near the surface.

        Lathes, waves, tapers and flat ellipsoids have steps that are shorter than the distance. Dividing by the length
        of the gradient mends that where the surface is near.

        Args:
            points: (S, N, 3).
            reach: half the width of the differences.
        """
        offsets = reach * torch.eye(3, dtype=points.dtype, device=points.device)
        sides = torch.cat([points + sign * offset for offset in offsets for sign in (1.0, -1.0)], dim=1)
        samples = self.sdf(sides).view(len(self), 3, 2, -1)
        slope: Tensor = ((samples[:, :, 0] - samples[:, :, 1]) / (2 * reach)).norm(dim=1)
        return self.sdf(points) / slope.clamp(0.25, 1.0)

    def color(self, points: Tensor) -> Tensor:
        """sRGB colours (S, N, 3) in [0, 1] at points (S, N, 3) of the surface, with their baked light."""
        return self.tracer.surface(self.tables, points)[1]

    def normal(self, points: Tensor) -> Tensor:
        """Unit gradients of the distance (S, N, 3) at points (S, N, 3)."""
        return self.tracer.surface(self.tables, points)[0]

    def trace(self, origins: Tensor, directions: Tensor, *, colors: bool = True) -> Hits:
        """First hits of rays with origins and unit directions (S, N, 3)."""
        return self.tracer.trace(self.tables, origins, directions, colors=colors)


@dataclass(frozen=True)
class Scene:
    """One object: ``Scenes`` without the first dimension.

    Args:
        tables: (1,) record of ``layout.SCENE``.
        tracer: that evaluates it.
    """

    tables: Record
    tracer: Tracer

    @property
    def layout(self) -> Layout:
        """How its parts were arranged."""
        return Layout(int(self.tables["layout"][0]))

    @property
    def half_extents(self) -> Tensor:
        """(3,) half the sides of its bounding box, which is centred at the origin."""
        return torch.tensor(self.tables["extent"][0].tolist())

    def sdf(self, points: Tensor) -> Tensor:
        """Signed distances (N,) at points (N, 3): see ``Scenes.sdf``."""
        return self._alone.sdf(points[None])[0]

    def distance(self, points: Tensor) -> Tensor:
        """Signed distances (N,) at points (N, 3), accurate near the surface: see ``Scenes.distance``."""
        return self._alone.distance(points[None])[0]

    def color(self, points: Tensor) -> Tensor:
        """sRGB colours (N, 3) at points (N, 3) of the surface."""
        return self._alone.color(points[None])[0]

    def normal(self, points: Tensor) -> Tensor:
        """Unit gradients (N, 3) at points (N, 3)."""
        return self._alone.normal(points[None])[0]

    def trace(self, origins: Tensor, directions: Tensor, *, colors: bool = True) -> Hits:
        """First hits of rays (N, 3); the fields of the result are (1, N, ...)."""
        return self._alone.trace(origins[None], directions[None], colors=colors)

    @property
    def _alone(self) -> Scenes:
        return Scenes(self.tables, self.tracer)
