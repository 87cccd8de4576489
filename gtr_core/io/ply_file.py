"""PLY: binary, 8-bit sRGB vertex colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh

from gtr_core.geometry.mesh import Mesh


def encode_ply(mesh: Mesh, stem: str) -> dict[str, bytes]:
    """One file."""
    # Any: the library's annotations do not follow what its constructor was given.
    body: Any = trimesh.Trimesh(mesh.vertices.detach().cpu().numpy(), mesh.faces.cpu().numpy(), process=False)
    if mesh.colors is not None:
        body.visual.vertex_colors = rounded_colors(mesh)
    return {f"{stem}.ply": bytes(body.export(file_type="ply", encoding="binary", vertex_normal=False))}


def rounded_colors(mesh: Mesh) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(N, 3) uint8 sRGB vertex colours, rounded; white where the mesh has none."""
    if mesh.colors is None:
        return np.full((len(mesh.vertices), 3), 255, np.uint8)
    return np.asarray((mesh.colors.detach().cpu().clamp(0, 1) * 255).round().numpy().astype(np.uint8))
