"""The one place where Blender's axes (Z up) and GTR's (Y up) meet."""

from __future__ import annotations

from typing import Any


def gtr_from_blender(points: Any) -> Any:
    """Blender's (x, y, z) as GTR's (x, z, -y): positions or directions.

    Args:
        points: three numbers, or an array of shape (..., 3).

    Returns:
        A tuple for three numbers, else a new C-contiguous array of the same dtype.
    """
    if _is_array(points):
        return _rearranged(points, (0, 2, 1), (1, 1, -1))
    x, y, z = points
    return (x, z, -y)


def blender_from_gtr(points: Any) -> Any:
    """GTR's (x, y, z) as Blender's (x, -z, y): the inverse of :func:`gtr_from_blender`."""
    if _is_array(points):
        return _rearranged(points, (0, 2, 1), (1, -1, 1))
    x, y, z = points
    return (x, -z, y)


def _is_array(points: Any) -> bool:
    return hasattr(points, "dtype")


def _rearranged(points: Any, order: tuple[int, int, int], signs: tuple[int, int, int]) -> Any:
    result = points[..., order].copy(order="C")
    for axis, sign in enumerate(signs):
        if sign < 0:
            result[..., axis] *= -1
    return result
