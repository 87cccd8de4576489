"""Nodes near a surface with their six neighbours: what gradients and curvature of a distance grid are taken from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.fit.sdf_grid import SdfGrid

_BAND = 2.0
"""In nodes: farther from the surface a distance need not be one."""


@dataclass(frozen=True)
class Stencils:
    """N nodes, and what is expected there.

    Args:
        nodes: (7 N,) flat indices: every node, then its next one along x, y and z, then its previous ones.
        expected: (N,) distances of the likely shape at the nodes.
        bend: (N,) its curvature there, see :func:`bend`.
    """

    nodes: Tensor
    expected: Tensor
    bend: Tensor

    @classmethod
    def near(cls, surface: SdfGrid, expected: Tensor) -> Stencils:
        """The nodes near a surface; those closest to it when a blur has swallowed all of a thin object.

        Args:
            surface: distance on a grid.
            expected: (R, R, R) distances of the likely shape on the same grid.
        """
        level = surface.values.amin().clamp(min=0)
        inner = torch.zeros_like(surface.values, dtype=torch.bool)
        inner[1:-1, 1:-1, 1:-1] = True
        near = inner & ((surface.values - level).abs() < _BAND * surface.spacing)
        steps = torch.tensor([surface.resolution**2, surface.resolution, 1], device=near.device)
        nodes = near.flatten().nonzero().squeeze(-1) + torch.cat([torch.zeros_like(steps[:1]), steps, -steps])[:, None]
        centre, ahead, behind = _parted(expected, nodes.flatten())
        return cls(nodes.flatten(), centre, bend(centre, ahead, behind))

    def of(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values (R, R, R) at the nodes (N,), at their next ones (3, N) and at their previous ones (3, N)."""
        return _parted(values, self.nodes)


def bend(centre: Tensor, ahead: Tensor, behind: Tensor) -> Tensor:
    """Sum of the second differences along the three axes: (N,), the Laplacian times the spacing squared."""
    return (ahead + behind).sum(0) - 6 * centre


def _parted(values: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    found = values.flatten().index_select(0, nodes).reshape(7, -1)
    return found[0], found[1:4], found[4:]
