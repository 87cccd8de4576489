"""A mesh as the 3D view of a report shows it: few faces, colours at the vertices."""

from __future__ import annotations

import numpy as np
import torch
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


class LightMesh:
    """The shape of a mesh with few faces, to be coloured once per variant.

    A mesh with more faces is decimated, and its vertices take the colour of the nearest original vertex. One with much
    fewer is divided, so that its texture shows between its own vertices.

    Args:
        mesh: any, with faces.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._nearest: Tensor | None = None
        self._shape: Mesh | None = None
        if len(mesh.faces) > FACES:
            vertices = mesh.vertices.detach().cpu()
            self._shape = decimate(welded(mesh), FACES)
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
    """Every face in four, again and again, while that gives no more than FACES."""
    while 0 < 4 * len(mesh.faces) <= FACES:
        mesh = _in_four(mesh)
    return mesh


def _in_four(mesh: Mesh) -> Mesh:
    a, b, c = mesh.faces.unbind(1)
    ends = torch.stack([torch.stack(pair, dim=1) for pair in ((a, b), (b, c), (c, a))], dim=1)
    edges, index = torch.unique(ends.sort(-1).values.reshape(-1, 2), dim=0, return_inverse=True)
    ab, bc, ca = (index.view(-1, 3) + len(mesh.vertices)).unbind(1)
    corners = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    faces = torch.cat([torch.stack(face, dim=1) for face in corners])

    def grown(values: Tensor | None) -> Tensor | None:
        return None if values is None else torch.cat([values, values[edges].mean(1)])

    vertices = torch.cat([mesh.vertices, mesh.vertices[edges].mean(1)])
    return Mesh(vertices, faces, grown(mesh.colors), grown(mesh.uv), mesh.texture)
