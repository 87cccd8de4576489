"""From a texture's layout to the points of the surface under its texels, and from their colours to the picture. No bpy.

The texels of a bilinear lookup all get a point of the surface: those whose centre lies in a triangle the point under
it, those just outside the nearest point of the chart's border. The rest is filled from the texels around it, so that
smaller mip levels mix no foreign colour into the border either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..packages import numpy
from .atlas import Atlas
from .raster import barycentric, covered_texels, expand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BORDER_STEP = 0.5
"""Distance in texels between the points along a border."""
_AT_ONCE, _ROWS_AT_ONCE = 1 << 19, 128
"""Texels that one numpy call moves: such calls keep every other thread waiting, that of the window too."""


@dataclass(frozen=True)
class Texels:
    """Texels that need a colour and where they are on the surface.

    Args:
        index: (P,) int64 row * size + column, ascending.
        points: (P,3) float32, in the axes of the mesh.
        size: texels of a side.
    """

    index: NDArray[np.int64]
    points: NDArray[np.float32]
    size: int


def texel_positions(atlas: Atlas, points: NDArray[Any], faces: NDArray[Any]) -> Texels:
    """The surface points of all texels that a lookup on the surface can touch.

    Args:
        atlas: layout of the mesh.
        points: (N,3) vertices.
        faces: (M,3) vertex indices.
    """
    np = numpy()
    total = atlas.size * atlas.size
    place, known = np.empty((total, 3), np.float32), np.zeros(total, bool)
    index, where = _border(atlas, points)
    place[index], known[index] = where, True
    flat, corners = atlas.texels[atlas.faces], np.asarray(points, np.float64)[faces]
    for face, column, row in covered_texels(flat):
        weights = barycentric(flat, face, np.stack([column, row], axis=-1) + 0.5)
        index = row * atlas.size + column
        place[index] = np.einsum("pk,pkc->pc", weights, corners[face])
        known[index] = True
    index = np.flatnonzero(known)
    chosen = np.empty((len(index), 3), np.float32)
    for part in _parts(len(index)):
        chosen[part] = place[index[part]]
    return Texels(index, chosen, atlas.size)


def fill_texture(texels: Texels, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(size,size,3) uint8 picture, row 0 at the top: the colours at their texels, everything else continued from them.

    Args:
        texels: where the colours belong.
        colors: (P,3) uint8 sRGB.
    """
    np = numpy()
    side = texels.size
    sums = np.zeros((side * side, 4), np.float32)
    for part in _parts(len(colors)):
        sums[texels.index[part], :3], sums[texels.index[part], 3] = colors[part], 1
    picture = _filled(sums.reshape(side, side, 4))
    result: Any = np.rint(picture, out=picture).astype(np.uint8).reshape(-1, 3)
    for part in _parts(len(colors)):
        result[texels.index[part]] = colors[part]
    return result.reshape(side, side, 3)  # type: ignore[no-any-return]


def _parts(count: int) -> list[slice]:
    return [slice(first, first + _AT_ONCE) for first in range(0, count, _AT_ONCE)]


def _border(atlas: Atlas, points: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Texels around the borders of the charts, each once, with the nearest border point."""
    np = numpy()
    a, b = _border_edges(atlas)
    from_, to = atlas.texels[a], atlas.texels[b]
    counts = np.ceil(np.linalg.norm(to - from_, axis=1) / _BORDER_STEP).astype(np.int64) + 1
    edge, number = expand(counts)
    share = (number / np.maximum(counts[edge] - 1, 1))[:, None]
    sample = from_[edge] * (1 - share) + to[edge] * share
    solid = np.asarray(points, np.float64)
    where = solid[atlas.vertex[a[edge]]] * (1 - share) + solid[atlas.vertex[b[edge]]] * share
    corner = np.floor(sample - 0.5).astype(np.int64)
    cells = [corner + step for step in ((0, 0), (1, 0), (0, 1), (1, 1))]
    distance = np.concatenate([np.linalg.norm(cell + 0.5 - sample, axis=1) for cell in cells])
    cell = np.clip(np.concatenate(cells), 0, atlas.size - 1)
    index = cell[:, 1] * atlas.size + cell[:, 0]
    order = np.lexsort((distance, index))
    unique, first = np.unique(index[order], return_index=True)
    return unique, where[order[first] % len(where)]


def _border_edges(atlas: Atlas) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both ends of the edges that have a face of their chart on one side only."""
    np = numpy()
    ends = atlas.faces[:, ((0, 1), (1, 2), (2, 0))].reshape(-1, 2)
    low, high = ends.min(axis=1), ends.max(axis=1)
    _, first, counts = np.unique(low * len(atlas.texels) + high, return_index=True, return_counts=True)
    alone = first[counts == 1]
    return low[alone], high[alone]


def _filled(sums: NDArray[Any]) -> NDArray[Any]:
    """(S,S,3) colours from (S,S,4) sums and weights: what is unknown comes from the next smaller picture."""
    np = numpy()
    known = sums[..., 3:] > 0
    here = sums[..., :3] / np.maximum(sums[..., 3:], 1e-12)
    side = len(sums)
    if side == 1 or bool(known.all()):
        return here  # type: ignore[no-any-return]
    half = (side + 1) // 2
    padded = np.zeros((2 * half, 2 * half, 4), sums.dtype)
    padded[:side, :side] = sums
    smaller = _filled(padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2])
    for row in range(0, side, _ROWS_AT_ONCE):
        rows = slice(row, min(row + _ROWS_AT_ONCE, side))
        larger = smaller[row // 2 : (rows.stop + 1) // 2].repeat(2, axis=0).repeat(2, axis=1)
        here[rows] = np.where(known[rows], here[rows], larger[: rows.stop - row, :side])
    return here  # type: ignore[no-any-return]
