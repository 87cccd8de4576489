"""Results as files: evaluated mesh and colours out of the scene, one file per object, looked at again after writing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import bpy

from . import compat
from .coords import gtr_from_blender
from .faults import SceneFault
from .formats.export_check import inspect_file
from .formats.export_mesh import ExportMesh
from .formats.glb import glb_bytes
from .formats.obj import obj_files
from .formats.ply import ply_bytes
from .packages import numpy
from .result.color_attributes import linear_from_srgb, read_srgb
from .result.export_obj import write_obj
from .result.objects import BASE, COLOR, count_in_words

if TYPE_CHECKING:
    import numpy as np
    from mathutils import Matrix
    from numpy.typing import NDArray

Format = Literal["GLB", "PLY", "OBJ"]


@dataclass(frozen=True)
class Exported:
    """One written file and the line that says what is in it ("Suzanne.glb · 198 k verts · colours ✔ · 7.9 MB")."""

    path: Path
    text: str


def export_objects(
    context: bpy.types.Context,
    objects: Iterable[bpy.types.Object],
    folder: str,
    file_format: Format,
    *,
    at_origin: bool = False,
    overwrite: bool = False,
    unlit: bool = False,
) -> list[Exported]:
    """Write each object, modifiers and transform applied, with its vertex colours; the selection stays as it is.

    Args:
        context: its evaluated scene is written.
        objects: mesh objects.
        folder: where to; ``//`` is the folder of the .blend file.
        file_format: GLB is written Y up, OBJ Y up, PLY Z up (as Blender reads them back).
        at_origin: leave the object's location out.
        overwrite: replace a file of the same name instead of numbering the new one.
        unlit: GLB only: viewers show the colours without shading.

    Raises:
        SceneFault: ``folder_denied``, ``no_color``, ``export_failed``; files written before stay.
    """
    target = target_folder(folder)
    depsgraph = context.evaluated_depsgraph_get()
    done = []
    for obj in objects:
        if obj.mode == "EDIT":
            raise SceneFault("export_failed", message=f"Leave Edit Mode of {obj.name} first")
        matrix = obj.matrix_world.copy()
        if at_origin:
            matrix.translation = (0, 0, 0)
        mesh = read_mesh(obj.evaluated_get(depsgraph), depsgraph, matrix)
        done.append(write_file(mesh, target, file_format, overwrite=overwrite, unlit=unlit))
    return done


def write_file(mesh: ExportMesh, folder: Path, file_format: Format, *, overwrite: bool, unlit: bool) -> Exported:
    """Write one mesh (Blender's axes), named after it, and look at the file again.

    Raises:
        SceneFault: ``folder_denied``, ``export_failed``.
    """
    beside = ("mtl", "png") if file_format == "OBJ" and mesh.texture is not None else ()
    path = _free_name(folder, bpy.path.clean_name(mesh.name), (file_format.lower(), *beside), overwrite=overwrite)
    try:
        _write(mesh, path, file_format, unlit=unlit)
        return Exported(path, describe(path))
    except OSError as error:
        raise SceneFault("folder_denied", str(error), folder=str(folder)) from error
    except (ValueError, RuntimeError) as error:
        raise SceneFault("export_failed", str(error), message=str(error).strip().rstrip(".")) from error


def read_mesh(
    evaluated: bpy.types.Object, depsgraph: bpy.types.Depsgraph, matrix: Matrix, *, needs_colors: bool = True
) -> ExportMesh:
    """Triangles of an evaluated object in Blender's axes with linear float colours, without them if not needed.

    Raises:
        SceneFault: ``no_color``; ``export_failed`` when it has no faces.
    """
    np = numpy()
    mesh = evaluated.to_mesh(preserve_all_data_layers=True, depsgraph=depsgraph)
    try:
        mesh.calc_loop_triangles()
        count = len(mesh.loop_triangles)
        if count == 0:
            raise SceneFault("export_failed", message=f"{evaluated.name} has no faces")
        points = np.empty((len(mesh.vertices), 3), np.float32)
        mesh.vertices.foreach_get("co", points.ravel())
        faces = np.empty((count, 3), np.int32)
        mesh.loop_triangles.foreach_get("vertices", faces.ravel())
        colors = _colors(mesh) if needs_colors else None
    finally:
        evaluated.to_mesh_clear()
    world = np.array(matrix, np.float64)
    if np.linalg.det(world[:3, :3]) < 0:
        faces = np.ascontiguousarray(faces[:, ::-1])
    return ExportMesh(evaluated.name, points @ world[:3, :3].T + world[:3, 3], faces, colors)


def describe(path: Path) -> str:
    """What a written file holds, counted in the file itself.

    Raises:
        ValueError: the file is not whole.
    """
    found = inspect_file(path)
    colors = "colours ✔" if found.colors == found.vertices else "no colours ✖"
    if found.texture:
        colors = f"texture {found.texture} ✔"
    return f"{path.name} · {count_in_words(found.vertices)} verts · {colors} · {_size_in_words(found.bytes)}"


def _write(mesh: ExportMesh, path: Path, file_format: Format, *, unlit: bool) -> None:
    if file_format == "PLY":
        _store({path: ply_bytes([mesh])})
        return
    y_up = replace(mesh, vertices=gtr_from_blender(mesh.vertices))
    if file_format == "GLB":
        _store({path: glb_bytes([y_up], unlit=unlit)})
    elif mesh.texture is not None:
        _store({path.with_name(name): data for name, data in obj_files(y_up, path.stem).items()})
    elif compat.has_operator("wm.obj_export"):
        write_obj(mesh, path)
    else:
        raise ValueError("This Blender has no OBJ exporter")


def _store(files: dict[Path, bytes]) -> None:
    """Each file is whole or not there; the last one refers to those before it."""
    for path, data in files.items():
        part = path.with_name(path.name + ".part")
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _colors(mesh: bpy.types.Mesh) -> NDArray[np.float32]:
    """(N,3) linear: the attribute ``Color``, else the active one; corners are averaged at their vertex."""
    np = numpy()
    attributes = mesh.color_attributes
    found = attributes.get(COLOR) or attributes.active_color
    if found is None or found.name == BASE or len(found.data) == 0:
        raise SceneFault("no_color")
    values = linear_from_srgb(read_srgb(found))
    if found.domain == "POINT":
        return values
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    total = len(mesh.vertices)
    used = np.maximum(np.bincount(corners, minlength=total), 1)
    return np.stack([np.bincount(corners, values[:, c], total) / used for c in range(3)], -1).astype(np.float32)


def target_folder(folder: str) -> Path:
    """The folder, made when it is absent.

    Raises:
        SceneFault: ``folder_denied``.
    """
    if folder.startswith("//") and not bpy.data.filepath:
        raise SceneFault("folder_denied", "The .blend file was never saved, so it has no folder.", folder=folder)
    path = Path(bpy.path.abspath(folder))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SceneFault("folder_denied", str(error), folder=str(path)) from error
    if not os.access(path, os.W_OK):
        raise SceneFault("folder_denied", folder=str(path))
    return path


def _free_name(folder: Path, stem: str, suffixes: tuple[str, ...], *, overwrite: bool) -> Path:
    """File of the first suffix; numbered when it, or a file that goes with it, is there already."""
    name, number = stem, 1
    while not overwrite and any((folder / f"{name}.{suffix}").exists() for suffix in suffixes):
        name = f"{stem}_{number:03d}"
        number += 1
    return folder / f"{name}.{suffixes[0]}"


def _size_in_words(count: int) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} bytes"
