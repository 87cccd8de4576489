"""What passes between the export, the worker thread and the panel when a texture is made: plain data, no bpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..formats.export_mesh import MeshTexture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class BakeSurface:
    """The surface that gets a texture.

    Args:
        points: (N,3) float32 positions in the GTR world, where the field is asked.
        faces: (M,3) vertex indices.
        size: texels of a side of the texture.
    """

    points: NDArray[np.float32]
    faces: NDArray[np.uint32]
    size: int


@dataclass(frozen=True)
class TextureReady:
    """The texture of a surface."""

    kind: ClassVar[str] = "texture"
    handle: str
    texture: MeshTexture
