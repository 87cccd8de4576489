"""Export with a texture: what is read from the scene at the click, and the files when the texture has come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from .. import export
from ..coords import gtr_from_blender
from ..errors import ClientError
from ..faults import SceneFault
from ..formats.export_mesh import ExportMesh, MeshTexture
from ..packages import numpy
from ..texture.values import BakeSurface
from . import objects as result_objects
from . import vertex_colors

if TYPE_CHECKING:
    import numpy as np
    from mathutils import Matrix
    from numpy.typing import NDArray

TEXTURED_FORMATS = ("GLB", "OBJ")
"""PLY knows no textures that other programs would read."""


@dataclass(frozen=True)
class TexturedExport:
    """One object on its way into a file.

    Args:
        mesh: as it will be written, in Blender's axes, without its texture.
        job_id: whose field is asked for the colours.
        surface: where it is asked.
        folder: where the file goes.
        file_format: GLB or OBJ.
        overwrite: replace a file of the same name.
        unlit: show the colours without shading.
        note: what the texture does not show, or empty.
    """

    mesh: ExportMesh
    job_id: str
    surface: BakeSurface
    folder: Path
    file_format: export.Format
    overwrite: bool = False
    unlit: bool = False
    note: str = ""


def prepare(
    context: bpy.types.Context,
    obj: bpy.types.Object,
    folder: str,
    file_format: export.Format,
    size: int,
    *,
    at_origin: bool = False,
    overwrite: bool = False,
    unlit: bool = False,
) -> TexturedExport:
    """Read an object for a textured file; nothing in the scene changes.

    Args:
        context: its evaluated scene is read.
        obj: a result.
        folder: see :func:`export.export_objects`, as the other arguments.
        file_format: one of TEXTURED_FORMATS.
        size: texels of a side of the texture.
        at_origin: leave the object's location out.
        overwrite: replace a file of the same name.
        unlit: GLB only.

    Raises:
        SceneFault: ``folder_denied``, ``export_failed``.
        ClientError: ``unknown_job`` when the result does not know which job made it.
    """
    target = export.target_folder(folder)
    record = result_objects.info(obj)
    if not record:
        raise SceneFault("export_failed", message=f"{obj.name} was not made by GTR: export it with vertex colours")
    job_id = _job(obj)
    if obj.mode == "EDIT":
        raise SceneFault("export_failed", message=f"Leave Edit Mode of {obj.name} first")
    matrix = obj.matrix_world.copy()
    if at_origin:
        matrix.translation = (0, 0, 0)
    depsgraph = context.evaluated_depsgraph_get()
    mesh = export.read_mesh(obj.evaluated_get(depsgraph), depsgraph, matrix, needs_colors=False)
    points = gtr_from_blender(_at_rest(obj, mesh, matrix)) / record["unit"]
    surface = BakeSurface(points.astype("float32"), mesh.faces, size)
    painted = vertex_colors.readiness(obj, len(obj.data.vertices)) == "painted"
    note = f"Paint on {obj.name} is not in its texture, which shows the reconstruction." if painted else ""
    return TexturedExport(mesh, job_id, surface, target, file_format, overwrite, unlit, note)


def write(order: TexturedExport, texture: MeshTexture) -> export.Exported:
    """Write the files and look at them again.

    Raises:
        SceneFault: ``folder_denied``, ``export_failed``.
    """
    mesh = replace(order.mesh, texture=texture)
    return export.write_file(mesh, order.folder, order.file_format, overwrite=order.overwrite, unlit=order.unlit)


def _job(obj: bpy.types.Object) -> str:
    """The job whose field has the colours that the object shows: after a *Revert* that before refinement."""
    record = result_objects.info(obj)
    reverted = not record.get("refined") and record.get("mesh_job")
    job = record.get("mesh_job") if reverted else record.get("job")
    if not job:
        raise ClientError("unknown_job")
    return str(job)


def _at_rest(obj: bpy.types.Object, mesh: ExportMesh, matrix: Matrix) -> NDArray[np.float64]:
    """(N,3) where the vertices lie on the reconstructed surface, in the object's own axes.

    Modifiers that bend the mesh (an armature, a lattice) keep its vertices, so the unbent mesh tells. Those that build
    new vertices (subdivision, decimation) leave them close to the surface.
    """
    np = numpy()
    if len(obj.data.vertices) == len(mesh.vertices):
        points = np.empty((len(mesh.vertices), 3), np.float32)
        obj.data.vertices.foreach_get("co", points.ravel())
        return points.astype(np.float64)  # type: ignore[no-any-return]
    world = np.array(matrix, np.float64)
    if abs(np.linalg.det(world[:3, :3])) < 1e-30:
        raise SceneFault("export_failed", message=f"{obj.name} is scaled to nothing")
    return (mesh.vertices - world[:3, 3]) @ np.linalg.inv(world[:3, :3]).T  # type: ignore[no-any-return]
