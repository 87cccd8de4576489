"""The cells of a grid that the surface passes: all that marching cubes needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_SLAB = 32
"""Slices looked at together: few enough for the cache, and little memory beside the grid itself."""


@dataclass(frozen=True)
class ActiveCells:
    """Cells of the padded grid with some corners inside and some outside.

    A grid of R nodes a side is padded by one layer of nodes that lie outside, so N = R + 2; cell (x, y, z) starts at
    the padded node of the same number. Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2 & 1).

    Args:
        key: (K,) int64, (x N + y) N + z, rising.
        case: (K,) uint8, sum of 2^c over the corners that are inside.
        values: (K, 4) signed distances at the first corner and at its neighbours along x, y and z.
        resolution: R.
    """

    key: Tensor
    case: Tensor
    values: Tensor
    resolution: int

    def __len__(self) -> int:
        return len(self.key)


def corner_cases(inside: Tensor) -> Tensor:
    """Cases (..., X - 1, Y - 1, Z - 1) uint8 of the cells between nodes that are inside or not (..., X, Y, Z) uint8."""
    along_x = inside[..., :-1, :, :] + 2 * inside[..., 1:, :, :]
    along_xy = along_x[..., :-1, :] + 4 * along_x[..., 1:, :]
    return along_xy[..., :-1] + 16 * along_xy[..., 1:]


def active(cases: Tensor) -> Tensor:
    """Flat indices of the cases other than 0 and 255."""
    # nonzero on flags of the whole grid is the slow part; `case + 1` maps 0 and 255 to 1 and 0
    return ((cases + 1) > 1).flatten().nonzero().squeeze(1)


def active_cells(sdf: Tensor, level: float) -> ActiveCells:
    """The active cells of a dense grid.

    Args:
        sdf: (R, R, R) at the nodes, index [ix, iy, iz]; below ``level`` is inside.
        level: of the surface; the padding has the value ``level + 1``.

    Returns:
        The cells; their values are differentiable in ``sdf``.
    """
    resolution = len(sdf)
    nodes = resolution + 2
    keys, cases = [], []
    with torch.no_grad():
        for first in range(0, nodes - 1, _SLAB):
            last = min(first + _SLAB, nodes - 1)
            key, case = _slab_cells(sdf.detach(), level, first, last)
            keys.append(key)
            cases.append(case)
    key, case = torch.cat(keys), torch.cat(cases)
    return ActiveCells(key, case, _edge_values(sdf, level, key), resolution)


def join_cells(parts: Sequence[ActiveCells]) -> ActiveCells:
    """The cells of slabs that follow each other along x."""
    key, case, values = (torch.cat([getattr(part, name) for part in parts]) for name in ("key", "case", "values"))
    return ActiveCells(key, case, values, parts[0].resolution)


def slab_cells(values: Tensor, first: int, level: float) -> ActiveCells:
    """The active cells between some neighbouring slices of a grid.

    Args:
        values: (S + 1, R, R) signed distances at the padded slices ``first`` to ``first + S``.
        first: padded number of the first slice.
        level: of the surface.
    """
    resolution = values.shape[1]
    nodes = resolution + 2
    padded = torch.nn.functional.pad(values, (1, 1, 1, 1), value=level + 1)
    cases = corner_cases((padded < level).to(torch.uint8))
    at = active(cases)
    node = _start_nodes(at, nodes)
    flat = padded.view(-1)
    near = torch.stack([flat[node + step] for step in (0, nodes * nodes, nodes, 1)], dim=1)
    return ActiveCells(node + first * nodes * nodes, cases.view(-1)[at], near, resolution)


def _slab_cells(sdf: Tensor, level: float, first: int, last: int) -> tuple[Tensor, Tensor]:
    """Keys and cases of the cells that start at the padded slices ``first`` to ``last - 1``."""
    nodes = len(sdf) + 2
    low, high = max(first, 1), min(last, nodes - 2)
    inside = torch.zeros(last + 1 - first, nodes, nodes, dtype=torch.uint8, device=sdf.device)
    inside[low - first : high + 1 - first, 1:-1, 1:-1] = sdf[low - 1 : high] < level
    cases = corner_cases(inside)
    at = active(cases)
    return _start_nodes(at, nodes) + first * nodes * nodes, cases.view(-1)[at]


def _start_nodes(cell: Tensor, nodes: int) -> Tensor:
    """Flat indices of cells in a grid of cells -> those of their first nodes in the grid of ``nodes`` a side."""
    side = nodes - 1
    row = cell // side
    return cell + row + (row // side) * nodes


def _edge_values(sdf: Tensor, level: float, key: Tensor) -> Tensor:
    """(K, 4) values at the first corners of cells and at their neighbours along x, y and z."""
    nodes, resolution = len(sdf) + 2, len(sdf)
    row, z = key // nodes, key % nodes - 1
    x, y = row // nodes - 1, row % nodes - 1
    columns = []
    for axis in (None, 0, 1, 2):
        at = [x, y, z]
        if axis is not None:
            at[axis] = at[axis] + 1
        within = torch.stack([(c >= 0) & (c < resolution) for c in at]).all(0)
        i, j, k = (c.clamp(0, resolution - 1) for c in at)
        values = sdf.reshape(-1).index_select(0, (i * resolution + j) * resolution + k)
        columns.append(torch.where(within, values, torch.full_like(values, level + 1)))
    return torch.stack(columns, dim=1)
