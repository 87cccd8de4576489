"""Vertex colours of a result: writing the current ones, keeping those before refinement, going back to them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import bpy

from ..faults import SceneFault
from ..packages import numpy
from . import objects as result_objects
from .color_attributes import read_srgb, write_srgb
from .objects import BASE
from .objects import COLOR as CURRENT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Readiness = Literal["ready", "edit_mode", "changed", "painted"]


def readiness(obj: bpy.types.Object, count: int) -> Readiness:
    """Whether colours for ``count`` vertices can be written now.

    Returns:
        edit_mode: the mesh has no colours while it is edited: hold them. changed: the user changed the vertices:
        recolour instead. painted: the user painted over the colours: ask first. Else ready.
    """
    mesh = obj.data
    if obj.mode == "EDIT" or mesh.is_editmode:
        return "edit_mode"
    if len(mesh.vertices) != count:
        return "changed"
    written = result_objects.info(obj).get("color_digest")
    attribute = mesh.color_attributes.get(CURRENT)
    if written and attribute is not None and _digest(_values(attribute)) != written:
        return "painted"
    return "ready"


def set_colors(obj: bpy.types.Object, colors: NDArray[np.uint8], *, keep_base: bool) -> None:
    """Write the current colours.

    Args:
        obj: a mesh object.
        colors: (N,3) uint8 sRGB, one per vertex.
        keep_base: leave the colours before refinement as they are; False makes them the same as ``colors``.

    Raises:
        SceneFault: ``edit_mode``; hold the colours until the user leaves it.
        ValueError: not one colour per vertex.
    """
    mesh = obj.data
    if obj.mode == "EDIT" or mesh.is_editmode:
        raise SceneFault("edit_mode")
    if colors.shape != (len(mesh.vertices), 3):
        raise ValueError(f"{len(mesh.vertices)} vertices, colours {colors.shape}")
    comparing = result_objects.is_comparing(obj)  # asked first: 3.4 makes every new attribute the active one
    write_srgb(_attribute(mesh, CURRENT), colors)
    written = _values(mesh.color_attributes[CURRENT])
    if not keep_base or BASE not in mesh.color_attributes:
        _attribute(mesh, BASE).data.foreach_set("color", written.ravel())
    result_objects.compare(obj, comparing)
    mesh.update()
    result_objects.remember(obj, color_digest=_digest(written))


def revert(obj: bpy.types.Object) -> None:
    """Take the colours back to those before refinement.

    Raises:
        SceneFault: ``edit_mode``, or ``no_color`` when the object has none.
    """
    mesh = obj.data
    if obj.mode == "EDIT" or mesh.is_editmode:
        raise SceneFault("edit_mode")
    base = mesh.color_attributes.get(BASE)
    if base is None:
        raise SceneFault("no_color")
    values = _values(base)
    _attribute(mesh, CURRENT).data.foreach_set("color", values.ravel())
    result_objects.compare(obj, False)
    mesh.update()
    result_objects.remember(obj, color_digest=_digest(values))


def read_colors(obj: bpy.types.Object) -> NDArray[np.uint8]:
    """(N,3) uint8 sRGB of the current colours.

    Raises:
        SceneFault: ``no_color``, ``edit_mode``.
    """
    mesh = obj.data
    if obj.mode == "EDIT" or mesh.is_editmode:
        raise SceneFault("edit_mode")
    attribute = mesh.color_attributes.get(CURRENT)
    if attribute is None or len(attribute.data) != len(mesh.vertices):
        raise SceneFault("no_color")
    np = numpy()
    return np.rint(np.clip(read_srgb(attribute), 0, 1) * 255).astype(np.uint8)


def _attribute(mesh: bpy.types.Mesh, name: str) -> bpy.types.Attribute:
    attribute = mesh.color_attributes.get(name)
    if attribute is not None and (attribute.domain, attribute.data_type) == ("POINT", "FLOAT_COLOR"):
        return attribute
    if attribute is not None:
        mesh.color_attributes.remove(attribute)
    return mesh.color_attributes.new(name, "FLOAT_COLOR", "POINT")


def _values(attribute: bpy.types.Attribute) -> NDArray[np.float32]:
    np = numpy()
    values = np.empty((len(attribute.data), 4), np.float32)
    attribute.data.foreach_get("color", values.ravel())
    return values


def _digest(values: NDArray[np.float32]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]
