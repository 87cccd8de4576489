"""The rays through the foreground pixels, and where they meet a surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.rays import pixel_rays
from gtr_core.views import Views

RAY_REACH = 1.75
"""Radius of a sphere that holds the box [-1, 1]^3."""
_MAX_STEPS = 48
_HIT = 1e-3
_RELAXATION = 0.9
"""Share of the distance that a step covers: an interpolated distance may be a little too long."""
_MIN_STEP = 2e-3
_OPAQUE = 0.95


@dataclass(frozen=True)
class MaskRays:
    """One ray for every foreground pixel of small copies of the views.

    Args:
        cameras: of the small images.
        images: (V, 3, S, S) their colours, background pixels included.
        pixel: (N,) flat index into (V, S, S) of every ray's pixel.
        view: (N,) its view.
        origins: (N, 3) camera centres.
        directions: (N, 3) of unit length.
        colors: (N, 3) of the pixels.
        opaque: (N,) bool, False where a pixel mixes object and background.
    """

    cameras: Cameras
    images: Tensor
    pixel: Tensor
    view: Tensor
    origins: Tensor
    directions: Tensor
    colors: Tensor
    opaque: Tensor

    @classmethod
    def of(cls, views: Views, size: int) -> MaskRays:
        """Rays of the views reduced to images whose longer side has ``size`` pixels (never enlarged)."""
        cameras, colors, alpha = reduced(views, size)
        origins, directions = pixel_rays(cameras)
        # An object thinner than such a pixel covers none of them by half; then its best covered ones stand for it.
        pixel = (alpha > alpha.amax() / 2).flatten().nonzero().squeeze(-1)
        view = torch.div(pixel, cameras.height * cameras.width, rounding_mode="floor")
        flat = colors.permute(0, 2, 3, 1).reshape(-1, 3)
        return cls(
            cameras, colors, pixel, view, origins.reshape(-1, 3)[pixel], directions.reshape(-1, 3)[pixel], flat[pixel],
            alpha.flatten()[pixel] > _OPAQUE,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.pixel)

    @cached_property
    def single_cameras(self) -> list[Cameras]:
        """The camera of each view alone: checked once, not whenever points are projected."""
        return [self.cameras[[view]] for view in range(len(self.cameras))]

    def image_of(self, values: Tensor) -> Tensor:
        """(V, 1, S, S) image of one value per ray (N,), 0 in the background."""
        image = values.new_zeros(len(self.cameras) * self.cameras.height * self.cameras.width)
        image[self.pixel] = values
        return image.reshape(len(self.cameras), 1, self.cameras.height, self.cameras.width)


def reduced(views: Views, size: int) -> tuple[Cameras, Tensor, Tensor]:
    """Small copies of the views: cameras, colours (V, 3, H, W) of the foreground alone, alpha (V, H, W)."""
    cameras = views.cameras
    longer = max(cameras.height, cameras.width)
    rgba = views.rgba.permute(0, 3, 1, 2)
    premultiplied = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1)
    if size < longer:
        height, width = (max(1, round(side * size / longer)) for side in (cameras.height, cameras.width))
        if cameras.height % height == 0 and cameras.width % width == 0:
            premultiplied = avg_pool2d(premultiplied, (cameras.height // height, cameras.width // width))
        else:
            premultiplied = interpolate(premultiplied, (height, width), mode="bilinear", antialias=True)
        cameras = cameras.resized(height, width)
    alpha = premultiplied[:, 3]
    return cameras, premultiplied[:, :3] / alpha[:, None].clamp(min=1e-3), alpha


def trace(surface: SdfGrid, rays: MaskRays) -> tuple[Tensor, Tensor]:
    """Sphere tracing of every ray.

    Returns:
        (N,) distance along the ray to the surface, or to the point that comes closest to it; (N,) bool, hit or not.
    """
    centre_distance = rays.origins.norm(dim=-1)
    distance = (centre_distance - RAY_REACH).clamp(min=0.05)
    closest, closest_at = torch.full_like(distance, torch.inf), distance.clone()
    hit = torch.zeros_like(distance, dtype=torch.bool)
    active = torch.arange(len(distance), device=distance.device)
    for _ in range(_MAX_STEPS):
        at = distance[active]
        value = surface.sample(rays.origins[active] + rays.directions[active] * at[:, None])
        nearer = value < closest[active]
        closest[active[nearer]], closest_at[active[nearer]] = value[nearer], at[nearer]
        arrived = value < _HIT
        hit[active[arrived]] = True
        step = torch.where(arrived, value, (value * _RELAXATION).clamp(min=_MIN_STEP))
        distance[active] = at + step
        active = active[~arrived & (at + step < centre_distance[active] + RAY_REACH)]
        if len(active) == 0:
            break
    return torch.where(hit, distance, closest_at), hit
