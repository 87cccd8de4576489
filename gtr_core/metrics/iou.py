"""Intersection over union of two shapes: of the voxels that their surfaces touch, or of their insides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.inside import inside_nodes
from gtr_core.metrics.watertight import is_closed

Figure = float | str
"""A number, or one sentence that says why there is none."""

REACH = 2.0
"""Insides are compared in [-REACH, REACH]^3; of a result that reaches farther, what lies beyond is not counted."""


def surface_iou(points: Tensor, truth: Tensor, *, resolution: int) -> float:
    """Overlap of the voxels that hold at least one surface point.

    It needs no inside, so any mesh has it; it depends on the number of points as well as on the voxels.

    Args:
        points: (N, 3) of the result, in units of [-1, 1]^3.
        truth: (M, 3) of the truth.
        resolution: voxels per side of [-1, 1]^3; points beyond it fall into voxels of the same size.
    """
    touched, wanted = (_voxels(value, resolution) for value in (points, truth))
    both = len(touched & wanted)
    return both / max(len(touched) + len(wanted) - both, 1)


def volume_iou(mesh: Mesh, truth: Mesh, *, resolution: int) -> Figure:
    """Overlap of the insides of two closed meshes, counted at the centres of voxels.

    Args:
        mesh: the result, in units of [-1, 1]^3.
        truth: what it is compared with.
        resolution: voxels per side of [-1, 1]^3.

    Returns:
        The figure in [0, 1]; a sentence when a mesh is not closed, and so has no inside.
    """
    for value, name in ((truth, "true mesh"), (mesh, "result")):
        if not is_closed(value):
            return f"The {name} is not watertight, so it has no inside."
    pitch = 2 / resolution
    lowest, highest = (np.stack([np.asarray(m.bounds[k].double()) for m in (mesh, truth)]) for k in (0, 1))
    first = np.floor(np.clip(lowest.min(0), -REACH, REACH) / pitch).astype(int)
    last = np.ceil(np.clip(highest.max(0), -REACH, REACH) / pitch).astype(int)
    axes = [(np.arange(a, b + 1) + 0.5) * pitch for a, b in zip(first, last, strict=True)]
    inside, wanted = (inside_nodes(value, axes) for value in (mesh, truth))
    if not wanted.any():
        return "The true mesh is closed but encloses no volume."
    return int((inside & wanted).sum()) / int((inside | wanted).sum())


def _voxels(points: Tensor, resolution: int) -> set[bytes]:
    index = np.floor((np.asarray(points.detach().cpu().double()) + 1) / 2 * resolution).astype(np.int32)
    unique: NDArray[Any] = np.unique(index, axis=0)
    return {row.tobytes() for row in unique}
