"""glTF 2.0 binary: the same bytes from every Blender, colours in every viewer, as vertex colours or as a texture."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..packages import numpy
from .export_mesh import ExportMesh, MeshTexture, linear_colors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_ARRAY, _ELEMENTS = 34962, 34963
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP = 9729, 9987, 33071
ROUGHNESS = 0.5


def glb_bytes(meshes: Sequence[ExportMesh], *, unlit: bool = False) -> bytes:
    """A whole ``.glb`` file, one node per mesh.

    Colours are ``COLOR_0``: 16-bit normalised, linear (8-bit linear would show bands in the darks). Normals are those
    of a smooth surface, weighted by area. Meshes with vertex colours share one material; it is there because viewers
    take metallic 1 without one and look dark. A mesh with a texture has a material of its own and no vertex colours,
    which viewers would multiply with the texture; its vertices are doubled along the borders of the charts.

    Args:
        meshes: Y up, as glTF wants it.
        unlit: show the colours without shading (KHR_materials_unlit).

    Raises:
        ValueError: see :meth:`ExportMesh.checked`; or no mesh at all.
    """
    if not meshes:
        raise ValueError("nothing to write")
    writer = _Writer(unlit)
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
        "materials": writer.materials,
        "accessors": writer.accessors,
        "bufferViews": writer.views,
        "buffers": [{"byteLength": len(writer.data)}],
    }
    if writer.images:
        document["images"] = writer.images
        document["textures"] = [{"source": image, "sampler": 0} for image in range(len(writer.images))]
        document["samplers"] = [
            {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": _CLAMP, "wrapT": _CLAMP}
        ]
    if unlit:
        document["extensionsUsed"] = ["KHR_materials_unlit"]
    return _container(document, bytes(writer.data))


class _Writer:
    """Collects the binary buffer with its views and accessors, and the materials."""

    def __init__(self, unlit: bool) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.materials: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self._unlit = unlit
        self._shared: int | None = None

    def primitive(self, mesh: ExportMesh) -> dict[str, Any]:
        """Accessors of one mesh as a glTF primitive."""
        vertices, faces = mesh.vertices, mesh.faces
        normals = vertex_normals(vertices, faces)
        texture = mesh.texture
        if texture is not None:
            # Normals come from the whole surface, so that no border of a chart shows in the shading.
            vertices, normals = vertices[texture.vertex], normals[texture.vertex]
            faces = texture.faces.astype("uint32")
        low, high = vertices.min(axis=0).tolist(), vertices.max(axis=0).tolist()
        attributes = {
            "POSITION": self._add(vertices, _FLOAT, "VEC3", _ARRAY, min=low, max=high),
            "NORMAL": self._add(normals, _FLOAT, "VEC3", _ARRAY),
        }
        if texture is not None:
            attributes["TEXCOORD_0"] = self._add(texture.uv.astype("float32"), _FLOAT, "VEC2", _ARRAY)
        elif mesh.colors is not None:
            colors = _unsigned_shorts(mesh.colors)
            attributes["COLOR_0"] = self._add(colors, _UNSIGNED_SHORT, "VEC4", _ARRAY, normalized=True)
        indices = self._add(faces.reshape(-1), _UNSIGNED_INT, "SCALAR", _ELEMENTS)
        return {"attributes": attributes, "indices": indices, "material": self._material(mesh.name, texture), "mode": 4}

    def _material(self, name: str, texture: MeshTexture | None) -> int:
        """Index of the material of a mesh."""
        if texture is None:
            if self._shared is None:
                self._shared = len(self.materials)
                self.materials.append(_material("GTR", self._unlit))
            return self._shared
        self.images.append({"name": name, "mimeType": "image/png", "bufferView": self._append(texture.png)})
        self.materials.append(_material(name, self._unlit, len(self.images) - 1))
        return len(self.materials) - 1

    def _add(self, array: NDArray[Any], component: int, kind: str, target: int, **more: Any) -> int:
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        view = self._append(raw, target=target)
        self.accessors.append(
            {"bufferView": view, "componentType": component, "count": len(array), "type": kind, **more}
        )
        return len(self.accessors) - 1

    def _append(self, raw: bytes, **more: Any) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw), **more})
        self.data += raw + b"\0" * (-len(raw) % 4)
        return len(self.views) - 1


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


def _material(name: str, unlit: bool, texture: int | None = None) -> dict[str, Any]:
    surface: dict[str, Any] = {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0, "roughnessFactor": ROUGHNESS}
    if texture is not None:
        surface["baseColorTexture"] = {"index": texture}
    material: dict[str, Any] = {"name": name, "pbrMetallicRoughness": surface}
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
