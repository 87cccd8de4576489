"""Folders of true objects: flat ones, Google Scanned Objects and OmniObject3D as they come."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gtr_core.data.meshes import HALF_EXTENT, TexturedFile, normalized, read_textured_file
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.watertight import is_closed

SUFFIXES = (".glb", ".gltf", ".obj", ".ply")
MAX_FACES = 5_000_000
"""Faces of one object. So many are read, rendered and measured in less than 8 GB of memory."""
MAX_BYTES = 2_000_000_000
"""Size of a mesh file; larger ones are refused before they are read."""

_READ_ERRORS = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, NotImplementedError, OverflowError,
    SyntaxError, EOFError, struct.error, zlib.error,
)  # fmt: skip
"""What trimesh, NumPy and Pillow raise on damaged files, beside OSError."""


@dataclass(frozen=True)
class ObjectFile:
    """A mesh file of the folder.

    Args:
        name: unique in the folder, safe as a file name.
        path: the mesh file.
        z_up: whether +z is up in the file (Google Scanned Objects, which come from a robot simulator); else +y is.
    """

    name: str
    path: Path
    z_up: bool = False


@dataclass(frozen=True)
class TrueObject:
    """An object to compare with.

    Args:
        name: as in :class:`ObjectFile`.
        mesh: centred, its longest side 1.8 (so that it fits into [-1, 1]^3 with a margin), upright (+y).
        digest: 16 hex digits of what the files hold.
        watertight: whether the surface is closed, so that there is an inside.
        notes: what a reader of its figures has to know, one sentence each.
    """

    name: str
    mesh: Mesh
    digest: str
    watertight: bool
    notes: tuple[str, ...] = ()


def find_objects(folder: Path) -> list[ObjectFile]:
    """Mesh files of a folder, sorted by name.

    Three layouts are known, and may be mixed: mesh files in the folder itself, called by their file name;
    ``NAME/meshes/model.obj`` (Google Scanned Objects); ``CLASS/NAME/Scan/Scan.obj`` (OmniObject3D), the latter two at
    any depth.

    Raises:
        GtrError: ``bad_input`` when the folder is missing or holds no mesh.
    """
    if not folder.is_dir():
        raise _bad(f"There is no folder {folder}.", "Give a folder of mesh files.")
    flat = [(path.stem, path, False) for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    scanned = [(path.parent.parent.name, path, True) for path in folder.rglob("meshes/model.obj")]
    omni = [(path.parent.parent.name, path, False) for path in folder.rglob("Scan/Scan.obj")]
    found = [entry for entry in (*flat, *scanned, *omni) if entry[1].is_file() and not entry[1].name.startswith(".")]
    if not found:
        raise _bad(
            f"{folder} holds no object.",
            f"Known are {', '.join(SUFFIXES)} files, NAME/meshes/model.obj and CLASS/NAME/Scan/Scan.obj.",
        )
    names: dict[str, ObjectFile] = {}
    for stem, path, z_up in sorted(found, key=lambda entry: (entry[0], str(entry[1]))):
        name = _unique(_safe(stem), names)
        names[name.casefold()] = ObjectFile(name, path, z_up)
    return sorted(names.values(), key=lambda file: file.name)


def load_object(file: ObjectFile) -> TrueObject:
    """Read an object, upright and of standard size.

    A mesh without any colour is not refused, because its shape can be judged: it is drawn in one grey and says so in
    a note. Neither is one that is not watertight: it says so where an inside is needed.

    Raises:
        GtrError: ``bad_input`` in one sentence, when it cannot be read, has no faces, holds numbers that are not
            finite, has no size, or more than :data:`MAX_FACES` faces.
    """
    read = read_checked(file)
    mesh = read.mesh
    if file.z_up:
        mesh = replace(mesh, vertices=mesh.vertices[:, [0, 2, 1]] * torch.tensor([1.0, 1.0, -1.0]))
    mesh = normalized(mesh, HALF_EXTENT)
    closed = is_closed(mesh)
    return TrueObject(file.name, mesh, _digest(read, file.z_up), closed, tuple(_notes(read, closed)))


def read_checked(file: ObjectFile) -> TexturedFile:
    """Read a mesh file as it is, with no more than the used vertices, and check that it can be judged.

    Raises:
        GtrError: as :func:`load_object`.
    """
    read = _read(file)
    return replace(read, mesh=_checked(_used_part(read.mesh), file.name))


def _read(file: ObjectFile) -> TexturedFile:
    path = file.path
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _bad(f"{file.name} is a file of {size / 1e9:.1f} GB, the limit is {MAX_BYTES / 1e9:.0f} GB.")
        return read_textured_file(path)
    except OSError as error:
        raise _bad(f"{file.name} cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise GtrError(ErrorCode.OUT_OF_MEMORY, f"{file.name} does not fit into the memory.") from error
    except _READ_ERRORS as error:
        raise _bad(f"{file.name} cannot be read: {path.name} is no mesh file or is damaged.") from error


def _used_part(mesh: Mesh) -> Mesh:
    """The mesh without vertices that no face uses: they are no surface, but would count as its bounds."""
    if not len(mesh.faces) or int(mesh.faces.min()) < 0 or int(mesh.faces.max()) >= len(mesh.vertices):
        return mesh
    used = torch.zeros(len(mesh.vertices), dtype=torch.bool)
    used[mesh.faces.flatten()] = True
    if bool(used.all()):
        return mesh
    number = used.cumsum(0) - 1
    colors = None if mesh.colors is None else mesh.colors[used]
    uv = None if mesh.uv is None else mesh.uv[used]
    return Mesh(mesh.vertices[used], number[mesh.faces], colors, uv, mesh.texture)


def _checked(mesh: Mesh, name: str) -> Mesh:
    if not len(mesh.faces):
        raise _bad(f"{name} is empty: it has no triangles.")
    if len(mesh.faces) > MAX_FACES:
        millions = f"{len(mesh.faces) / 1e6:.1f} million faces, the limit is {MAX_FACES / 1e6:.0f} million"
        raise _bad(f"{name} has {millions}.", "Simplify it first.")
    if int(mesh.faces.min()) < 0 or int(mesh.faces.max()) >= len(mesh.vertices):
        raise _bad(f"{name} is damaged: a face refers to a vertex that is not there.")
    broken = int((~torch.isfinite(mesh.vertices).all(1)).sum())
    if broken:
        raise _bad(f"{name} is damaged: {broken} of its {len(mesh.vertices)} vertices are not finite numbers.")
    if mesh.uv is not None and not bool(torch.isfinite(mesh.uv).all()):
        raise _bad(f"{name} is damaged: its texture coordinates are not finite numbers.")
    low, high = mesh.bounds.double()
    if float((high - low).max()) <= 0 or not float((high - low).max()) < 1e30:
        raise _bad(f"{name} has no usable size: its longest side is {float((high - low).max()):g}.")
    return mesh


def _notes(read: TexturedFile, closed: bool) -> list[str]:
    notes = []
    if not read.colored:
        missing = f" ({', '.join(read.missing)} is missing)" if read.missing else ""
        notes.append(f"The object has no texture{missing}: it is drawn in one grey, and colours say little.")
    elif read.missing:
        notes.append(f"A file of the object is missing: {', '.join(read.missing)}.")
    if not closed:
        notes.append("The true mesh is not watertight.")
    return notes


def _digest(read: TexturedFile, z_up: bool) -> str:
    """Of the contents of all files that were read, in the order of their names, and of the way they are turned."""
    digest = hashlib.sha256(b"z up" if z_up else b"y up")
    for path in read.files:
        data = path.read_bytes()
        digest.update(f"{path.name} {len(data)} ".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


def _safe(name: str) -> str:
    """The name with nothing but letters, digits, ``.``, ``_`` and ``-``, at most 100 of them."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".")[:100] or "object"


def _unique(name: str, taken: dict[str, ObjectFile]) -> str:
    number, unique = 2, name
    while unique.casefold() in taken:
        number, unique = number + 1, f"{name}_{number}"
    return unique


def _bad(message: str, hint: str = "") -> GtrError:
    return GtrError(ErrorCode.BAD_INPUT, message, hint)
