"""Whether an object is worth drawing: one piece, and large enough to be seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from gtr_core.data.procedural.bounds import Floats
from gtr_core.data.procedural.tracer import Points

_NODES = 36
"""Of the grid over [-1, 1]^3, per side."""
_TOUCH = 0.04
"""Surfaces that are nearer than twice this count as touching, world units; the nodes are 0.057 apart."""
_SLACK = 1e-5
_LEAST_AREA = 0.045
"""Least share of the square [-1, 1]^2 that an object covers, seen along the axes, on average."""
_LARGEST_PIECE = 0.97


def is_whole(fast: Callable[[Floats], Floats], exact: Callable[[Points], Points]) -> bool:
    """Whether nearly all of an object hangs together and it covers enough of a picture.

    Args:
        fast: signed distances (N,) at points (N, 3) in single precision.
        exact: the same in double precision: what is close to the threshold is decided by it, on every computer alike.
    """
    axis = np.linspace(-1, 1, _NODES, dtype=np.float32)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    values = fast(nodes)
    near = values < _TOUCH
    unsure = np.abs(values - _TOUCH) < _SLACK
    near[unsure] = exact(nodes[unsure].astype(np.float64)) < _TOUCH
    near = near.reshape((_NODES,) * 3)
    if np.mean([near.any(axis).mean() for axis in range(3)]) < _LEAST_AREA:
        return False
    pieces, _ = ndimage.label(near, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces[near])
    return bool(sizes.max() >= _LARGEST_PIECE * sizes.sum())
