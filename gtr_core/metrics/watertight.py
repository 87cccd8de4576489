"""Whether a mesh is closed, so that it has an inside."""

from __future__ import annotations

import torch

from gtr_core.geometry.mesh import Mesh


def is_watertight(mesh: Mesh) -> bool:
    """Whether every edge belongs to exactly two faces that run along it in opposite directions."""
    faces = mesh.faces
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = int(faces.max()) + 1 if len(faces) else 0
    forward = torch.unique(edges[:, 0] * count + edges[:, 1], return_counts=True)
    backward = torch.unique(edges[:, 1] * count + edges[:, 0])
    return bool((forward[1] == 1).all()) and torch.equal(forward[0], backward)


def is_closed(mesh: Mesh) -> bool:
    """Whether the surface has no rim: as many faces run along every edge one way as the other, at least one.

    Vertices at the same place count as one, so the seams of a texture do not matter; parts may touch or overlap. This
    is what an inside needs, and less than :func:`is_watertight` asks for.
    """
    faces = welded(mesh).faces
    if not len(faces):
        return False
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = int(faces.max()) + 1
    low, high = edges.amin(1), edges.amax(1)
    _, edge = torch.unique(low * count + high, return_inverse=True)
    balance = torch.zeros(int(edge.max()) + 1, dtype=torch.long)
    balance.index_add_(0, edge, torch.where(edges[:, 0] == low, 1, -1))
    return not bool(balance.any())


def welded(mesh: Mesh) -> Mesh:
    """The bare shape with one vertex per place; faces that have no area because two corners are one are left out."""
    vertices, place = torch.unique(mesh.vertices.detach().cpu(), dim=0, return_inverse=True)
    faces = place[mesh.faces.cpu()]
    a, b, c = faces.unbind(1)
    return Mesh(vertices, faces[(a != b) & (b != c) & (c != a)])
