"""Folders of true objects: flat ones, Google Scanned Objects and OmniObject3D as they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gtr_core.geometry.mesh import Mesh


@dataclass(frozen=True)
class ObjectFile:
    """A mesh file of the folder.

    Args:
        name: unique in the folder, safe as a file name.
        path: the mesh file.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class TrueObject:
    """An object to compare with.

    Args:
        name: as in :class:`ObjectFile`.
        mesh: centred, its longest side 1.8 (so that it fits into [-1, 1]^3 with a margin), upright (+y).
        digest: 16 hex digits of what the files hold.
        watertight: whether it has an inside at all.
        notes: what a reader of its figures has to know, one sentence each.
    """

    name: str
    mesh: Mesh
    digest: str
    watertight: bool
    notes: tuple[str, ...] = ()


def find_objects(folder: Path) -> list[ObjectFile]:
    """Mesh files of a folder, sorted by name.

    Raises:
        GtrError: ``bad_input`` when the folder is missing or holds no mesh.
    """
    raise NotImplementedError


def load_object(file: ObjectFile) -> TrueObject:
    """Read an object.

    Raises:
        GtrError: ``bad_input`` when it cannot be judged, in one sentence.
    """
    raise NotImplementedError
