"""Whether a mesh is closed, so that it has an inside."""

from __future__ import annotations

import torch

from gtr_core.geometry.mesh import Mesh

PINHOLES = 0.02
"""Length of all rims together, as a share of the longest side, up to which a surface counts as closed.

Scans of real objects often have one triangle of ten thousand missing or turned over; that changes no volume that a
grid can see, and to refuse them all would leave the data sets of the paper without figures.
"""


def is_watertight(mesh: Mesh) -> bool:
    """Whether every edge belongs to exactly two faces that run along it in opposite directions."""
    faces = mesh.faces
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = int(faces.max()) + 1 if len(faces) else 0
    forward = torch.unique(edges[:, 0] * count + edges[:, 1], return_counts=True)
    backward = torch.unique(edges[:, 1] * count + edges[:, 0])
    return bool((forward[1] == 1).all()) and torch.equal(forward[0], backward)


def is_closed(mesh: Mesh) -> bool:
    """Whether the surface has an inside: no rim, or none that is longer than :data:`PINHOLES`.

    This is what an inside needs, and less than :func:`is_watertight` asks for: vertices at the same place count as
    one, so the seams of a texture do not matter; parts may touch, overlap or lie within one another.
    """
    if not len(mesh.faces):
        return False
    low, high = mesh.bounds.double()
    return rim_length(mesh) <= PINHOLES * float((high - low).max())


def rim_length(mesh: Mesh) -> float:
    """Length of the edges along which not as many faces run one way as the other: 0 for a closed surface.

    A face that is turned the wrong way counts with its edges.
    """
    shape = welded(mesh)
    faces = shape.faces
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    low, high = edges.amin(1), edges.amax(1)
    both, edge = torch.unique(low * len(shape.vertices) + high, return_inverse=True)
    balance = torch.zeros(len(both), dtype=torch.long)
    balance.index_add_(0, edge, torch.where(edges[:, 0] == low, 1, -1))
    rim = balance.nonzero()[:, 0]
    ends = shape.vertices[torch.stack([both[rim] // len(shape.vertices), both[rim] % len(shape.vertices)])].double()
    return float((ends[0] - ends[1]).norm(dim=-1).sum())


def welded(mesh: Mesh) -> Mesh:
    """The bare shape with one vertex per place; faces that have no area because two corners are one are left out."""
    vertices, place = torch.unique(mesh.vertices.detach().cpu(), dim=0, return_inverse=True)
    faces = place[mesh.faces.cpu()]
    a, b, c = faces.unbind(1)
    return Mesh(vertices, faces[(a != b) & (b != c) & (c != a)])
