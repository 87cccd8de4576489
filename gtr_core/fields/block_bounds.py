"""Proof that the surface does not pass a block of cells: bounds of the raw density over all its nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.fields.separable import SeparableDensity

GELU_ARGMIN = -0.7517916
"""Where the exact GELU has its only minimum."""
GELU_MIN = -0.1699713
"""Not larger than that minimum."""
_UNITS = 32
"""Hidden units of a wide network that are projected at a time; bounds the memory."""
_CHUNK_VALUES = {"cpu": 1 << 18, "cuda": 1 << 26}


class BlockBounds(Protocol):
    """Bounds of the raw density over blocks of cells.

    Blocks of side s hold s^3 cells; block i starts at the padded node s i (see
    :class:`gtr_core.geometry.active_cells.ActiveCells`) and shares its last layer of nodes with the next one.
    """

    def __call__(self, blocks: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """Lower and upper bounds (K,) over the nodes of the blocks (K, 3) of this side that lie in the grid."""
        ...


class IntervalBounds:
    """Bounds by interval arithmetic, for narrow networks: the radii grow with the sums of abs(W).

    Over a block each of the three maps has a smallest and a largest value per hidden unit; their sums bound the first
    layer, and every later layer follows: GELU falls up to its minimum and rises from there, and a linear layer turns
    an interval of centre c and radius r into one of centre W c + b and radius abs(W) r.

    Args:
        density: whose values are bounded.
        finest: side of the smallest blocks.
        levels: number of block sides: finest, 2 finest, 4 finest ...
    """

    def __init__(self, density: SeparableDensity, finest: int, levels: int) -> None:
        self._density = density
        top = finest << (levels - 1)
        blocks = -(-(density.resolution + 1) // top) << (levels - 1)
        self._extremes = {finest: [self._plane_windows(plane, finest, blocks) for plane in range(3)]}
        for level in range(1, levels):
            finer = self._extremes[finest << (level - 1)]
            self._extremes[finest << level] = [
                (_pairs(low, torch.minimum), _pairs(high, torch.maximum)) for low, high in finer
            ]

    def _plane_windows(self, plane: int, side: int, blocks: int) -> tuple[Tensor, Tensor]:
        """Extremes (B, B, H) of one plane's part of the first layer over windows of the smallest blocks."""
        density = self._density
        if density.projected:
            return _windows(density.maps[plane], side, blocks)
        parts = [
            _windows(density.plane_map(plane, slice(first, first + _UNITS)), side, blocks)
            for first in range(0, density.hidden, _UNITS)
        ]
        low, high = (torch.cat(values, dim=2) for values in zip(*parts, strict=True))
        return low, high

    def __call__(self, blocks: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """See :class:`BlockBounds`."""
        chunk = max(_CHUNK_VALUES.get(blocks.device.type, 1 << 18) // self._density.hidden, 64)
        parts = [self._bound(part, side) for part in torch.split(blocks, chunk)]
        low, high = (torch.cat(values) for values in zip(*parts, strict=True))
        return low, high

    def _bound(self, blocks: Tensor, side: int) -> tuple[Tensor, Tensor]:
        count = len(self._extremes[side][0][0])
        x, y, z = blocks.unbind(1)
        pairs = (x * count + y, x * count + z, y * count + z)
        bounds = []
        for which in (0, 1):
            xy, xz, yz = (
                extremes[which].flatten(0, 1).index_select(0, at)
                for extremes, at in zip(self._extremes[side], pairs, strict=True)
            )
            bounds.append(xy.add_(xz).add_(yz).add_(self._density.biases[0]))
        low, high = bounds
        for weight, bias in zip(self._density.weights[1:], self._density.biases[1:], strict=True):
            low, high = gelu_interval(low, high)
            center = functional.linear((low + high) / 2, weight, bias)
            radius = functional.linear((high - low) / 2, weight.abs())
            low, high = center - radius, center + radius
        return low.squeeze(1), high.squeeze(1)


def gelu_interval(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The range of GELU over intervals of any shape."""
    at_low, at_high = functional.gelu(low), functional.gelu(high)
    smallest = torch.minimum(at_low, at_high)
    smallest = torch.where((low < GELU_ARGMIN) & (high > GELU_ARGMIN), GELU_MIN, smallest)
    return smallest, torch.maximum(at_low, at_high)


def _windows(values: Tensor, side: int, blocks: int) -> tuple[Tensor, Tensor]:
    """Extremes (B, B, K) of a map (R, R, K) over windows of (side + 1)^2 padded nodes, ``side`` apart.

    The padding repeats the border: it adds no value that the window does not have.
    """
    node = (torch.arange(blocks * side + 1, device=values.device) - 1).clamp(0, len(values) - 1)
    low, high = (_reduce(values[node], side, combine, 0) for combine in (torch.minimum, torch.maximum))
    return _reduce(low[:, node], side, torch.minimum, 1), _reduce(high[:, node], side, torch.maximum, 1)


def _reduce(values: Tensor, side: int, combine: Callable[[Tensor, Tensor], Tensor], dim: int) -> Tensor:
    """Combine the ``side + 1`` values of each window along ``dim``, which holds a multiple of ``side`` and one more."""
    count = (values.shape[dim] - 1) // side
    parts = [values.narrow(dim, k, (count - 1) * side + 1) for k in range(side + 1)]
    index = (slice(None),) * dim + (slice(None, None, side),)
    result = parts[0][index]
    for part in parts[1:]:
        result = combine(result, part[index])
    return result


def _pairs(values: Tensor, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Windows (B, B, K) -> windows of twice the side (B / 2, B / 2, K)."""
    rows = combine(values[::2], values[1::2])
    return combine(rows[:, ::2], rows[:, 1::2])
