"""A texture's layout for any triangle mesh, in numpy alone: it needs no operator, no mode and no selection. No bpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..packages import numpy
from .charts import cut_into_charts
from .pack import pack_charts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_USED = 0.6
"""Share of the texels that lie on the surface, about."""


@dataclass(frozen=True)
class Atlas:
    """Where every triangle lies on the texture.

    Args:
        texels: (L,2) float64 column and row, row 0 at the top; one for each vertex in each chart that it is part of.
        vertex: (L,) int64 vertex of the mesh.
        faces: (M,3) int64 indices into ``texels``, corner by corner as in the mesh.
        size: texels of a side.
    """

    texels: NDArray[np.float64]
    vertex: NDArray[np.int64]
    faces: NDArray[np.int64]
    size: int

    @property
    def uv(self) -> NDArray[np.float32]:
        """(L,2) in [0,1], v down as glTF has it."""
        uv: NDArray[np.float32] = (self.texels / self.size).astype("float32")
        return uv


def unwrap(
    points: NDArray[Any], faces: NDArray[Any], size: int, step: Callable[[float], None] = lambda _done: None
) -> Atlas:
    """Lay a mesh out on a texture of ``size`` x ``size`` texels.

    Args:
        points: (N,3) finite positions in which texels shall have the same size everywhere.
        faces: (M,3) vertex indices.
        size: texels of a side.
        step: told the share that is done; may raise to stop here.

    Raises:
        ValueError: the mesh has more pieces than fit.
    """
    np = numpy()
    points = np.asarray(points, np.float64)
    faces = np.asarray(faces, np.int64)
    chart, flat = cut_into_charts(points, faces, _USED * size * size)
    step(0.7)
    texels = pack_charts(flat, chart, size)
    step(0.9)
    key = (chart[:, None] * len(points) + faces).reshape(-1)
    unique, first, index = np.unique(key, return_index=True, return_inverse=True)
    return Atlas(texels.reshape(-1, 2)[first], unique % len(points), index.reshape(-1, 3), size)
