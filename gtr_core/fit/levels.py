"""A grid as the sum of coarse and fine grids, so that a gradient step moves large parts as easily as small ones."""

from __future__ import annotations

import torch
from torch import Tensor


class LevelsOfDetail:
    """Zero at first; three trainable grids of a quarter, half and the full resolution, enlarged trilinearly and added.

    Args:
        resolution: nodes along an edge of the finest grid.
        device: of all tensors.
    """

    def __init__(self, resolution: int, device: torch.device | str = "cpu") -> None:
        sizes = [max(2, resolution // 4), max(2, resolution // 2), resolution]
        self.grids = [torch.zeros((size,) * 3, device=device, requires_grad=True) for size in sizes]
        self._matrices = [interpolation_matrix(size, resolution, device) for size in sizes[:-1]]

    def values(self) -> Tensor:
        """(R, R, R) the sum, differentiable in the grids."""
        total = self.grids[-1]
        for grid, matrix in zip(self.grids, self._matrices, strict=False):
            total = total + enlarged(grid, matrix)
        return total


def interpolation_matrix(coarse: int, fine: int, device: torch.device | str = "cpu") -> Tensor:
    """(fine, coarse) weights of linear interpolation between grids whose first and last nodes coincide."""
    place = torch.linspace(0, coarse - 1, fine, device=device)
    return (1 - (place[:, None] - torch.arange(coarse, device=device)).abs()).clamp(min=0)


def enlarged(values: Tensor, matrix: Tensor) -> Tensor:
    """Trilinear enlargement of (r, r, r) values by a matrix (R, r) for every axis: (R, R, R).

    Three matrix products, whose backward pass is several times faster than that of ``interpolate``.
    """
    for _ in range(3):
        values = torch.tensordot(values, matrix, dims=([0], [1]))
    return values
