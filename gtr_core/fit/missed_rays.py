"""Thin parts that a fit has lost, taken back from the hull."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.fit.mask_rays import MaskRays, trace
from gtr_core.fit.sdf_grid import SdfGrid, spacing_of
from gtr_core.fit.volume_fit import inside_hull
from gtr_core.views import Views

_IMAGE_SIZE = 256
_RADIUS = 4.0
"""How far from the point that is put back the surface swells, in nodes; the hull trims it."""
_OVERSHOOT = 1.15
_DEPTH = 0.3
"""How far inside the point comes to lie, in nodes; by the overshoot more the farther outside it was, so that what is
put back there is some nodes wide."""
_PASSES = 2
_CHUNK = 1 << 12


@torch.no_grad()
def restore_missed(views: Views, carved: SdfGrid, hull: SdfGrid) -> SdfGrid:
    """Let every foreground ray that meets the hull meet the fitted surface, too.

    Where a ray meets the hull and nothing else, the surface swells smoothly around the point of the ray that comes
    closest to it.

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
        carved = _swollen(carved, (rays.origins + rays.directions * distance[:, None])[missed])
    return carved


def _swollen(grid: SdfGrid, centres: Tensor) -> SdfGrid:
    """The distance lowered until points (N, 3) lie inside, by less and less around them."""
    resolution, spacing = grid.resolution, spacing_of(grid.resolution)
    reach = torch.arange(-int(_RADIUS), int(_RADIUS) + 1, device=centres.device)
    offsets = torch.cartesian_prod(reach, reach, reach)
    most = torch.zeros_like(grid.values).flatten()
    for part in torch.split(centres, _CHUNK):
        nodes = ((part + 1) / spacing).round().long()[:, None] + offsets
        away = (nodes * spacing - 1 - part[:, None]).norm(dim=-1) / (_RADIUS * spacing)
        needed = _OVERSHOOT * grid.sample(part).clamp(min=0) + _DEPTH * spacing
        lowered = needed[:, None] * (1 - away**4).square()
        touched = ((nodes >= 0) & (nodes < resolution)).all(-1) & (away < 1)
        nodes, lowered = nodes[touched], lowered[touched]
        flat = (nodes[:, 0] * resolution + nodes[:, 1]) * resolution + nodes[:, 2]
        most.scatter_reduce_(0, flat, lowered, "amax")
    return SdfGrid(grid.values - most.reshape(grid.values.shape))
