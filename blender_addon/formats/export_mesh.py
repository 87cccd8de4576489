"""What the file writers write, and the colour arithmetic that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..packages import numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MeshTexture:
    """A picture on a mesh. Vertices at the border of a chart have several places on it.

    Args:
        uv: (L,2) float in [0,1], v down as glTF has it.
        vertex: (L,) int vertex of each place.
        faces: (M,3) int indices into ``uv``: the faces of the mesh, corner by corner.
        png: the encoded picture, sRGB.
        size: of its sides in texels.
    """

    uv: NDArray[Any]
    vertex: NDArray[Any]
    faces: NDArray[Any]
    png: bytes
    size: int


@dataclass(frozen=True)
class ExportMesh:
    """One object of an exported file; the axes are the caller's business.

    Args:
        name: of the object.
        vertices: (N,3) float.
        faces: (M,3) int, counter-clockwise seen from outside.
        colors: (N,3) or (N,4), uint8 sRGB or float linear; None = none. Alpha is not written.
        texture: shown instead of ``colors`` by the formats that know textures.
    """

    name: str
    vertices: NDArray[Any]
    faces: NDArray[Any]
    colors: NDArray[Any] | None = None
    texture: MeshTexture | None = None

    def checked(self) -> ExportMesh:
        """The same with float32 vertices and uint32 faces.

        Raises:
            ValueError: arrays that do not belong together, or vertices that are not finite.
        """
        np = numpy()
        vertices = np.ascontiguousarray(self.vertices, dtype=np.float32)
        faces = np.ascontiguousarray(self.faces, dtype=np.int64)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
            raise ValueError(f"vertices {vertices.shape} and faces {faces.shape} are not (N,3) and (M,3)")
        if not len(vertices) or not len(faces):
            raise ValueError(f"{self.name} has no faces")
        if not np.isfinite(vertices).all():
            raise ValueError(f"{self.name} has a vertex that is not finite")
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(f"{self.name} has a face with a vertex that does not exist")
        if self.colors is not None and (len(self.colors) != len(vertices) or self.colors.shape[1] not in (3, 4)):
            raise ValueError(f"{self.name} has colours {self.colors.shape} for {len(vertices)} vertices")
        if self.texture is not None:
            self._check_texture(self.texture, faces)
        return ExportMesh(self.name, vertices, faces.astype(np.uint32), self.colors, self.texture)

    def _check_texture(self, texture: MeshTexture, faces: NDArray[Any]) -> None:
        places = len(texture.uv)
        inside = texture.faces.shape == faces.shape and texture.faces.min() >= 0 and texture.faces.max() < places
        if not inside or len(texture.vertex) != places or not (texture.vertex[texture.faces] == faces).all():
            raise ValueError(f"{self.name} has a texture of another mesh")


def linear_colors(colors: NDArray[Any]) -> NDArray[np.float64]:
    """(N,3) linear values in [0,1] of sRGB bytes or linear floats (IEC 61966-2-1)."""
    np = numpy()
    if colors.dtype == np.uint8:
        value = np.arange(256) / 255
        table = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        return table[colors[:, :3]]  # type: ignore[no-any-return]
    return np.clip(np.nan_to_num(colors[:, :3].astype(np.float64)), 0.0, 1.0)  # type: ignore[no-any-return]


def srgb_bytes(colors: NDArray[Any]) -> NDArray[np.uint8]:
    """(N,3) sRGB bytes, rounded to nearest, of sRGB bytes or linear floats."""
    np = numpy()
    if colors.dtype == np.uint8:
        return np.ascontiguousarray(colors[:, :3])  # type: ignore[no-any-return]
    value = linear_colors(colors)
    encoded = np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)  # type: ignore[no-any-return]
