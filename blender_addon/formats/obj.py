"""OBJ with a texture: three files that belong together. No bpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..packages import numpy
from .export_mesh import ExportMesh
from .glb import ROUGHNESS, vertex_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray


def obj_files(mesh: ExportMesh, stem: str) -> dict[str, bytes]:
    """Contents by file name: material, picture, then the mesh, which refers to both.

    The mesh stays in one piece: an OBJ face names position, texture place and normal one by one.

    Args:
        mesh: Y up, with a texture.
        stem: name of the files without suffix; what viewers cannot read in a name is replaced.

    Raises:
        ValueError: see :meth:`ExportMesh.checked`; or no texture.
    """
    np = numpy()
    mesh = mesh.checked()
    texture = mesh.texture
    if texture is None:
        raise ValueError(f"{mesh.name} has no texture")
    position, place = mesh.faces.astype(np.int64) + 1, np.asarray(texture.faces, np.int64) + 1
    uv = np.asarray(texture.uv, np.float64)
    text = "".join(
        [
            f"# GTR for Blender\nmtllib {stem}.mtl\no {_word(mesh.name)}\n",
            _lines("v %.7g %.7g %.7g\n", mesh.vertices),
            _lines("vt %.7g %.7g\n", np.stack([uv[:, 0], 1 - uv[:, 1]], axis=-1)),
            _lines("vn %.4g %.4g %.4g\n", vertex_normals(mesh.vertices, mesh.faces)),
            "usemtl GTR\n",
            _lines("f %d/%d/%d %d/%d/%d %d/%d/%d\n", np.stack([position, place, position], axis=-1).reshape(-1, 9)),
        ]
    )
    return {
        f"{stem}.mtl": _material(stem).encode(),
        f"{stem}.png": texture.png,
        f"{stem}.obj": text.encode(),
    }


def _lines(pattern: str, values: NDArray[Any]) -> str:
    return (pattern * len(values)) % tuple(values.reshape(-1).tolist())


def _word(name: str) -> str:
    return "_".join(name.split()) or "GTR"


def _material(stem: str) -> str:
    return f"newmtl GTR\nKd 1 1 1\nKs 0 0 0\nPr {ROUGHNESS}\nPm 0\nillum 1\nmap_Kd {stem}.png\n"
