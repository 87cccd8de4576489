"""Looking at a written file again: how many vertices, faces and colours are really in it, and how large a texture."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO


@dataclass(frozen=True)
class FileSummary:
    """Contents of an exported file.

    Args:
        vertices: as the file counts them: glTF doubles those at the borders of a texture's charts.
        faces: triangles.
        colors: vertices that have a colour.
        bytes: size, with the files that belong to it.
        texture: texels of a side, 0 without a texture that covers every face.
    """

    vertices: int
    faces: int
    colors: int
    bytes: int
    texture: int = 0


Contents = tuple[int, int, int, int]
"""Vertices, faces, colours, texture."""
_PNG = b"\x89PNG\r\n\x1a\n"


def inspect_file(path: Path) -> FileSummary:
    """What a ``.glb``, ``.ply`` or ``.obj`` file contains.

    Raises:
        ValueError: the file is not whole, or has another suffix.
    """
    readers = {".glb": _glb, ".ply": _ply, ".obj": _obj}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"cannot look into {path.suffix} files")
    with path.open("rb") as file:
        vertices, faces, colors, texture = reader(file, path.stat().st_size)
    size = path.stat().st_size
    if path.suffix.lower() == ".obj" and texture:
        texture = _obj_texture(path)
        beside = [path.with_suffix(suffix) for suffix in (".mtl", ".png")]
        size += sum(other.stat().st_size for other in beside if other.exists())
    return FileSummary(vertices, faces, colors, size, texture)


def _glb(file: BinaryIO, size: int) -> Contents:
    magic, version, total = struct.unpack("<4sII", _exactly(file, 12))
    length, kind = struct.unpack("<I4s", _exactly(file, 8))
    if (magic, version, total, kind) != (b"glTF", 2, size, b"JSON"):
        raise ValueError("the glTF header is wrong")
    document = json.loads(_exactly(file, length))
    binary, kind = struct.unpack("<I4s", _exactly(file, 8))
    if kind != b"BIN\0" or file.tell() + binary != size or binary < document["buffers"][0]["byteLength"]:
        raise ValueError("the glTF binary part is not whole")
    start = file.tell()
    accessors = document["accessors"]
    vertices = faces = colors = 0
    textures: list[int] = []
    for mesh in document["meshes"]:
        for primitive in mesh["primitives"]:
            attributes = primitive["attributes"]
            vertices += accessors[attributes["POSITION"]]["count"]
            faces += accessors[primitive["indices"]]["count"] // 3
            colors += accessors[attributes["COLOR_0"]]["count"] if "COLOR_0" in attributes else 0
            surface = document["materials"][primitive["material"]]["pbrMetallicRoughness"]
            if "TEXCOORD_0" in attributes and "baseColorTexture" in surface:
                source = document["textures"][surface["baseColorTexture"]["index"]]["source"]
                view = document["bufferViews"][document["images"][source]["bufferView"]]
                file.seek(start + view["byteOffset"])
                textures.append(_png_side(_exactly(file, view["byteLength"])))
            else:
                textures.append(0)
    return vertices, faces, colors, min(textures, default=0)


_PLY_SIZES = {"char": 1, "uchar": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "float": 4, "double": 8}


def _ply(file: BinaryIO, size: int) -> Contents:
    counts: dict[str, int] = {}
    properties: dict[str, list[list[str]]] = {}
    element, layout = "", ""
    while True:
        line = file.readline(512).decode("ascii", "replace").split()
        if not line:
            raise ValueError("the PLY header does not end")
        if line[0] == "end_header":
            break
        if line[0] == "format":
            layout = line[1]
        elif line[0] == "element":
            element, counts[line[1]], properties[line[1]] = line[1], int(line[2]), []
        elif line[0] == "property":
            properties[element].append(line[1:])
    names = {entry[-1] for entry in properties["vertex"]}
    if layout == "binary_little_endian":
        stride = sum(_PLY_SIZES[entry[0]] for entry in properties["vertex"])
        triangles = counts["vertex"] * stride + counts["face"] * 13
        if file.tell() + triangles > size:
            raise ValueError("the PLY file is not whole")
    return counts["vertex"], counts["face"], counts["vertex"] if {"red", "green", "blue"} <= names else 0, 0


def _obj(file: BinaryIO, _size: int) -> Contents:
    vertices = faces = colors = places = 0
    for line in file:
        if line.startswith(b"v "):
            vertices += 1
            colors += len(line.split()) >= 7
        elif line.startswith(b"f "):
            faces += 1
            places += line.count(b"/") >= 6 and b"//" not in line
    return vertices, faces, colors, int(places == faces > 0)


def _obj_texture(path: Path) -> int:
    """Side of the picture that the material beside an OBJ file names, 0 when there is none."""
    material = path.with_suffix(".mtl")
    if not material.exists():
        return 0
    for line in material.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, name = line.partition(" ")
        if key == "map_Kd":
            return _png_side((path.parent / name.strip()).read_bytes())
    return 0


def _png_side(data: bytes) -> int:
    if not data.startswith(_PNG) or not data.endswith(b"IEND\xaeB`\x82"):
        raise ValueError("the texture is not a whole PNG")
    width, height = struct.unpack_from(">II", data, 16)
    return int(min(width, height))


def _exactly(file: Any, count: int) -> bytes:
    data: bytes = file.read(count)
    if len(data) != count:
        raise ValueError("the file is not whole")
    return data
