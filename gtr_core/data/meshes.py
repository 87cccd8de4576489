"""Textured meshes from files, for rendering views of known objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from PIL import Image
from torch import Tensor

from gtr_core.data.texture_files import TextureFiles
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.images import SUFFIXES
from gtr_core.io.srgb import linear_from_srgb, srgb_from_linear

HALF_EXTENT = 0.9
"""Half the longest side of a known object in the world."""
GREY = 0.8
"""sRGB value of a mesh without any colour."""
MAX_TEXTURE_SIDE = 4096
"""Larger textures are averaged down to this: pictures of 512 px do not show more, and memory is short."""


@dataclass(frozen=True)
class TexturedFile:
    """What a mesh file held.

    Args:
        mesh: the joined parts, with ``uv`` and ``texture``, or with ``colors``.
        colored: whether the file says anything about colour; without, all is grey.
        files: the mesh file and whatever else was read.
        missing: names of files that the mesh file refers to and that are nowhere.
    """

    mesh: Mesh
    colored: bool
    files: tuple[Path, ...]
    missing: tuple[str, ...]


def load_textured_mesh(path: Path) -> Mesh:
    """Read a mesh with its base colour.

    Args:
        path: a file that trimesh reads (.glb, .gltf, .ply, .obj). Several parts are joined, their textures packed into
            one.

    Returns:
        The mesh with ``uv`` and ``texture``, or with ``colors`` when the file has no texture.
    """
    return read_textured_file(path).mesh


def read_textured_file(path: Path) -> TexturedFile:
    """Read a mesh with its base colour, as :func:`load_textured_mesh`, and say where it came from.

    Textures are looked for where the file says, then in the folders where the data sets keep them, then beside the
    mesh. Numbers that are not finite are kept as they are.
    """
    files = TextureFiles(path)
    with path.open("rb") as stream:
        file_type = path.suffix.lower().removeprefix(".")
        scene: Any = trimesh.load_scene(stream, file_type=file_type, resolver=files, process=False)
    parts = [part for part in scene.geometry.values() if isinstance(part, trimesh.Trimesh)]
    _show_vertex_colors(parts)
    if not any(_is_colored(part, files) for part in parts):
        _give_lone_texture(parts, files)
    colored = any(_is_colored(part, files) for part in parts)
    for part in parts:
        _give_uv(part)
    mesh = _joined(scene, colored)
    return TexturedFile(mesh, colored, (path, *dict.fromkeys(files.read)), tuple(dict.fromkeys(files.missing)))


def normalized(mesh: Mesh, half_extent: float = HALF_EXTENT) -> Mesh:
    """The mesh centred, and scaled so that its longest side is twice ``half_extent``."""
    low, high = mesh.bounds
    scale = 2 * half_extent / float((high - low).max())
    vertices = (mesh.vertices - (low + high) / 2) * scale
    return Mesh(vertices, mesh.faces, mesh.colors, mesh.uv, mesh.texture)


def _joined(scene: Any, colored: bool) -> Mesh:
    joined: Any = scene.to_mesh()
    vertices = torch.from_numpy(np.array(joined.vertices, dtype=np.float32).reshape(-1, 3))
    faces = torch.from_numpy(np.array(joined.faces, dtype=np.int64).reshape(-1, 3))
    uv = getattr(joined.visual, "uv", None)
    if colored and uv is not None:
        texture = _base_color(joined.visual.material)
        return Mesh(vertices, faces, uv=torch.from_numpy(np.array(uv, dtype=np.float32)), texture=texture)
    if colored and joined.visual.kind in ("vertex", "face"):
        colors = torch.from_numpy(np.array(joined.visual.vertex_colors[:, :3])).float() / 255
        return Mesh(vertices, faces, colors=colors)
    return Mesh(vertices, faces, colors=torch.full_like(vertices, GREY))


def _is_colored(part: Any, files: TextureFiles) -> bool:
    visual = part.visual
    if visual.kind in ("vertex", "face"):
        return True
    material = getattr(visual, "material", None)
    if material is None:
        return False
    image = _image(material)
    # The reader puts a small picture of its own where a material is missing; it has no format.
    if visual.uv is not None and image is not None and image.format is not None:
        return True
    # The colour beside a texture that is missing is not the colour of the object.
    lost = any(name.lower().endswith(SUFFIXES) for name in files.missing)
    return _factor(material) is not None and not lost


def _give_uv(part: Any) -> None:
    """A part with the colour of its material alone is joined with textured ones as if it had a texture."""
    material = getattr(part.visual, "material", None)
    if material is not None and part.visual.uv is None and _factor(material) is not None:
        visuals: Any = trimesh.visual
        part.visual = visuals.TextureVisuals(uv=np.zeros((len(part.vertices), 2)), material=material)


def _show_vertex_colors(parts: list[Any]) -> None:
    """Vertex colours beside a material without a picture, which the reader keeps as a mere attribute.

    glTF has them in linear light. Files with 8 bits, where that would show bands, come from programs that write sRGB.
    """
    for part in parts:
        values = getattr(part.visual, "vertex_attributes", {}).get("color")
        material = getattr(part.visual, "material", None)
        if values is None or (material is not None and _image(material) is not None):
            continue
        colors = np.asarray(values)[:, :3]
        if colors.dtype != np.uint8:
            linear = colors / (np.iinfo(colors.dtype).max if colors.dtype.kind == "u" else 1.0)
            colors = np.round(srgb_from_linear(linear.clip(0, 1)) * 255).astype(np.uint8)
        visual: Any = trimesh.visual
        part.visual = visual.ColorVisuals(mesh=part, vertex_colors=colors)


def _give_lone_texture(parts: list[Any], files: TextureFiles) -> None:
    mapped = [part for part in parts if getattr(part.visual, "uv", None) is not None]
    path = files.lone_texture() if mapped else None
    if path is None:
        return
    files.read.append(path)
    picture = Image.open(path)
    picture.load()
    material: Any = trimesh.visual.material
    for part in mapped:
        part.visual.material = material.SimpleMaterial(image=picture)


def _image(material: Any) -> Any:
    image = getattr(material, "baseColorTexture", None)
    return image if image is not None else getattr(material, "image", None)


def _factor(material: Any) -> Any:
    """The one colour of a material (3 or 4 numbers, 8 bits), if its file gives it one."""
    factor = getattr(material, "baseColorFactor", None)
    if factor is not None:
        return factor
    # A material of an OBJ file: its colour counts only where the file has the word for it.
    return material.diffuse if "kd" in getattr(material, "kwargs", {}) else None


def _base_color(material: Any) -> Tensor:
    """(H, W, 3) sRGB texture of a material, its constant factor multiplied in."""
    image, factor = _image(material), _factor(material)
    simple = getattr(material, "baseColorFactor", None) is None
    if image is None:
        color = np.ones(3) if factor is None else np.asarray(factor)[:3] / 255
        # The factor of glTF is kept by the reader as 8 bits of linear light; an OBJ file gives sRGB.
        return torch.from_numpy((color if simple else srgb_from_linear(color)).astype(np.float32)).view(1, 1, 3)
    texture = np.array(_small(image).convert("RGB"), dtype=np.float32) / 255
    if factor is None or simple:
        return torch.from_numpy(texture)
    tint = np.asarray(factor)[:3].astype(np.float64) / 255
    if (tint == 1).all():
        return torch.from_numpy(texture)
    # glTF multiplies in linear light.
    return torch.from_numpy(srgb_from_linear(linear_from_srgb(texture) * tint).astype(np.float32))


def _small(image: Any) -> Any:
    factor = -(-max(image.size) // MAX_TEXTURE_SIDE)
    return image.convert("RGB").reduce(factor) if factor > 1 else image
