"""Answers that are too slow for every redraw, remembered until Blender says that something has changed."""

from __future__ import annotations

import zlib
from collections.abc import Collection

import bpy

from ..packages import numpy
from ..result import objects as result_objects

_shapes: dict[str, bool] = {}
_LOOKS = ("OBJECT", "MATERIAL", "IMAGE", "TEXTURE")


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


def looks_changed(depsgraph: bpy.types.Depsgraph, objects: Collection[str], materials: Collection[str]) -> bool:
    """Whether an update gave one of these objects another shape or one of these materials another look.

    A signature of bounds and vertex counts does not see that. Any image or texture counts: a material may use it.
    """
    kinds = [kind for kind in _LOOKS if depsgraph.id_type_updated(kind)]
    return bool(kinds) and any(_concerns(update, objects, materials) for update in depsgraph.updates)


def _concerns(update: bpy.types.DepsgraphUpdate, objects: Collection[str], materials: Collection[str]) -> bool:
    if isinstance(update.id, bpy.types.Object):
        return update.is_updated_geometry and update.id.name in objects
    if isinstance(update.id, bpy.types.Material):
        return update.id.name in materials
    return isinstance(update.id, (bpy.types.Image, bpy.types.Texture))
