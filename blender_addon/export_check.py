"""Looking at a written file again: how many vertices, faces and colours are really in it."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO


@dataclass(frozen=True)
class FileSummary:
    """Contents of an exported file; ``colors`` is the number of vertices that have one."""

    vertices: int
    faces: int
    colors: int
    bytes: int


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
        vertices, faces, colors = reader(file, path.stat().st_size)
    return FileSummary(vertices, faces, colors, path.stat().st_size)


def _glb(file: BinaryIO, size: int) -> tuple[int, int, int]:
    magic, version, total = struct.unpack("<4sII", _exactly(file, 12))
    length, kind = struct.unpack("<I4s", _exactly(file, 8))
    if (magic, version, total, kind) != (b"glTF", 2, size, b"JSON"):
        raise ValueError("the glTF header is wrong")
    document = json.loads(_exactly(file, length))
    binary, kind = struct.unpack("<I4s", _exactly(file, 8))
    if kind != b"BIN\0" or file.tell() + binary != size or binary < document["buffers"][0]["byteLength"]:
        raise ValueError("the glTF binary part is not whole")
    accessors = document["accessors"]
    vertices = faces = colors = 0
    for mesh in document["meshes"]:
        for primitive in mesh["primitives"]:
            attributes = primitive["attributes"]
            vertices += accessors[attributes["POSITION"]]["count"]
            faces += accessors[primitive["indices"]]["count"] // 3
            colors += accessors[attributes["COLOR_0"]]["count"] if "COLOR_0" in attributes else 0
    return vertices, faces, colors


_PLY_SIZES = {"char": 1, "uchar": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "float": 4, "double": 8}


def _ply(file: BinaryIO, size: int) -> tuple[int, int, int]:
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
    return counts["vertex"], counts["face"], counts["vertex"] if {"red", "green", "blue"} <= names else 0


def _obj(file: BinaryIO, _size: int) -> tuple[int, int, int]:
    vertices = faces = colors = 0
    for line in file:
        if line.startswith(b"v "):
            vertices += 1
            colors += len(line.split()) >= 7
        elif line.startswith(b"f "):
            faces += 1
    return vertices, faces, colors


def _exactly(file: Any, count: int) -> bytes:
    data: bytes = file.read(count)
    if len(data) != count:
        raise ValueError("the file is not whole")
    return data
