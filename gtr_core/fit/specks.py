"""Removing the small loose pieces that no view shows."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage, sparse
from torch import Tensor

from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.geometry.mesh import Mesh

_LARGEST = 0.25
"""Pieces with a longer side than this (world units) stay: they are no specks."""


def components(mesh: Mesh) -> tuple[int, Tensor]:
    """Number of connected pieces, and the piece of every vertex (N,)."""
    faces = mesh.faces.cpu().numpy()
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    count = len(mesh.vertices)
    graph = sparse.coo_matrix((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    number, labels = sparse.csgraph.connected_components(graph, directed=False)
    return int(number), torch.from_numpy(labels.astype(np.int64)).to(mesh.vertices.device)


def unseen_specks(mesh: Mesh, seen: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Small pieces without a single vertex that a view sees.

    Args:
        mesh: with closed pieces.
        seen: (N,) bool per vertex.

    Returns:
        Which vertices (N,) belong to such a piece, and the vertices (n, 3) of each.
    """
    number, labels = components(mesh)
    shown = torch.zeros(number, dtype=torch.bool, device=labels.device)
    shown[labels[seen]] = True
    belongs = torch.zeros_like(seen)
    pieces = []
    for label in (~shown).nonzero().squeeze(-1):
        piece = labels == label
        vertices = mesh.vertices[piece]
        if number > 1 and float((vertices.amax(0) - vertices.amin(0)).max()) <= _LARGEST:
            belongs |= piece
            pieces.append(vertices)
    return belongs, pieces


def without_vertices(mesh: Mesh, dropped: Tensor) -> Mesh:
    """The mesh without these vertices (N,) bool, which make up whole pieces."""
    place = (~dropped).cumsum(0) - 1
    faces = mesh.faces[~dropped[mesh.faces[:, 0]]]
    colors = None if mesh.colors is None else mesh.colors[~dropped]
    return Mesh(mesh.vertices[~dropped], place[faces], colors)


def without_specks(grid: SdfGrid, specks: list[Tensor]) -> SdfGrid:
    """The grid with the sign of these pieces (vertices (n, 3) of closed surfaces) turned round."""
    values = grid.values.clone()
    for speck in specks:
        place = (speck + 1) / grid.spacing
        low = place.amin(0).floor().long().clamp(min=0)
        high = place.amax(0).ceil().long().clamp(max=grid.resolution - 1) + 1
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        part = values[box]
        is_bubble = bool(part[_shell(part.shape, part.device)].lt(0).float().mean() > 0.5)
        sign = part.cpu().numpy() < 0
        labels, _ = ndimage.label(~sign if is_bubble else sign)
        nearest = (place.round().long() - low).clamp(min=0)
        limits = torch.tensor(part.shape, device=nearest.device) - 1
        touched = np.unique(labels[tuple(torch.minimum(nearest, limits).cpu().numpy().T)])
        turned = torch.from_numpy(np.isin(labels, touched[touched > 0])).to(values.device)
        values[box] = torch.where(turned, -part, part)
    return SdfGrid(values)


def _shell(shape: tuple[int, ...], device: torch.device) -> Tensor:
    shell = torch.ones(shape, dtype=torch.bool, device=device)
    shell[1:-1, 1:-1, 1:-1] = False
    return shell
