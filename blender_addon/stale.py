"""Answers that are too slow for every redraw, remembered until Blender says that something has changed."""

from __future__ import annotations

import zlib

import bpy

from . import result_objects
from .packages import numpy

_shapes: dict[str, bool] = {}
_LOOKS = ("MATERIAL", "NODETREE", "IMAGE", "TEXTURE", "LIGHT", "WORLD")


def is_edited(obj: bpy.types.Object) -> bool:
    """Whether the user has changed the vertices of a result since its colours were written."""
    record = result_objects.info(obj)
    result_id = record.get("id", "")
    if result_id not in _shapes:
        _shapes[result_id] = obj.mode != "EDIT" and record.get("shape") != shape_digest(obj)
    return _shapes[result_id]


def shape_digest(obj: bpy.types.Object) -> str:
    """Vertex count and checksum of the positions, to notice an edited mesh."""
    vertices = obj.data.vertices
    points = numpy().empty(3 * len(vertices), "float32")
    vertices.foreach_get("co", points)
    return f"{len(vertices)} {zlib.crc32(points.tobytes()):08x}"


def forget_shapes() -> None:
    """The next question about a shape is answered anew."""
    _shapes.clear()


def notice(depsgraph: bpy.types.Depsgraph) -> None:
    """Take note of an update of shapes."""
    if depsgraph.id_type_updated("MESH") or depsgraph.id_type_updated("OBJECT"):
        _shapes.clear()


def looks_changed(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether an update touched materials, textures or lights, which no signature of shapes would show."""
    return any(depsgraph.id_type_updated(kind) for kind in _LOOKS)
