"""Colours of surface samples: what tells the turns of a symmetric shape apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtr_core.fields.render_mesh import sample_texture
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.shape import SurfaceSamples


def surface_colors(mesh: Mesh, samples: SurfaceSamples) -> NDArray[Any] | None:
    """(N, 3) sRGB colours in [0, 1] of samples of this mesh, from its texture or its vertices; None without any."""
    weights = samples.weights[..., None].float()
    corners = mesh.faces.cpu()[samples.faces]
    if mesh.texture is not None and mesh.uv is not None:
        uv = (mesh.uv.detach().cpu()[corners] * weights).sum(1)
        return np.asarray(sample_texture(mesh.texture.detach().cpu(), uv))
    if mesh.colors is not None:
        return np.asarray((mesh.colors.detach().cpu()[corners] * weights).sum(1))
    return None
