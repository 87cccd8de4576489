"""Visual hull: the largest shape that the masks allow."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import max_pool3d

from gtr_core.fit.masks import outline_distances, sample_images
from gtr_core.fit.sdf_grid import SdfGrid, dense_grid, refine_grid
from gtr_core.geometry.cameras import Cameras
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views

_COARSE_RESOLUTION = 33
_CHUNK = 1 << 16
_UNCONSTRAINED = -4.0


class HullDistance:
    """Distance from the visual hull: the largest of the views' outline distances.

    It is exact near one outline and a lower bound of the true distance elsewhere outside. Points behind a camera are
    not constrained by it; where an outline runs out of the image, nothing is cut beyond.

    Args:
        views: masked views; their alpha is the mask.
    """

    def __init__(self, views: Views) -> None:
        self.cameras = views.cameras
        self.outlines = outline_distances(views)[:, None]

    def __call__(self, points: Tensor) -> Tensor:
        """World points (N, 3) -> (N,) signed distance in world units, negative inside."""
        return torch.cat([self.per_view(chunk).amax(0) for chunk in torch.split(points, _CHUNK)])

    def per_view(self, points: Tensor) -> Tensor:
        """World points (N, 3) -> (V, N) signed distance from each view's outline cone, world units."""
        projected = self.cameras.project(points)
        z = projected[..., 2]
        pixels = torch.where(z[..., None] > 0, projected[..., :2], 0)
        distance = sample_images(self.outlines, pixels)[..., 0] * z
        return torch.where(z > 0, distance, _UNCONSTRAINED)

    @property
    def slope(self) -> float:
        """Upper bound of the distance's gradient: a step of 1 changes it by no more than this."""
        return max(_slope(self.cameras), 1.0)


def visual_hull(views: Views, resolution: int = 128, progress: Progress = no_progress) -> SdfGrid:
    """Intersection of the outline cones of all views, evaluated only where its surface can run.

    A coarse cell is left out when its corners prove, by the bound of the gradient, that the surface does not cross
    it, so thin parts survive.

    Args:
        views: masked views.
        resolution: nodes along an edge.
        progress: called with stage ``hull``.
    """
    progress("hull", 0, 2)
    coarse = dense_grid(HullDistance(views), min(_COARSE_RESOLUTION, resolution), device=views.rgba.device)
    progress("hull", 1, 2)
    hull = finer_hull(views, coarse, resolution)
    progress("hull", 2, 2)
    return hull


def finer_hull(views: Views, hull: SdfGrid, resolution: int) -> SdfGrid:
    """A visual hull at a finer resolution, from what is known of it.

    Args:
        views: masked views.
        hull: their visual hull.
        resolution: nodes along an edge, no fewer than those of the hull.
    """
    if resolution == hull.resolution:
        return hull
    distance = HullDistance(views)
    reach = distance.slope * hull.spacing * math.sqrt(3) / 2
    near = (hull.values.abs() <= reach).float()
    active = max_pool3d(near[None, None], 2, stride=1)[0, 0] > 0
    return refine_grid(hull, distance, resolution, active)


def _slope(cameras: Cameras) -> float:
    """1 / cosine of the widest viewing angle, plus what moving along the view axis changes at that angle."""
    focal = cameras.intrinsics[:, :2]
    centre = cameras.intrinsics[:, 2:]
    size = centre.new_tensor([cameras.width, cameras.height])
    tangent = (torch.maximum(centre.abs(), (size - centre).abs()) / focal).norm(dim=-1).max()
    return float((1 + tangent**2).sqrt() + tangent)
