"""Thin parts that a fit has lost, taken back from the hull."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.fit.mask_rays import MaskRays, trace
from gtr_core.fit.sdf_grid import SdfGrid, spacing_of
from gtr_core.fit.volume_fit import inside_hull
from gtr_core.views import Views

_IMAGE_SIZE = 256
_RADIUS = 2.0
"""Of the balls that are put back, in nodes; the hull trims them."""
_PASSES = 2


@torch.no_grad()
def restore_missed(views: Views, carved: SdfGrid, hull: SdfGrid) -> SdfGrid:
    """Let every foreground ray that meets the hull meet the fitted surface, too.

    Where a ray meets the hull and nothing else, a small ball is put back at the point of the ray that comes closest
    to the result.

    Args:
        views: masked views.
        carved: fitted distance, not cut by the hull.
        hull: distance of the visual hull.

    Returns:
        The fitted distance at the hull's resolution, not cut by the hull.
    """
    rays = MaskRays.of(views, _IMAGE_SIZE)
    carved = carved.resampled(hull.resolution)
    possible = trace(hull, rays)[1]
    for _ in range(_PASSES):
        distance, hit = trace(inside_hull(carved, hull), rays)
        missed = possible & ~hit
        if not bool(missed.any()):
            break
        carved = _with_balls(carved, (rays.origins + rays.directions * distance[:, None])[missed])
    return carved


def _with_balls(grid: SdfGrid, centres: Tensor) -> SdfGrid:
    """Union of a distance and small balls around points (N, 3)."""
    resolution, spacing = grid.resolution, spacing_of(grid.resolution)
    reach = torch.arange(-int(_RADIUS) - 1, int(_RADIUS) + 2, device=centres.device)
    offsets = torch.cartesian_prod(reach, reach, reach)
    nodes = ((centres + 1) / spacing).round().long()[:, None] + offsets
    inside_box = ((nodes >= 0) & (nodes < resolution)).all(-1)
    away = (nodes * spacing - 1 - centres[:, None]).norm(dim=-1) - _RADIUS * spacing
    nodes, away = nodes[inside_box], away[inside_box]
    flat = (nodes[:, 0] * resolution + nodes[:, 1]) * resolution + nodes[:, 2]
    values = grid.values.flatten().scatter_reduce(0, flat, away, "amin")
    return SdfGrid(values.reshape(grid.values.shape))
