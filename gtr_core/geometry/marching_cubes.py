"""Differentiable marching cubes over the active cells of a regular grid."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
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
    cells, cases = _active_cells(sdf.detach() < level)
    if len(cells) == 0:
        raise GtrError(
            ErrorCode.EMPTY_RECONSTRUCTION,
            "No surface came out of these images.",
            "Check the masks and the cameras, or choose another camera set.",
        )
    faces, owner, axis = _faces_and_edges(cells, cases, resolution + 2)
    return _edge_vertices(sdf, level, owner, axis), faces


def _active_cells(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Cells of the padded grid that the surface passes: index of their first node (K,) and their case (K,)."""
    nodes = len(inside) + 2
    corner = torch.zeros((nodes,) * 3, dtype=torch.uint8, device=inside.device)
    corner[1:-1, 1:-1, 1:-1] = inside
    along_x = corner[:-1] + 2 * corner[1:]
    along_xy = along_x[:, :-1] + 4 * along_x[:, 1:]
    case = along_xy[:, :, :-1] + 16 * along_xy[:, :, 1:]
    # nonzero on flags of the whole grid is the slow part; `case + 1` maps 0 and 255 to 1 and 0
    cell = ((case + 1) > 1).flatten().nonzero().squeeze(1)
    cases = case.flatten()[cell].long()
    side = nodes - 1
    plane, z = cell // side, cell % side
    x, y = plane // side, plane % side
    return (x * nodes + y) * nodes + z, cases


def _faces_and_edges(cells: Tensor, cases: Tensor, nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Faces (M, 3) and, per vertex, the node that its edge starts from (N,) and the edge's axis (N,).

    Every crossed edge starts at the first node of an active cell, so numbering the crossed edges of the cells' first
    nodes numbers all vertices without a search for duplicates.
    """
    device = cells.device
    triangles, count, own = _tables(device)
    crossed = own[cases]
    number = crossed.flatten().long().cumsum(0) - 1
    # only the entries of active cells are ever written or read
    slot = torch.empty(nodes**3, dtype=torch.int32, device=device)
    slot[cells] = torch.arange(len(cells), dtype=torch.int32, device=device)

    cell = torch.repeat_interleave(torch.arange(len(cells), device=device), count[cases])
    first = (count[cases].cumsum(0) - count[cases])[cell]
    edge = triangles[cases[cell], torch.arange(len(cell), device=device) - first]
    stride = (nodes * nodes, nodes, 1)
    start = torch.tensor([sum(stride[k] for k in range(3) if a >> k & 1) for a, _ in EDGE_CORNERS], device=device)
    owner = cells[cell][:, None] + start[edge]
    faces = number[slot[owner].long() * 3 + edge // 4]

    at = crossed.flatten().nonzero().squeeze(1)
    return faces, cells[at // 3], at % 3


def _tables(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Edges (256, 5, 3), triangle counts (256,), and whether the three edges of corner 0 are crossed (256, 3)."""
    triangles = torch.zeros(256, 5, 3, dtype=torch.long)
    count = torch.tensor([len(text) // 3 for text in CASES])
    for index, text in enumerate(CASES):
        triangles[index].view(-1)[: len(text)] = torch.tensor([int(digit, 16) for digit in text], dtype=torch.long)
    case = torch.arange(256)
    own = torch.stack([(case & 1) != (case >> (1 << axis) & 1) for axis in range(3)], dim=1)
    return triangles.to(device), count.to(device), own.to(device)


def _edge_vertices(sdf: Tensor, level: float, owner: Tensor, axis: Tensor) -> Tensor:
    """(N, 3) world positions of the crossings of the edges that start at ``owner`` along ``axis``."""
    resolution = sdf.shape[0]
    nodes = resolution + 2
    plane, z = owner // nodes, owner % nodes
    start = torch.stack([plane // nodes, plane % nodes, z], dim=1)
    step = torch.nn.functional.one_hot(axis, 3)
    a, b = _padded_value(sdf, level, start), _padded_value(sdf, level, start + step)
    fraction = (level - a) / (b - a)
    position = start.to(sdf.dtype) + fraction[:, None] * step.to(sdf.dtype) - 1
    return position * (2 / (resolution - 1)) - 1


def _padded_value(sdf: Tensor, level: float, node: Tensor) -> Tensor:
    """(N,) values at nodes (N, 3) of the padded grid; ``level + 1`` in the layer around it."""
    resolution = sdf.shape[0]
    node = node - 1
    within = ((node >= 0) & (node < resolution)).all(1)
    x, y, z = node.clamp(0, resolution - 1).unbind(1)
    values = sdf.reshape(-1).index_select(0, (x * resolution + y) * resolution + z)
    return torch.where(within, values, torch.full_like(values, level + 1))
