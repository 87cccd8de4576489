"""The bounding box of an object, from its signed distance alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gtr_core.data.procedural.tracer import Points

Floats = npt.NDArray[np.float32]

_FIRST = 8
"""Cells per side of the coarse grid."""
_REFINEMENTS = 5
"""How often the cells that decide are halved: down to 1/256 of the cube."""
_SLACK = np.float32(1e-5)
"""More than what single precision makes of a distance of size 1."""
_DIAGONAL = np.float32(np.sqrt(3.0))
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)


def bounding_box(
    fast: Callable[[Floats], Floats], exact: Callable[[Points], Points], half: float
) -> tuple[Points, Points] | None:
    """Lower and upper corner of what is inside; None when nothing is.

    A coarse grid is refined only where the surface may be (a lower bound of the distance says where it cannot be) and
    where it could still make the box larger. Which cells those are is found in single precision with some slack; what
    they contribute is computed in double precision, so that every computer finds the same box.

    Args:
        fast: signed lower bounds (N,) of the distance at points (N, 3), within 1e-5.
        exact: the same in double precision; asked at a few points only.
        half: half the side of a cube around the origin that holds the object.
    """
    points, values = _outermost(fast, half)
    corners = np.empty((2, 3))
    for sign in (-1, 1):
        for axis in range(3):
            reach = _reach(exact, points, values, axis, sign)
            if reach is None:
                return None
            corners[(sign + 1) // 2, axis] = sign * reach
    return corners[0], corners[1]


def _outermost(fast: Callable[[Floats], Floats], half: float) -> tuple[Floats, Floats]:
    """Points (N, 3) inside, among which are those that reach out farthest, and their distances (N,)."""
    size = np.float32(half / _FIRST)
    axis = (np.arange(_FIRST, dtype=np.float32) * 2 + 1) * size - np.float32(half)
    cells = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    low, high = np.full(3, np.inf, dtype=np.float32), np.full(3, -np.inf, dtype=np.float32)
    found: list[tuple[Floats, Floats]] = []
    for level in range(_REFINEMENTS + 1):
        values = fast(cells)
        inside = values <= _SLACK
        if inside.any():
            # The ball around a point inside is inside as well.
            centers, radii = cells[inside], values[inside, None]
            below, above = centers + radii, centers - radii
            low, high = np.minimum(low, below.min(0)), np.maximum(high, above.max(0))
            far = ((below < low + 4 * _SLACK) | (above > high - 4 * _SLACK)).any(-1)
            found.append((centers[far], radii[far, 0]))
        cells = cells[np.abs(values) <= size * _DIAGONAL + _SLACK]
        if level < _REFINEMENTS:
            size = size / 2
            cells = _outward((cells[:, None] + _CORNERS * size).reshape(-1, 3), size + 4 * _SLACK, low, high)
    if not found:
        return np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=np.float32)
    return np.concatenate([points for points, _ in found]), np.concatenate([values for _, values in found])


def _outward(cells: Floats, size: np.float32, low: Floats, high: Floats) -> Floats:
    """The cells that reach out of a box."""
    out = (cells - size < low) | (cells + size > high)
    kept: Floats = cells[out[:, 0] | out[:, 1] | out[:, 2]]
    return kept


def _reach(exact: Callable[[Points], Points], points: Floats, values: Floats, axis: int, sign: int) -> float | None:
    """How far the inside reaches along an axis in the direction of ``sign``."""
    reach = sign * points[:, axis] - values
    while len(points):
        best = reach > reach.max() - 4 * _SLACK
        candidates = points[best].astype(np.float64)
        distances = exact(candidates)
        inside = distances <= 0
        if inside.any():
            return float((sign * candidates[inside, axis] - distances[inside]).max())
        points, reach = points[~best], reach[~best]
    return None
