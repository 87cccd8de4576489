"""Which texels lie in which triangles of a plane: exact, without gaps or double hits along shared edges. No bpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..packages import numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FACES_AT_ONCE = 1 << 15
"""Faces per part: bounds the memory, and gives the caller a moment between two parts."""


def covered_texels(corners: NDArray[Any]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Texels whose centre lies in a triangle, part by part.

    A centre on an edge belongs to the triangle right of or below that edge, so that triangles which share an edge,
    with the same numbers for its ends, never both have it and never leave it out.

    Args:
        corners: (M,3,2) float, column and row in texels; texel (c, r) has its centre at (c + 0.5, r + 0.5). Either
            winding.

    Yields:
        face, column, row: (P,) each, faces ascending.
    """
    for first in range(0, len(corners), FACES_AT_ONCE):
        face, column, row = _texels(corners[first : first + FACES_AT_ONCE])
        yield face + first, column, row


def barycentric(corners: NDArray[Any], face: NDArray[Any], points: NDArray[Any]) -> NDArray[np.float64]:
    """(P,3) barycentric coordinates of points (P,2) in their triangles, >= 0 and of sum 1; thirds in flat ones."""
    np = numpy()
    a = corners[face, 0]
    one, two, to = corners[face, 1] - a, corners[face, 2] - a, points - a
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    flat = np.abs(area) < 1e-12
    area[flat] = 1.0
    v = (to[:, 0] * two[:, 1] - to[:, 1] * two[:, 0]) / area
    w = (one[:, 0] * to[:, 1] - one[:, 1] * to[:, 0]) / area
    result: Any = np.stack([1 - v - w, v, w], axis=-1)
    result[flat] = 1 / 3
    np.clip(result, 0.0, 1.0, out=result)
    return result / result.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def expand(counts: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Owner and running number inside the owner for ``counts`` items each: [2, 1] gives [0, 0, 1] and [0, 1, 0]."""
    np = numpy()
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _texels(corners: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    np = numpy()
    y = corners[:, :, 1]
    top, bottom = np.minimum(np.minimum(y[:, 0], y[:, 1]), y[:, 2]), np.maximum(np.maximum(y[:, 0], y[:, 1]), y[:, 2])
    first = np.ceil(top - 0.5).astype(np.int64)
    rows = np.maximum(np.ceil(bottom - 0.5).astype(np.int64) - first, 0)
    face, number = expand(rows)
    row = first[face] + number
    low, high = _span(corners[face], row + 0.5)
    start = np.ceil(low - 0.5).astype(np.int64)
    columns = np.maximum(np.ceil(high - 0.5).astype(np.int64) - start, 0)
    line, number = expand(columns)
    return face[line], start[line] + number, row[line]


def _span(corners: NDArray[Any], height: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where horizontal lines enter and leave triangles; nothing (low > high) where they miss them."""
    np = numpy()
    low, high = np.full(len(height), np.inf), np.full(len(height), -np.inf)
    for one, two in ((0, 1), (1, 2), (2, 0)):
        a, b = corners[:, one], corners[:, two]
        # From the upper to the lower end, whichever triangle asks: both must compute the very same number.
        swap = a[:, 1] > b[:, 1]
        ax, ay = np.where(swap, b[:, 0], a[:, 0]), np.where(swap, b[:, 1], a[:, 1])
        bx, by = np.where(swap, a[:, 0], b[:, 0]), np.where(swap, a[:, 1], b[:, 1])
        hit = (ay <= height) & (height < by)
        x = ax + (height - ay) * (bx - ax) / np.where(hit, by - ay, 1.0)
        low = np.where(hit, np.minimum(low, x), low)
        high = np.where(hit, np.maximum(high, x), high)
    missed = low > high
    return np.where(missed, 0.0, low), np.where(missed, 0.0, high)
