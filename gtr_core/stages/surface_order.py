"""An order of surface points in which neighbours in space are mostly neighbours in memory."""

from __future__ import annotations

from torch import Tensor

_BITS = 10
"""Cells per axis, as a power of two: 1024 over [-1, 1], finer than the texels of any plane."""
_SPREAD = ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249))
"""Shifts and masks that put two free bits behind each of the ten bits of a number."""


def morton_order(points: Tensor) -> Tensor:
    """Indices (N,) that sort points (N, 3) of the box [-1, 1]^3 along a Z-order curve."""
    cells = ((points + 1) * 2 ** (_BITS - 1)).long().clamp(0, 2**_BITS - 1)
    for shift, mask in _SPREAD:
        cells = (cells | (cells << shift)) & mask
    code = cells[:, 0] << 2 | cells[:, 1] << 1 | cells[:, 2]
    order: Tensor = code.int().argsort(stable=True)
    return order
