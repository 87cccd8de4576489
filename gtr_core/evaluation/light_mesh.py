"""A mesh as the 3D view of a report shows it: few faces, colours at the vertices."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from gtr_core.fields.field import Field
from gtr_core.fields.render_mesh import GREY, sample_texture
from gtr_core.geometry.decimate import decimate
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.glb_file import encode_glb
from gtr_core.metrics.watertight import welded

FACES = 10_000
"""At most so many."""
_TRIALS = 14
"""Lengths of edges that are tried; each halves what is not known."""
Array = NDArray[Any]


class LightMesh:
    """The shape of a mesh with few faces, to be coloured once per variant.

    A mesh with more faces is decimated, and its vertices take the colour of the nearest original vertex. One with fewer
    is divided, so that its texture shows between its own vertices.

    Args:
        mesh: any, with faces.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._nearest: Tensor | None = None
        self._shape: Mesh | None = None
        if len(mesh.faces) > FACES:
            vertices = mesh.vertices.detach().cpu()
            self._shape = decimate(welded(mesh.to("cpu")), FACES)
            found = cKDTree(vertices.numpy()).query(self._shape.vertices.numpy())[1]
            self._nearest = torch.from_numpy(np.asarray(found))

    def glb(self, mesh: Mesh, field: Field | None) -> bytes:
        """GLB file in the colours of the same shape ``mesh``, or of ``field`` when it is given."""
        if self._shape is None or self._nearest is None:
            light = _divided(mesh)
            colored = light.with_colors(_vertex_colors(light, field))
        elif field is not None:
            where = self._shape.vertices.to(mesh.vertices.device)
            with torch.no_grad():
                colored = self._shape.with_colors(field.color(where).cpu())
        else:
            colored = self._shape.with_colors(_vertex_colors(mesh, None).cpu()[self._nearest])
        bare = Mesh(colored.vertices, colored.faces, colored.colors)
        return encode_glb(bare.to("cpu"), "mesh")["mesh.glb"]


def _vertex_colors(mesh: Mesh, field: Field | None) -> Tensor:
    """(N, 3) sRGB."""
    if field is not None:
        with torch.no_grad():
            return field.color(mesh.vertices)
    if mesh.texture is not None and mesh.uv is not None:
        return sample_texture(mesh.texture, mesh.uv)
    return torch.full_like(mesh.vertices, GREY) if mesh.colors is None else mesh.colors


def _divided(mesh: Mesh) -> Mesh:
    """The mesh with its long edges halved, as short as FACES faces allow: they are then all about as short."""
    parts = [part for part in (mesh.vertices, mesh.colors, mesh.uv) if part is not None]
    corners, faces = torch.cat(parts, dim=1).detach().cpu().double().numpy(), mesh.faces.cpu().numpy()
    shortest, longest = 0.0, float(_longest_edges(corners, faces).max(initial=0.0))
    best = corners, faces
    for _ in range(_TRIALS):
        limit = (shortest + longest) / 2
        halved = _halved(corners, faces, limit)
        if halved is None:
            shortest = limit
        else:
            longest, best = limit, halved
    columns = list(torch.split(torch.from_numpy(best[0]).float(), [part.shape[1] for part in parts], dim=1))
    vertices = columns.pop(0).contiguous()
    colors = None if mesh.colors is None else columns.pop(0).contiguous()
    uv = None if mesh.uv is None else columns.pop(0).contiguous()
    return Mesh(vertices, torch.from_numpy(np.asarray(best[1], dtype=np.int64)), colors, uv, mesh.texture)


def _halved(corners: Array, faces: Array, limit: float) -> tuple[Array, Array] | None:
    """Faces with edges above the limit cut in four until there are none; None when they become too many."""
    while len(long := np.flatnonzero(_longest_edges(corners, faces) > limit)):
        if len(faces) + 3 * len(long) > FACES:
            return None
        corners, faces = trimesh.remesh.subdivide(corners, faces, face_index=long)  # type: ignore[no-untyped-call]
    return corners, faces


def _longest_edges(corners: Array, faces: Array) -> Array:
    """(M,) world units; the first three columns of the corners are positions."""
    at = corners[:, :3][faces]
    longest: Array = np.linalg.norm(at - np.roll(at, 1, axis=1), axis=2).max(axis=1)
    return longest
