"""Meshes to and from files, one small function per format, all with colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.atomic import unwritable, write_atomic
from gtr_core.io.glb_file import encode_glb
from gtr_core.io.obj_file import encode_obj
from gtr_core.io.ply_file import encode_ply
from gtr_core.io.trimesh_scene import load_mesh

Encoder = Callable[[Mesh, str], dict[str, bytes]]
"""(mesh, stem of the file name) -> contents by file name; the first one is the mesh, the others belong to it."""

ENCODERS: dict[str, Encoder] = {".glb": encode_glb, ".ply": encode_ply, ".obj": encode_obj}
"""A format more is a line more here."""


def write_mesh(mesh: Mesh, path: Path) -> None:
    """Write a mesh in the format of the suffix: ``.glb``, ``.ply`` or ``.obj``. The file is whole or not there.

    GLB stores colours as 16-bit linear numbers as glTF demands, PLY and OBJ as sRGB. A texture needs GLB or OBJ; PLY
    keeps the vertex colours only.

    Raises:
        GtrError: ``bad_input`` for another suffix or a folder that cannot be written, ``disk_full``,
            ``empty_reconstruction`` for a mesh without faces.
    """
    encode = _encoder(path)
    if not len(mesh.faces):
        raise GtrError(ErrorCode.EMPTY_RECONSTRUCTION, "The mesh has no faces, there is nothing to write.")
    files = encode(mesh, path.stem)
    # The mesh comes last: once it is there, all that it refers to is there too.
    for name, data in reversed(files.items()):
        write_atomic(path.with_name(name), data)


def check_target(path: Path) -> None:
    """Fail before long work when its result could not be written to this file.

    Raises:
        GtrError: ``bad_input``.
    """
    _encoder(path)
    if path.is_dir():
        raise GtrError(ErrorCode.BAD_INPUT, f"{path} is a folder.", "Give a file name, as in mesh.glb.")
    probe = path.with_name(f".{path.name}.probe")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def read_mesh(path: Path) -> Mesh:
    """Read a GLB, PLY or OBJ file; several objects in it become one mesh.

    Raises:
        GtrError: ``bad_input`` when the file is missing, of another format or broken.
    """
    _encoder(path)
    return load_mesh(path)


def _encoder(path: Path) -> Encoder:
    encoder = ENCODERS.get(path.suffix.lower())
    if encoder is None:
        known = ", ".join(ENCODERS)
        raise GtrError(ErrorCode.BAD_INPUT, f"{path.name} is no mesh file that can be used.", f"Use one of {known}.")
    return encoder
