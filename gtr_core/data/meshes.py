"""Textured meshes from files, for rendering views of known objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from torch import Tensor

from gtr_core.geometry.mesh import Mesh

_GREY = 0.8


def load_textured_mesh(path: Path) -> Mesh:
    """Read a mesh with its base colour.

    Args:
        path: a file that trimesh reads (.glb, .ply, .obj). Several parts are joined, their textures packed into one.

    Returns:
        The mesh with ``uv`` and ``texture``, or with ``colors`` when the file has no texture.
    """
    loaded: Any = trimesh.load_scene(path)
    joined: Any = loaded.to_mesh()
    vertices = torch.from_numpy(np.array(joined.vertices, dtype=np.float32))
    faces = torch.from_numpy(np.array(joined.faces, dtype=np.int64))
    uv = getattr(joined.visual, "uv", None)
    if uv is not None:
        texture = _base_color(joined.visual.material)
        return Mesh(vertices, faces, uv=torch.from_numpy(np.array(uv, dtype=np.float32)), texture=texture)
    if joined.visual.kind == "vertex":
        colors = torch.from_numpy(np.array(joined.visual.vertex_colors[:, :3])).float() / 255
        return Mesh(vertices, faces, colors=colors)
    return Mesh(vertices, faces, colors=torch.full_like(vertices, _GREY))


def normalized(mesh: Mesh, half_extent: float = 0.9) -> Mesh:
    """The mesh centred, and scaled so that its longest side is twice ``half_extent``."""
    low, high = mesh.bounds
    scale = 2 * half_extent / float((high - low).max())
    vertices = (mesh.vertices - (low + high) / 2) * scale
    return Mesh(vertices, mesh.faces, mesh.colors, mesh.uv, mesh.texture)


def _base_color(material: Any) -> Tensor:
    """(H, W, 3) sRGB texture of a material, its constant factor multiplied in."""
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    factor = getattr(material, "baseColorFactor", None)
    texture = torch.ones(1, 1, 3)
    if image is not None:
        texture = torch.from_numpy(np.array(image.convert("RGB"))).float() / 255
    if factor is None:
        return texture
    tint = torch.from_numpy(np.asarray(factor)[:3].astype(np.float32) / 255)
    # glTF multiplies in linear light.
    return _srgb_from_linear(_linear_from_srgb(texture) * tint)


def _linear_from_srgb(color: Tensor) -> Tensor:
    return torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def _srgb_from_linear(color: Tensor) -> Tensor:
    return torch.where(color <= 0.0031308, color * 12.92, 1.055 * color ** (1 / 2.4) - 0.055)
