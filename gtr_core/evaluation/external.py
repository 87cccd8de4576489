"""Meshes that another program made: a folder of files named like the objects."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from gtr_core.data.objects import ObjectFile, read_checked
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.ground_truth import GroundTruth
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.rows import digest
from gtr_core.evaluation.system import SystemResult
from gtr_core.geometry.mesh import Mesh
from gtr_core.progress import Progress

SUFFIXES = (".glb", ".obj", ".ply")
"""In the order in which they are looked for."""


@dataclass(frozen=True)
class ExternalMeshes:
    """Implements :class:`gtr_core.evaluation.system.System` for meshes on disk, whoever made them.

    Args:
        name: of the system.
        folder: of files called by the names of the objects.
        mesh: the one that was carried along; None reads the folder.
        fault: why none could be carried along.
    """

    name: str
    folder: Path
    mesh: Mesh | None = None
    fault: str = ""

    @property
    def title(self) -> str:
        """The name."""
        return self.name

    @property
    def key(self) -> str:
        """The name: what the files hold is in :meth:`digest`."""
        return json.dumps({"external": self.name})

    @property
    def external(self) -> bool:
        """The frame of the meshes is not known."""
        return True

    @property
    def variants(self) -> tuple[str, ...]:
        """One result."""
        return ("",)

    def digest(self, name: str) -> str:
        """Of the mesh file of this object and of the files that it names."""
        path = self._path(name)
        if path is None:
            return digest(self.key)
        contents = [hashlib.sha256(part.read_bytes()).hexdigest() for part in (path, *_companions(path))]
        return digest(" ".join([self.key, *contents]))

    def carried(self, name: str) -> Self:
        """With the mesh of this object, or the reason why there is none."""
        try:
            return replace(self, mesh=self._read(name))
        except GtrError as error:
            return replace(self, fault=str(error))

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        """The mesh of the object as its file has it; how long it took to make is not known."""
        del protocol, progress
        mesh = self._read(truth.object.name) if self.mesh is None else self.mesh
        yield SystemResult("", mesh, seconds=None, cpu_seconds=None)

    def _read(self, name: str) -> Mesh:
        if self.fault:
            raise GtrError(ErrorCode.BAD_INPUT, self.fault)
        path = self._path(name)
        if path is None:
            known = ", ".join(SUFFIXES)
            raise GtrError(ErrorCode.BAD_INPUT, f"There is no mesh of {name} in {self.folder} ({known}).")
        return read_checked(ObjectFile(name, path)).mesh

    def _path(self, name: str) -> Path | None:
        found = (self.folder / f"{name}{suffix}" for suffix in SUFFIXES)
        return next((path for path in found if path.is_file()), None)


def external_meshes(name: str, folder: Path) -> ExternalMeshes:
    """The system of this folder.

    Raises:
        GtrError: ``bad_input`` when there is no such folder.
    """
    if not folder.is_dir():
        raise GtrError(ErrorCode.BAD_INPUT, f"There is no folder {folder} with meshes of {name}.", "Check its path.")
    return ExternalMeshes(name, folder.resolve())


def _companions(path: Path) -> list[Path]:
    """Materials and pictures that an OBJ file names, as far as they are there."""
    if path.suffix != ".obj":
        return []
    materials = _named(path, rb"^\s*mtllib\s+(.+?)\s*$")
    return [*materials, *(picture for file in materials for picture in _named(file, rb"^\s*map_\w+\s.*?(\S+)\s*$"))]


def _named(path: Path, pattern: bytes) -> list[Path]:
    names = re.findall(pattern, path.read_bytes(), re.MULTILINE)
    files = [path.parent / name.decode("utf-8", "replace") for name in names]
    return [file for file in files if file.is_file()]
