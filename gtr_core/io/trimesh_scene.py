"""Reading GLB, PLY and OBJ with trimesh, colours back to sRGB."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.srgb import srgb_from_linear

_MAX_VALUE = {"u1": 255.0, "u2": 65535.0}


def load_mesh(path: Path) -> Mesh:
    """All triangles of a file in its world frame. A texture is kept when the file holds one object only.

    Raises:
        GtrError: ``bad_input`` when the file is missing, broken or without triangles.
    """
    file_type = path.suffix.lower().removeprefix(".")
    try:
        scene = trimesh.load_scene(path, file_type=file_type, process=False, maintain_order=True)
    except OSError as error:
        raise _bad(f"{path.name} cannot be opened: {error.strerror or error}.") from error
    except (ValueError, KeyError, IndexError, TypeError, struct.error, AttributeError) as error:
        raise _bad(f"{path.name} is no mesh file or is damaged.") from error
    parts = []
    for node in sorted(scene.graph.nodes_geometry):
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            parts.append(_from_trimesh(geometry, transform, linear=file_type == "glb"))
    if not parts:
        raise _bad(f"{path.name} holds no triangles.")
    return parts[0] if len(parts) == 1 else _joined(parts)


def _from_trimesh(geometry: Any, transform: Any, *, linear: bool) -> Mesh:
    vertices = trimesh.transform_points(geometry.vertices, transform)
    faces = np.array(geometry.faces)
    if np.linalg.det(transform[:3, :3]) < 0:
        faces = faces[:, ::-1]
    uv, texture = _texture(geometry)
    return Mesh(
        torch.from_numpy(np.array(vertices, dtype=np.float32)),
        torch.from_numpy(faces.astype(np.int64)),
        _vertex_colors(geometry, linear),
        uv,
        texture,
    )


def _vertex_colors(geometry: Any, linear: bool) -> Tensor | None:
    visual = geometry.visual
    if visual.kind == "vertex":
        values = visual.vertex_colors
    elif "color" in getattr(visual, "vertex_attributes", {}):
        values = visual.vertex_attributes["color"]
    else:
        return None
    colors = np.asarray(values)[:, :3] / _MAX_VALUE.get(np.asarray(values).dtype.str[1:], 1.0)
    if linear:
        colors = srgb_from_linear(colors)
    return torch.from_numpy(colors.astype(np.float32))


def _texture(geometry: Any) -> tuple[Tensor | None, Tensor | None]:
    visual = geometry.visual
    if visual.kind != "texture" or visual.uv is None:
        return None, None
    material = visual.material
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if image is None:
        return None, None
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).float() / 255
    return torch.from_numpy(np.array(visual.uv, dtype=np.float32)), pixels


def _joined(parts: list[Mesh]) -> Mesh:
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts])
    faces = torch.cat([part.faces + int(offset) for part, offset in zip(parts, offsets, strict=False)])
    colors = [part.colors for part in parts if part.colors is not None]
    return Mesh(
        torch.cat([part.vertices for part in parts]), faces, torch.cat(colors) if len(colors) == len(parts) else None
    )


def _bad(message: str) -> GtrError:
    return GtrError(ErrorCode.BAD_INPUT, message, "Give a GLB, PLY or OBJ file.")
