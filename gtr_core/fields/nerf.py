"""Pictures of a field by volume rendering (paper section 3.2, first training stage)."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.fields.field import Field
from gtr_core.fields.output import RenderOutput
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.rays import pixel_rays
from gtr_core.geometry.volume import compositing_weights, intersect_box, sample_depths

NUM_SAMPLES = 256
"""Samples per ray (paper section 4.1)."""
_NORMAL_STEP = 1 / 256


def render_volume(
    field: Field,
    cameras: Cameras,
    *,
    num_samples: int = NUM_SAMPLES,
    background: float = 1.0,
    generator: torch.Generator | None = None,
    rays_at_once: int = 2048,
) -> RenderOutput:
    """Draw the field from every camera.

    Args:
        field: any field.
        cameras: from where; height and width of the pictures.
        num_samples: per ray.
        background: grey value behind the object.
        generator: with one the samples are jittered and the colours are left as they come, as training wants it;
            without, the result is deterministic, free of NaN and clamped to [0, 1]. It may live on another device.
        rays_at_once: bounds the memory.

    Returns:
        The pictures: depth and normal are means over the weights of a ray's samples, and 0 where these vanish.
    """
    origins, directions = pixel_rays(cameras)
    shape = origins.shape[:3]
    near, far, hit = intersect_box(origins.reshape(-1, 3), directions.reshape(-1, 3))
    forward = cameras.c2w[:, None, None, :3, 2].expand_as(directions).reshape(-1, 3)
    parts = [
        _render_rays(field, *part, num_samples=num_samples, generator=generator)
        for part in zip(
            *(torch.split(x, rays_at_once) for x in (origins.reshape(-1, 3), directions.reshape(-1, 3))),
            *(torch.split(x, rays_at_once) for x in (near, far, hit, forward)),
            strict=True,
        )
    ]
    rgb, mask, depth, normal = (torch.cat(values) for values in zip(*parts, strict=True))
    rgb = rgb + (1 - mask[:, None]) * background
    if generator is None:
        rgb = rgb.nan_to_num(0.0).clamp(0, 1)
    return RenderOutput(rgb.view(*shape, 3), mask.view(shape), depth.view(shape), normal.view(*shape, 3))


def _render_rays(
    field: Field,
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    hit: Tensor,
    forward: Tensor,
    *,
    num_samples: int,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colour (N, 3) without background, opacity (N,), depth (N,) and normal (N, 3) of N rays."""
    distance, widths = sample_depths(near, far, num_samples, generator)
    points = (origins[:, None] + distance[..., None] * directions[:, None]).view(-1, 3)
    density = field.density(points).view_as(distance) * hit[:, None]
    color = _radiance(field, points).view(*distance.shape, 3)
    weights = compositing_weights(density, widths)
    opacity = weights.sum(1)
    seen = opacity.detach() > 1e-6
    along = torch.where(seen, (weights * distance).sum(1) / opacity.clamp(min=1e-6), torch.zeros_like(opacity))
    depth = along * (directions * forward).sum(1)
    normal = density_normals(field, origins + along.detach()[:, None] * directions) * seen[:, None]
    return (weights[..., None] * color).sum(1), opacity, depth, normal


def _radiance(field: Field, points: Tensor) -> Tensor:
    """Colours (N, 3) to add up; those of a trained decoder are not clamped, so that training can still move them."""
    return field.radiance(points) if isinstance(field, TriplaneField) else field.color(points)


def density_normals(field: Field, points: Tensor) -> Tensor:
    """(N, 3) unit normals: the direction in which the density falls fastest, by central differences."""
    steps = torch.eye(3, device=points.device) * _NORMAL_STEP
    around = torch.cat([points[:, None] + steps, points[:, None] - steps], dim=1)
    with torch.no_grad():
        density = field.density(around.view(-1, 3)).view(len(points), 2, 3)
    return torch.nn.functional.normalize(density[:, 1] - density[:, 0], dim=-1)
