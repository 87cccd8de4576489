"""glTF 2.0 binary: the same bytes from every Blender, colours in every viewer."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .export_mesh import ExportMesh, linear_colors
from .packages import numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_ARRAY, _ELEMENTS = 34962, 34963


def glb_bytes(meshes: Sequence[ExportMesh], *, unlit: bool = False) -> bytes:
    """A whole ``.glb`` file, one node per mesh.

    Colours are ``COLOR_0``: 16-bit normalised, linear (8-bit linear would show bands in the darks). Normals are those
    of a smooth surface, weighted by area. All meshes share one material; it is there because viewers take metallic 1
    without one and look dark.

    Args:
        meshes: Y up, as glTF wants it.
        unlit: show the colours without shading (KHR_materials_unlit).

    Raises:
        ValueError: see :meth:`ExportMesh.checked`; or no mesh at all.
    """
    if not meshes:
        raise ValueError("nothing to write")
    writer = _Writer()
    nodes: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    for mesh in meshes:
        nodes.append({"name": mesh.name, "mesh": len(records)})
        records.append({"name": mesh.name, "primitives": [writer.primitive(mesh.checked())]})
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "GTR for Blender"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": records,
        "materials": [_material(unlit)],
        "accessors": writer.accessors,
        "bufferViews": writer.views,
        "buffers": [{"byteLength": len(writer.data)}],
    }
    if unlit:
        document["extensionsUsed"] = ["KHR_materials_unlit"]
    return _container(document, bytes(writer.data))


class _Writer:
    """Collects the binary buffer with its views and accessors."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def primitive(self, mesh: ExportMesh) -> dict[str, Any]:
        """Accessors of one mesh as a glTF primitive."""
        low, high = mesh.vertices.min(axis=0).tolist(), mesh.vertices.max(axis=0).tolist()
        attributes = {
            "POSITION": self._add(mesh.vertices, _FLOAT, "VEC3", _ARRAY, min=low, max=high),
            "NORMAL": self._add(vertex_normals(mesh.vertices, mesh.faces), _FLOAT, "VEC3", _ARRAY),
        }
        if mesh.colors is not None:
            colors = _unsigned_shorts(mesh.colors)
            attributes["COLOR_0"] = self._add(colors, _UNSIGNED_SHORT, "VEC4", _ARRAY, normalized=True)
        indices = self._add(mesh.faces.reshape(-1), _UNSIGNED_INT, "SCALAR", _ELEMENTS)
        return {"attributes": attributes, "indices": indices, "material": 0, "mode": 4}

    def _add(self, array: NDArray[Any], component: int, kind: str, target: int, **more: Any) -> int:
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw), "target": target})
        self.accessors.append(
            {"bufferView": len(self.views) - 1, "componentType": component, "count": len(array), "type": kind, **more}
        )
        self.data += raw + b"\0" * (-len(raw) % 4)
        return len(self.accessors) - 1


def vertex_normals(vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[np.float32]:
    """(N,3) unit normals, faces weighted by area; +y for vertices without a face."""
    np = numpy()
    corners = vertices.astype(np.float64)[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    index = faces.reshape(-1)
    total = np.stack(
        [np.bincount(index, np.repeat(area[:, axis], 3), minlength=len(vertices)) for axis in range(3)], axis=-1
    )
    length = np.linalg.norm(total, axis=-1, keepdims=True)
    normals = np.where(length > 1e-30, total / np.maximum(length, 1e-30), (0.0, 1.0, 0.0))
    return normals.astype(np.float32)  # type: ignore[no-any-return]


def _unsigned_shorts(colors: NDArray[Any]) -> NDArray[np.uint16]:
    np = numpy()
    # Four channels although alpha is always one: three would break the alignment to 4 bytes.
    result: Any = np.full((len(colors), 4), 65535, np.uint16)
    result[:, :3] = np.rint(linear_colors(colors) * 65535)
    return result  # type: ignore[no-any-return]


def _material(unlit: bool) -> dict[str, Any]:
    material: dict[str, Any] = {
        "name": "GTR",
        "pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0, "roughnessFactor": 0.5},
    }
    return {**material, "extensions": {"KHR_materials_unlit": {}}} if unlit else material


def _container(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(binary), b"BIN\0"),
            binary,
        ]
    )
