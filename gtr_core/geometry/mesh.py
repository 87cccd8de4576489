"""A triangle mesh as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mesh:
    """Triangles in the world frame, counter-clockwise seen from outside.

    Args:
        vertices: (N, 3) float32.
        faces: (M, 3) int64 indices into ``vertices``.
        colors: (N, 3) float32 sRGB in [0, 1], per vertex; None while not coloured.
        uv: (N, 2) float32, v up; None without a texture.
        texture: (H, W, 3) float32 sRGB in [0, 1], row 0 at the top; None without a texture.
    """

    vertices: Tensor
    faces: Tensor
    colors: Tensor | None = None
    uv: Tensor | None = None
    texture: Tensor | None = None

    @property
    def face_normals(self) -> Tensor:
        """(M, 3) unit normals, zero for degenerate faces."""
        a, b, c = self.vertices[self.faces].unbind(1)
        return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)

    @property
    def vertex_normals(self) -> Tensor:
        """(N, 3) unit normals: mean of the adjacent faces, weighted by their area."""
        a, b, c = self.vertices[self.faces].unbind(1)
        normals = torch.zeros_like(self.vertices)
        weighted = torch.linalg.cross(b - a, c - a)
        for corner in self.faces.unbind(1):
            normals = normals.index_add(0, corner, weighted)
        return torch.nn.functional.normalize(normals, dim=-1)

    @property
    def bounds(self) -> Tensor:
        """(2, 3) smallest and largest coordinates."""
        return torch.stack([self.vertices.amin(0), self.vertices.amax(0)])

    def with_colors(self, colors: Tensor) -> Mesh:
        """The same mesh with other vertex colours (N, 3), sRGB in [0, 1]."""
        return replace(self, colors=colors)

    def to(self, device: torch.device | str) -> Mesh:
        """The same mesh on another device."""
        parts = (self.vertices, self.faces, self.colors, self.uv, self.texture)
        return Mesh(*(part if part is None else part.to(device) for part in parts))  # type: ignore[arg-type]
