"""Which surfaces a selection shows: evaluated meshes with their materials, and the sphere around them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bpy
from mathutils import Matrix

from ..faults import SceneFault
from ..packages import numpy
from .capture_material import MARK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FLAT = 1e-6
"""A side of the bounding box shorter than this part of the longest counts as none."""


@dataclass
class Surface:
    """One evaluated mesh in the world.

    Args:
        mesh: a new data-block, owned by the caller; its materials are the user's.
        materials: one entry per slot (None = empty slot), never empty.
        matrix: object to world.
        source: the user's object it comes from.
    """

    mesh: bpy.types.Mesh
    materials: list[bpy.types.Material | None]
    matrix: Matrix
    source: bpy.types.Object


@dataclass(frozen=True)
class Bounds:
    """What surrounds the surfaces, in Blender units: centre and half size of the box, radius of the sphere."""

    center: tuple[float, float, float]
    radius: float
    width: float


def family(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    """The objects and everything parented to them, each once; what is hidden from renders stays out.

    Raises:
        SceneFault: ``no_selection``.
    """
    found: dict[bpy.types.Object, None] = {}
    for obj in objects:
        found.update(dict.fromkeys((obj, *obj.children_recursive)))
    if not found:
        raise SceneFault("no_selection")
    return [member for member in found if not member.hide_render]


def evaluated_instances(
    depsgraph: bpy.types.Depsgraph, members: Iterable[bpy.types.Object]
) -> Iterator[bpy.types.DepsgraphObjectInstance]:
    """What the members show in the scene, instances of particles, collections and geometry nodes included.

    Each item is a mesh (Blender lists text, curves and metaballs as meshes too) and valid only until the next one is
    asked for.
    """
    wanted = set(members) | _metaball_mothers(members)
    for instance in depsgraph.object_instances:
        owner = instance.parent if instance.is_instance else instance.object
        if owner is None or owner.original not in wanted or instance.object.type != "MESH":
            continue
        if instance.is_instance:
            if instance.object.original.hide_render:
                continue
        elif not instance.show_self:
            continue
        yield instance


def collect_surfaces(depsgraph: bpy.types.Depsgraph, members: list[bpy.types.Object]) -> Iterator[Surface]:
    """Evaluated copies of everything the members show; the caller removes the marked meshes, also after a failure."""
    meshes: dict[int, bpy.types.Mesh | None] = {}
    for instance in evaluated_instances(depsgraph, members):
        obj = instance.object
        key = obj.data.as_pointer()
        if key not in meshes:
            meshes[key] = _mesh_of(obj, depsgraph)
        mesh = meshes[key]
        if mesh is None:
            continue
        materials = [slot and slot.original for slot in mesh.materials] or [None]
        for index, slot in enumerate(obj.material_slots):
            if slot.link == "OBJECT" and index < len(materials):
                materials[index] = slot.material and slot.material.original
        yield Surface(mesh, materials, instance.matrix_world.copy(), obj.original)


def bounds_of(surfaces: Iterable[Surface]) -> Bounds:
    """The box around all faces, and the sphere around its centre that holds every vertex of a face.

    Raises:
        SceneFault: ``tiny_object`` when the box has no size on two axes.
    """
    np = numpy()
    clouds = [_points(surface) for surface in surfaces]
    low = np.min([cloud.min(axis=0) for cloud in clouds], axis=0)
    high = np.max([cloud.max(axis=0) for cloud in clouds], axis=0)
    size = np.sort(high - low)
    if not np.isfinite(size).all() or size[1] <= _FLAT * size[2] or size[2] <= 0:
        raise SceneFault("tiny_object", f"size {size.tolist()}")
    center = (low + high) / 2
    radius = max(float(np.linalg.norm(cloud - center, axis=1).max()) for cloud in clouds)
    return Bounds(tuple(center.tolist()), radius, float(high[0] - low[0]))


def signature(context: bpy.types.Context, objects: Iterable[bpy.types.Object], settings: object) -> str:
    """Hash of what a capture would see: it changes when objects, their shape or the settings change.

    Colours of materials and deformations that keep the bounding box and the number of vertices go unnoticed.
    """
    depsgraph = context.evaluated_depsgraph_get()
    seen = [repr(settings)]
    for instance in evaluated_instances(depsgraph, family(objects)):
        obj = instance.object
        box = [round(value, 5) for corner in obj.bound_box for value in corner]
        matrix = [round(value, 5) for row in instance.matrix_world for value in row]
        materials = [slot.material.name if slot.material else "" for slot in obj.material_slots]
        seen.append(repr((obj.name, len(obj.data.vertices), box, matrix, materials)))
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


def _metaball_mothers(members: Iterable[bpy.types.Object]) -> set[bpy.types.Object]:
    # A family of metaballs has one surface, and the member without a number in its name owns it.
    names = {member.name.split(".")[0] for member in members if member.type == "META"}
    return {bpy.data.objects[name] for name in names if name in bpy.data.objects}


def _mesh_of(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bpy.types.Mesh | None:
    whole = obj.original.evaluated_get(depsgraph)
    if whole.type == "MESH" and whole.data == obj.data:
        mesh = bpy.data.meshes.new_from_object(whole, preserve_all_data_layers=True, depsgraph=depsgraph)
        _keep_texture_space(obj.original.data, mesh)
    else:
        # A part that geometry nodes, text or a curve made: no object of the file owns it.
        mesh = obj.data.copy()
    mesh[MARK] = True
    if len(mesh.polygons) == 0:
        bpy.data.meshes.remove(mesh)
        return None
    return mesh


def _keep_texture_space(source: bpy.types.Mesh, mesh: bpy.types.Mesh) -> None:
    # Generated coordinates count from the mesh before its modifiers, not from the box of what they made.
    mesh.use_auto_texspace = False
    mesh.texspace_location = source.texspace_location
    mesh.texspace_size = source.texspace_size


def _points(surface: Surface) -> NDArray[np.float64]:
    np = numpy()
    mesh = surface.mesh
    points = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", points.ravel())
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    used = np.zeros(len(points), bool)
    used[corners] = True
    matrix = np.array(surface.matrix, np.float64)
    return points[used].astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
