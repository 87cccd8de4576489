"""Finding the files that a mesh file names, where the data sets really keep them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import trimesh

from gtr_core.io.images import SUFFIXES

_FOLDERS = (".", "textures", "materials/textures", "../textures", "../materials/textures")
"""Google Scanned Objects name ``texture.png`` in ``meshes/model.mtl`` and keep it in ``materials/textures``."""
_USUAL_NAMES = ("texture", "texture_map", "texture_0")


class TextureFiles(trimesh.resolvers.Resolver):
    """Reads what a mesh file refers to, and remembers what it read and what was not there.

    Args:
        mesh_file: the mesh file. Only its folder and the usual folders for textures near it are looked into.
    """

    def __init__(self, mesh_file: Path) -> None:
        self.mesh_file = mesh_file
        self.read: list[Path] = []
        self.missing: list[str] = []

    def get(self, name: str) -> bytes:
        """Contents of a file by the name that stands in the mesh file.

        Raises:
            FileNotFoundError: when it is nowhere.
        """
        path = self.find(name)
        if path is None:
            self.missing.append(name)
            raise FileNotFoundError(name)
        self.read.append(path)
        return path.read_bytes()

    def find(self, name: str) -> Path | None:
        """Where a named file is; first where the name says, then by its last part in the usual folders."""
        home = self.mesh_file.parent
        for text in (name.strip(), unquote(name.strip())):
            exact = (home / text).resolve()
            if exact.is_relative_to(home.parent.resolve()) and exact.is_file():
                return exact
            last = text.replace("\\", "/").rsplit("/", 1)[-1]
            for folder in self._folders():
                if last and (folder / last).is_file():
                    return folder / last
        return None

    def lone_texture(self) -> Path | None:
        """The texture of a mesh that names none: called like the mesh or as textures are, or the only picture there."""
        for folder in self._folders():
            pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
            for stem in (self.mesh_file.stem, *_USUAL_NAMES):
                named = [path for path in pictures if path.stem.lower() == stem.lower()]
                if named:
                    return named[0]
            if len(pictures) == 1 and self._is_alone():
                return pictures[0]
        return None

    def keys(self) -> Iterator[str]:
        """Names of the files beside the mesh."""
        return (path.name for path in self.mesh_file.parent.iterdir())

    def namespaced(self, namespace: str) -> TextureFiles:
        """The same search, from a folder below."""
        return TextureFiles(self.mesh_file.parent / namespace / self.mesh_file.name)

    def write(self, name: str, data: object) -> None:  # noqa: ARG002 - the name is the interface's
        """Nothing is ever written."""
        raise PermissionError(name)

    def _folders(self) -> Iterator[Path]:
        for relative in _FOLDERS:
            folder = self.mesh_file.parent / relative
            if folder.is_dir():
                yield folder

    def _is_alone(self) -> bool:
        """Whether no other mesh lies beside this one, whose texture the only picture might be."""
        kinds = {".obj", ".ply", ".glb", ".gltf", ".off", ".stl"}
        return sum(path.suffix.lower() in kinds for path in self.mesh_file.parent.iterdir()) == 1
