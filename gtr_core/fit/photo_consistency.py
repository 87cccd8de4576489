"""How well a point's colour in one view agrees with the other views that see it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, normalize

from gtr_core.fit.mask_rays import MaskRays, trace
from gtr_core.fit.masks import sample_images
from gtr_core.fit.sdf_grid import SdfGrid

_MIN_COSINE = 0.15
"""Views that see a surface more obliquely do not witness its colour."""
_OWN_COSINE = 0.5
"""A ray counts fully when it meets the surface at least as steeply as this."""
_MAX_WITNESSES = 3
_MAX_DIFFERENCE = 0.3
"""Mean absolute colour difference beyond which a witness says no more than `wrong`."""


@dataclass(frozen=True)
class Witnesses:
    """Which views can judge the surface point of each ray.

    Args:
        distance: (N,) along the ray to the surface, or to where it passes closest.
        hit: (N,) bool.
        weight: (V, N) how much each other view counts, 0 where it does not see the point.
    """

    distance: Tensor
    hit: Tensor
    weight: Tensor

    @classmethod
    def of(cls, surface: SdfGrid, rays: MaskRays) -> Witnesses:
        """Trace a surface and find out which views see each of its points, by comparing with their depths."""
        distance, hit = trace(surface, rays)
        points = rays.origins + rays.directions * distance[:, None]
        normals = normalize(surface.gradient(points), dim=-1)
        projected = rays.cameras.project(points)
        own = rays.view[None]
        depth = rays.image_of(torch.where(hit, projected[..., 2].gather(0, own)[0], 0))
        farthest = max_pool2d(depth, 3, stride=1, padding=1) * (depth > 0)
        seen_depth = sample_images(farthest, projected[..., :2])[..., 0]
        towards = normalize(rays.cameras.positions[:, None] - points, dim=-1)
        cosine = (towards * normals).sum(-1)
        visible = projected[..., 2] < seen_depth + 2 * surface.spacing
        weight = (cosine - _MIN_COSINE).clamp(min=0) * visible * (hit & rays.opaque)
        weight = weight * (cosine.gather(0, own).clamp(min=0) / _OWN_COSINE).clamp(max=1)
        weight.scatter_(0, own, 0)
        least = weight.topk(min(_MAX_WITNESSES, len(weight)), dim=0).values[-1]
        return cls(distance, hit, torch.where(weight >= least, weight, 0))


def disagreement(rays: MaskRays, chosen: Tensor, weight: Tensor, points: Tensor) -> Tensor:
    """Weighted sum over the witnesses of the clamped colour difference.

    Args:
        rays: all rays.
        chosen: (B,) indices of the rays to judge.
        weight: (V, B) how much each view counts for them.
        points: (B, K, 3) candidates along these rays.

    Returns:
        (B, K), 0 for rays without witnesses.
    """
    cost = points.new_zeros(points.shape[:2])
    for view in range(len(rays.cameras)):
        asked = (weight[view] > 0).nonzero().squeeze(-1)
        if len(asked) == 0:
            continue
        pixels = rays.single_cameras[view].project(points[asked].reshape(-1, 3))[..., :2]
        found = sample_images(rays.images[view : view + 1], pixels).reshape(len(asked), -1, 3)
        difference = (found - rays.colors[chosen[asked], None]).abs().mean(-1).clamp(max=_MAX_DIFFERENCE)
        cost.index_add_(0, asked, difference * weight[view, asked, None])
    return cost
