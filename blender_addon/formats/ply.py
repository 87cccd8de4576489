"""PLY, binary little-endian, with sRGB byte colours: Blender 3.4's own exporter drops ours without a word."""

from __future__ import annotations

from collections.abc import Sequence

from ..packages import numpy
from .export_mesh import ExportMesh, srgb_bytes


def ply_bytes(meshes: Sequence[ExportMesh]) -> bytes:
    """A whole ``.ply`` file; several meshes become one, since the format knows no objects.

    Args:
        meshes: in the axes that the file shall have (Blender reads and writes Z up). When one has colours and another
            has not, the other is written white.

    Raises:
        ValueError: see :meth:`ExportMesh.checked`; or no mesh at all.
    """
    np = numpy()
    if not meshes:
        raise ValueError("nothing to write")
    parts = [mesh.checked() for mesh in meshes]
    colored = any(part.colors is not None for part in parts)
    fields = [("position", "<f4", 3), *([("color", "u1", 3)] if colored else [])]
    vertices = np.empty(sum(len(part.vertices) for part in parts), np.dtype(fields))
    faces = np.empty(sum(len(part.faces) for part in parts), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    faces["count"] = 3
    first = row = 0
    for part in parts:
        after = first + len(part.vertices)
        vertices["position"][first:after] = part.vertices
        if colored:
            vertices["color"][first:after] = 255 if part.colors is None else srgb_bytes(part.colors)
        faces["corners"][row : row + len(part.faces)] = part.faces.astype(np.int64) + first
        first, row = after, row + len(part.faces)
    return b"".join([_header(len(vertices), len(faces), colored), vertices.tobytes(), faces.tobytes()])


def _header(vertices: int, faces: int, colored: bool) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", "comment GTR for Blender", f"element vertex {vertices}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"property uchar {channel}" for channel in ("red", "green", "blue")] if colored else []
    lines += [f"element face {faces}", "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(lines).encode("ascii")
