"""Differentiable marching cubes over the active cells of a regular grid."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.active_cells import ActiveCells, active_cells
from gtr_core.geometry.case_table import EDGE_CORNERS
from gtr_core.geometry.marching_cubes_table import CASES


def marching_cubes(sdf: Tensor, *, level: float = 0.0) -> tuple[Tensor, Tensor]:
    """The surface sdf = level as a closed triangle mesh.

    The grid is surrounded by one layer of nodes with the value ``level + 1``: where the object touches the border of
    the grid the surface is closed by a cap up to one cell outside [-1, 1] (as in the released GTR).

    Args:
        sdf: (R, R, R) values at the nodes linspace(-1, 1, R), index [ix, iy, iz]; below ``level`` is inside.
        level: the iso value.

    Returns:
        vertices (N, 3) in world units, one per crossed grid edge, at the linear crossing, differentiable in ``sdf``;
        faces (M, 3) int64, counter-clockwise seen from outside. Every edge has exactly two faces.

    Raises:
        GtrError: ``empty_reconstruction`` when no node is inside.
    """
    resolution = sdf.shape[0]
    if sdf.shape != (resolution,) * 3 or resolution < 2:
        raise ValueError(f"sdf is {tuple(sdf.shape)}, expected a cube of at least 2 nodes a side")
    return triangulate(active_cells(sdf, level), level=level)


def triangulate(cells: ActiveCells, *, level: float = 0.0) -> tuple[Tensor, Tensor]:
    """The surface inside the active cells of a grid; see :func:`marching_cubes`.

    Args:
        cells: all of them.
        level: the iso value.

    Returns:
        vertices (N, 3), ordered by the cell that their edge belongs to, then by its axis, differentiable in
        ``cells.values``; faces (M, 3) int64.

    Raises:
        GtrError: ``empty_reconstruction`` when there is no cell.
    """
    if len(cells) == 0:
        raise GtrError(
            ErrorCode.EMPTY_RECONSTRUCTION,
            "No surface came out of these images.",
            "Check the masks and the cameras, or choose another camera set.",
        )
    case = cells.case.int()
    crossed = _tables(case.device).own_crossed.index_select(0, case)
    return _edge_vertices(cells, crossed, level), _faces(cells, case, crossed)


def _faces(cells: ActiveCells, case: Tensor, crossed: Tensor) -> Tensor:
    """(M, 3) faces of the cells.

    Every crossed edge starts at the first node of an active cell, so numbering the crossed edges of the cells' first
    nodes numbers all vertices without a search for duplicates.
    """
    tables = _tables(case.device)
    number = crossed.flatten().cumsum(0, dtype=torch.int32) - 1
    count = tables.count.index_select(0, case)
    ends = count.cumsum(0, dtype=torch.int32)
    cell = torch.repeat_interleave(count)
    slot = torch.arange(len(cell), dtype=torch.int32, device=case.device) - (ends - count).index_select(0, cell)
    row = case.index_select(0, cell) * tables.longest + slot
    # where in the 7 first-node candidates around the cell the edge starts, and along which axis it runs
    owner = _neighbor_ranks(cells).view(-1)[tables.corner.index_select(0, row) + 7 * cell[:, None]]
    return number[owner * 3 + tables.axis.index_select(0, row)].long()


def _neighbor_ranks(cells: ActiveCells) -> Tensor:
    """(K, 7) where the cells that start at the corners 0 to 6 of a cell stand in the list, if they stand there.

    The cell after a cell along z is the next in the list; other neighbours are looked up.
    """
    nodes, key = cells.resolution + 2, cells.key
    rank = torch.arange(len(key), device=key.device)
    last = len(key) - 1
    columns: list[Tensor] = [rank] * 7
    columns[4] = rank + 1
    for corner, step in ((1, nodes * nodes), (2, nodes), (3, nodes * nodes + nodes)):
        sought = key + step
        found = torch.searchsorted(key, sought)
        columns[corner] = found
        if corner < 3:
            columns[corner + 4] = found + (key[found.clamp(max=last)] == sought)
    return torch.stack(columns, dim=1)


class _Tables:
    """The case table as tensors.

    Args:
        device: where they lie.

    Attributes:
        longest: most triangles of a case.
        count: (256,) triangles of each case.
        corner, axis: (256 * longest, 3) corner that each edge of each triangle starts from, and its axis.
        own_crossed: (256, 3) whether the three edges of corner 0 are crossed.
    """

    def __init__(self, device: torch.device) -> None:
        self.longest = max(len(text) for text in CASES) // 3
        edges = torch.zeros(256, 3 * self.longest, dtype=torch.long)
        for index, text in enumerate(CASES):
            edges[index, : len(text)] = torch.tensor([int(digit, 16) for digit in text], dtype=torch.long)
        start = torch.tensor([first for first, _ in EDGE_CORNERS])
        case = torch.arange(256)
        self.count = torch.tensor([len(text) // 3 for text in CASES], dtype=torch.int32, device=device)
        self.corner = start[edges].view(-1, 3).to(device)
        self.axis = (edges // 4).view(-1, 3).to(device)
        self.own_crossed = torch.stack([(case & 1) != (case >> (1 << axis) & 1) for axis in range(3)], 1).to(device)


@cache
def _tables(device: torch.device) -> _Tables:
    return _Tables(device)


def _edge_vertices(cells: ActiveCells, crossed: Tensor, level: float) -> Tensor:
    """(N, 3) world positions of the crossings of the edges that start at the cells' first nodes."""
    nodes = cells.resolution + 2
    at = crossed.flatten().nonzero().squeeze(1)
    owner, axis = at // 3, at % 3
    key = cells.key.index_select(0, owner)
    row = key // nodes
    start = torch.stack([row // nodes, row % nodes, key % nodes], dim=1)
    values = cells.values.reshape(-1)
    a, b = values.index_select(0, owner * 4), values.index_select(0, at + owner + 1)
    fraction = (level - a) / (b - a)
    position = (start - 1).to(values.dtype)
    position = position.scatter_add(1, axis[:, None], fraction[:, None])
    return position * (2 / (cells.resolution - 1)) - 1
