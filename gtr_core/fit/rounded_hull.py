"""What is likely inside the visual hull where the colours say nothing: its creases are chance and become round.

The hull has thin ridges where the cones of two views cut each other. No view has seen them: every outline that a
ridge lies on is also met by a thicker part of the hull. So a point is taken for inside only when it is part of a ball
inside the hull that is nearly as large as the largest ball on one of its viewing rays. Handles and legs stay, because
some view sees them with nothing thicker before or behind; the hull of a sphere becomes a sphere again.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from gtr_core.fit.gaussian_blur import gaussian_blur
from gtr_core.fit.mask_rays import RAY_REACH, MaskRays
from gtr_core.fit.sdf_grid import SdfGrid, node_positions, spacing_of
from gtr_core.views import Views

_RESOLUTION = 96
_IMAGE_SIZE = 96
_RADII = 18
_SMALLEST_RADIUS = 0.6
"""In nodes."""
_BLUR = 1.5
"""In nodes: the steps between the radii are smoothed away."""
_CHUNK = 1 << 12
_ENDLESS = 4.0
"""A radius that no ball inside the box has: where a view says nothing, or shows the background."""

Volume = NDArray[np.float64]


@torch.no_grad()
def rounded_hull(views: Views, hull: SdfGrid, roundness: float) -> SdfGrid:
    """The likely shape inside the visual hull.

    Args:
        views: masked views.
        hull: distance of their visual hull.
        roundness: ratio of balls below which a part counts as chance; 0 keeps the hull, 1 rounds all it can.

    Returns:
        Its signed distance on a coarse grid, to be cut by the hull. Parts of a cell or two are missing: a fit that
        starts here grows them again, because every ray of the masks has to hit something.
    """
    spacing = spacing_of(_RESOLUTION)
    # Half a node thicker, so that parts thinner than the grid are not lost between its nodes.
    thicker = hull.resampled(_RESOLUTION).values.cpu().numpy() - spacing / 2
    inside = thicker < 0
    if not inside.any():
        return hull
    thickness = _thickness(thicker, spacing)
    required = _required_thickness(torch.from_numpy(thickness).to(hull.values), views).cpu().numpy()
    kept = inside & (thickness >= roundness * required)
    if not kept.any():
        kept = inside
    distance = torch.from_numpy(_signed_distance(kept, spacing)).to(hull.values)
    return SdfGrid(gaussian_blur(distance, _BLUR))


def _thickness(distance: NDArray[np.float32], spacing: float) -> Volume:
    """Radius of the largest ball inside a shape that holds each node, in some steps: (R, R, R), 0 outside."""
    inside = distance < 0
    # Whichever leaves more room: resampling flattens the hull's distance where it is deepest.
    voxels = _signed_distance(inside, spacing)
    distance = np.where(inside, np.minimum(distance, voxels), distance)
    largest = max(-float(distance.min()), spacing)
    thickness = np.where(inside, _SMALLEST_RADIUS * spacing / 2, 0.0)
    for radius in np.geomspace(_SMALLEST_RADIUS * spacing, 0.999 * largest, _RADII):
        centres = distance < -radius
        if not centres.any():
            break
        away, (i, j, k) = distance_transform_edt(~centres, sampling=spacing, return_indices=True)
        # The set of centres reaches beyond its outermost nodes by what these lie deeper than the radius.
        thickness[away + (distance + radius)[i, j, k] < radius] = radius
    return thickness


def _required_thickness(thickness: Tensor, views: Views) -> Tensor:
    """The least, over the views, of the largest thickness on the ray through each node: (R, R, R)."""
    rays = MaskRays.of(views, _IMAGE_SIZE)
    cameras = rays.cameras
    everything = torch.arange(len(rays), device=thickness.device)
    largest = torch.cat([_largest_on(thickness, rays, part) for part in torch.split(everything, _CHUNK)])
    image = torch.full((len(cameras) * cameras.height * cameras.width,), _ENDLESS, device=largest.device)
    image[rays.pixel] = largest
    image = image.reshape(len(cameras), cameras.height, cameras.width)
    nodes = node_positions(torch.arange(thickness.numel(), device=thickness.device), thickness.shape[0])
    u, v, z = cameras.project(nodes).unbind(-1)
    framed = (z > 0) & (u >= 0) & (v >= 0) & (u < cameras.width) & (v < cameras.height)
    column, row = (torch.where(framed, place, 0).long() for place in (u, v))
    view = torch.arange(len(cameras), device=image.device)[:, None]
    required = torch.where(framed, image[view, row, column], _ENDLESS).amin(0)
    return required.reshape(thickness.shape)


def _largest_on(thickness: Tensor, rays: MaskRays, chosen: Tensor) -> Tensor:
    """Largest thickness that each of the chosen rays meets: (B,)."""
    resolution = thickness.shape[0]
    spacing = spacing_of(resolution)
    origins, directions = rays.origins[chosen], rays.directions[chosen]
    steps = torch.arange(-RAY_REACH, RAY_REACH, 0.7 * spacing, device=thickness.device)
    along = (origins.norm(dim=-1, keepdim=True) + steps).clamp(min=0)
    points = origins[:, None] + directions[:, None] * along[..., None]
    nodes = ((points + 1) / spacing).round().long()
    met = ((nodes >= 0) & (nodes < resolution)).all(-1)
    x, y, z = nodes.clamp(0, resolution - 1).unbind(-1)
    return torch.where(met, thickness[x, y, z], 0).amax(1)


def _signed_distance(inside: NDArray[np.bool_], spacing: float) -> Volume:
    """Distance of every node from the border half way between inside and outside nodes, negative inside."""
    outwards = distance_transform_edt(~inside, sampling=spacing)
    if inside.all():
        return np.full(inside.shape, -float(inside.shape[0]) * spacing)
    inwards = distance_transform_edt(inside, sampling=spacing)
    signed: Volume = np.where(inside, spacing / 2 - inwards, outwards - spacing / 2)
    return signed
