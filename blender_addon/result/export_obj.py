"""OBJ through Blender's own exporter, fed from a temporary scene so that the user's selection does not matter."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..formats.export_mesh import ExportMesh, srgb_bytes
from ..packages import numpy
from .color_attributes import write_srgb
from .mesh_arrays import fill_mesh
from .objects import COLOR


def write_obj(mesh: ExportMesh, path: Path) -> None:
    """Write one mesh (Blender's axes, linear colours) with its colours behind each vertex, Y up.

    Raises:
        RuntimeError: Blender's exporter failed, with its message.
    """
    np = numpy()
    scene = bpy.data.scenes.new(".gtr_export")
    data = bpy.data.meshes.new(mesh.name)
    obj = bpy.data.objects.new(mesh.name, data)
    try:
        fill_mesh(data, np.ascontiguousarray(mesh.vertices, np.float32), mesh.faces)
        if mesh.colors is not None:
            attribute = data.color_attributes.new(COLOR, "FLOAT_COLOR", "POINT")
            write_srgb(attribute, srgb_bytes(mesh.colors))
            data.color_attributes.active_color = attribute
        scene.collection.objects.link(obj)
        with bpy.context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
            bpy.ops.wm.obj_export(
                filepath=str(path),
                check_existing=False,
                export_animation=False,
                export_selected_objects=False,
                export_colors=True,
                export_materials=False,
                export_uv=False,
            )
        _rename(path, obj.name, mesh.name)
    finally:
        bpy.data.objects.remove(obj)
        bpy.data.meshes.remove(data)
        bpy.data.scenes.remove(scene)


def _rename(path: Path, written: str, wanted: str) -> None:
    # The name is taken by the user's object, so Blender numbered the copy that was written.
    before, after = (f"\no {name}\n".encode() for name in (written, wanted))
    if before != after:
        path.write_bytes(path.read_bytes().replace(before, after, 1))
