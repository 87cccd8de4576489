"""Results in the scene: the mesh object with its colours, its place, its material, and the undo step.

Functions on colours live in vertex_colors.py; they are named here too, so that callers need one import. What a result
remembers is kept by result_objects.py. Written here: ``unit`` (GTR world to the object's own axes), ``sources`` and
``hidden`` (sources that OVER hid); with the colours: ``color_digest``.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import bpy
from mathutils import Vector

from . import windows
from .coords import blender_from_gtr, gtr_from_blender
from .faults import SceneFault
from .packages import numpy
from .result import objects as result_objects
from .result.material import new_material
from .result.mesh_arrays import fill_mesh
from .result.vertex_colors import read_colors, readiness, revert, set_colors
from .views.capture_scene import FILL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .values import MeshResult, Placement

__all__ = [
    "create_object", "points_in_gtr", "push_undo", "read_colors", "readiness", "remove_object", "replace_mesh",
    "revert", "select_only", "set_colors", "show_vertex_colors",
]  # fmt: skip

BESIDE_WIDTHS = 1.2
"""How far from its source a result is put, in widths of the source along X."""


def create_object(
    result: MeshResult, placement: Placement, name: str, collection: str = "GTR", *, unlit: bool = False
) -> bpy.types.Object:
    """Put a result into the scene: same size as the source, Z up, origin at its centre, no rotation, scale 1.

    Args:
        result: mesh in the GTR world.
        placement: where; OVER also hides the sources in the viewport (not in renders).
        name: of the object, mesh and material; Blender numbers it when it is taken.
        collection: name of the collection, made under the scene when it is absent.
        unlit: show the colours without shading.

    Returns:
        The object, neither selected nor active. It remembers its id (see result_objects.py).
    """
    mesh = bpy.data.meshes.new(name)
    obj = bpy.data.objects.new(name, mesh)
    unit = placement.radius / FILL
    mesh.materials.append(new_material(name, unlit=unlit))
    obj.location = _location(placement)
    _link(obj, collection)
    hidden = _hide(placement.source_names) if placement.mode == "OVER" else []
    result_objects.remember(obj, id=uuid.uuid4().hex, unit=unit, hidden=hidden, sources=placement.source_names)
    _fill(mesh, result, unit)
    set_colors(obj, result.colors, keep_base=False)
    return obj


def replace_mesh(obj: bpy.types.Object, result: MeshResult) -> None:
    """Give a result object another shape and its colours; place, material and record stay.

    Raises:
        SceneFault: ``edit_mode``.
    """
    if obj.mode == "EDIT" or obj.data.is_editmode:
        raise SceneFault("edit_mode")
    record = result_objects.info(obj)
    if not record:
        raise ValueError(f"{obj.name} is not a result")
    obj.data.clear_geometry()
    _fill(obj.data, result, record["unit"])
    set_colors(obj, result.colors, keep_base=False)


def remove_object(obj: bpy.types.Object) -> None:
    """Take a result away with its mesh and material, and show the sources again that it had hidden."""
    record = result_objects.info(obj)
    for name in record.get("hidden", ()):
        source = bpy.context.view_layer.objects.get(name)
        if source is not None:
            source.hide_set(False)
    mesh, materials = obj.data, [slot.material for slot in obj.material_slots if slot.material]
    bpy.data.objects.remove(obj)
    if mesh.users == 0:
        bpy.data.meshes.remove(mesh)
    for material in materials:
        if material.users == 0:
            bpy.data.materials.remove(material)


def points_in_gtr(obj: bpy.types.Object) -> NDArray[np.float32]:
    """(N,3) vertex positions of a result in the GTR world, as the user left them: what a recolouring asks for.

    The object's own transform does not enter: moving a result does not move its texture.

    Raises:
        SceneFault: ``edit_mode``.
    """
    np = numpy()
    if obj.mode == "EDIT" or obj.data.is_editmode:
        raise SceneFault("edit_mode")
    record = result_objects.info(obj)
    if not record:
        raise ValueError(f"{obj.name} is not a result")
    points = np.empty((len(obj.data.vertices), 3), np.float32)
    obj.data.vertices.foreach_get("co", points.ravel())
    return np.ascontiguousarray(gtr_from_blender(points) / record["unit"], dtype=np.float32)


def select_only(obj: bpy.types.Object) -> None:
    """Make an object the only selected one and the active one; nothing happens outside Object mode."""
    context = bpy.context
    if context.mode != "OBJECT" or obj.name not in context.view_layer.objects:
        return
    for other in context.view_layer.objects:
        if other.select_get():
            other.select_set(False)
    obj.select_set(True)
    context.view_layer.objects.active = obj


def show_vertex_colors(area: bpy.types.Area | None = None) -> None:
    """Let Solid view show vertex colours: in one 3D view, or in all of them."""
    areas = [area] if area is not None else [a for w in bpy.context.window_manager.windows for a in w.screen.areas]
    for view in areas:
        if view.type == "VIEW_3D":
            view.spaces.active.shading.color_type = "VERTEX"


def push_undo(message: str) -> None:
    """Close the change made so far as one undo step of this name; without it the user's next undo would take it too."""
    with windows.view_context():
        if bpy.ops.ed.undo_push.poll():
            bpy.ops.ed.undo_push(message=message)


def _fill(mesh: bpy.types.Mesh, result: MeshResult, unit: float) -> None:
    np = numpy()
    fill_mesh(mesh, blender_from_gtr(result.vertices) * np.float32(unit), result.faces)


def _location(placement: Placement) -> Vector:
    if placement.mode == "CURSOR":
        return bpy.context.scene.cursor.location.copy()
    center = Vector(placement.center)
    if placement.mode == "BESIDE":
        center.x += BESIDE_WIDTHS * placement.width
    return center


def _link(obj: bpy.types.Object, name: str) -> None:
    scene = bpy.context.scene
    collection = next((c for c in scene.collection.children_recursive if c.name == name), None)
    if collection is None:
        collection = bpy.data.collections.new(name)
        collection.color_tag = "COLOR_04"
        scene.collection.children.link(collection)
    collection.objects.link(obj)
    layer = bpy.context.view_layer
    layer.update()
    if obj.name not in layer.objects or not obj.visible_get():
        # The collection is switched off or hidden; a result that nobody sees would look like a failure.
        scene.collection.objects.link(obj)
        layer.update()


def _hide(names: list[str]) -> list[str]:
    objects = bpy.context.view_layer.objects
    # An object that the user edits or paints right now must not vanish under his hands.
    idle = [name for name in names if name in objects and objects[name].mode == "OBJECT"]
    hidden = [name for name in idle if not objects[name].hide_get()]
    for name in hidden:
        objects[name].hide_set(True)
    return hidden
