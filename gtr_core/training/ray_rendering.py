"""Volume rendering of training rays (paper sections 3.2 and 4.1), differentiable and with bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gtr_core.data.training_cameras import sample_generator
from gtr_core.geometry.volume import compositing_weights, intersect_box
from gtr_core.training.batch_field import BatchField

_SEEN = 1e-6
"""Opacity below which a ray has no depth."""


@dataclass(frozen=True)
class Rays:
    """N rays of each of B objects.

    Args:
        origins: (B, N, 3).
        directions: (B, N, 3), unit length.
        surface: (B, N) distance along the ray to the true surface, 0 where there is none or it is not known.
    """

    origins: Tensor
    directions: Tensor
    surface: Tensor

    def __getitem__(self, part: slice) -> Rays:
        """Some of the rays of every object."""
        return Rays(self.origins[:, part], self.directions[:, part], self.surface[:, part])


@dataclass(frozen=True)
class Sampling:
    """Where rays ask the field.

    Args:
        stratified: samples over the whole way through the box, jittered (paper section 4.1: 256).
        near_surface: further samples around the true depth, where it is known.
        reach: half length of the stretch around the true depth, world units.
    """

    stratified: int = 256
    near_surface: int = 0
    reach: float = 0.1


def bin_borders(rays: Rays, sampling: Sampling, seed: int, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Borders (B, N, S + 1) of the samples' bins, rising, and (B, N) whether the ray meets the box at all.

    Each border is drawn between the middles to its neighbours, by a generator of the sample's own.
    """
    flat = [part.flatten(0, 1) for part in (rays.origins, rays.directions)]
    near, far, hit = (part.view(rays.surface.shape) for part in intersect_box(*flat))
    jitter = _jitter(rays.surface, sampling, seed, indices)
    borders = _stretch(near, far, jitter[..., : sampling.stratified + 1], inner=True)
    if sampling.near_surface:
        known = rays.surface > 0
        low = torch.where(known, torch.maximum(rays.surface - sampling.reach, near), near)
        high = torch.where(known, torch.minimum(rays.surface + sampling.reach, far), far)
        extra = _stretch(low, high, jitter[..., sampling.stratified + 1 :], inner=False)
        borders = torch.cat([borders, extra], dim=-1).sort(dim=-1).values
    return borders, hit


def _jitter(like: Tensor, sampling: Sampling, seed: int, indices: Tensor) -> Tensor:
    """(B, N, borders) numbers in [0, 1)."""
    shape = (like.shape[1], sampling.stratified + 1 + sampling.near_surface)
    generators = [sample_generator(seed, index, 1, device=like.device) for index in indices.tolist()]
    return torch.stack([torch.rand(shape, generator=generator, device=like.device) for generator in generators])


def _stretch(low: Tensor, high: Tensor, jitter: Tensor, *, inner: bool) -> Tensor:
    """(B, N, K) rising values between ``low`` and ``high``, one in each of K cells.

    ``inner`` cells have the values of an even division in their middle, ends included, and are cut off at these ends;
    otherwise all cells are equal.
    """
    count = jitter.shape[-1]
    edges = torch.arange(count + 1, device=low.device) - (0.5 if inner else 0.0)
    edges = edges.clamp(0, count - 1) / (count - 1) if inner else edges / count
    share = edges[:-1] + (edges[1:] - edges[:-1]) * jitter
    return low[..., None] + (high - low)[..., None] * share


def render_rays(
    field: BatchField,
    rays: Rays,
    sampling: Sampling,
    *,
    seed: int,
    indices: Tensor,
    background: float = 1.0,
    rays_at_once: int = 1 << 16,
) -> tuple[Tensor, Tensor, Tensor]:
    """What rays see.

    Args:
        field: of B objects.
        rays: N rays of each.
        sampling: where they ask.
        seed: of the run.
        indices: (B,) numbers of the samples.
        background: grey value behind the objects.
        rays_at_once: rays that are computed together; when there are more, each portion is computed again in the
            backward pass, so that the memory does not grow with their number.

    Returns:
        colour (B, N, 3) not clamped, opacity (B, N), distance along the ray (B, N), 0 where nothing is seen.
    """
    borders, hit = bin_borders(rays, sampling, seed, indices)
    step = max(rays_at_once // len(field), 1)
    count = borders.shape[1]
    parts = []
    for first in range(0, count, step):
        part = slice(first, first + step)
        arguments = (field, rays[part], borders[:, part], hit[:, part])
        whole = step >= count or not torch.is_grad_enabled()
        parts.append(_composite(*arguments) if whole else checkpoint(_composite, *arguments, use_reentrant=False))
    color, opacity, along = (torch.cat(values, dim=1) for values in zip(*parts, strict=True))
    return color + (1 - opacity[..., None]) * background, opacity, along


def _composite(field: BatchField, rays: Rays, borders: Tensor, hit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Colour (B, N, 3) without background, opacity (B, N) and distance (B, N) of some rays."""
    widths, distance = borders[..., 1:] - borders[..., :-1], (borders[..., 1:] + borders[..., :-1]) / 2
    points = rays.origins[..., None, :] + distance[..., None] * rays.directions[..., None, :]
    density, color = field.density_and_radiance(points.flatten(1, 2))
    density = density.view(distance.shape) * hit[..., None]
    weights = compositing_weights(density.flatten(0, 1), widths.flatten(0, 1)).view(distance.shape)
    opacity = weights.sum(-1)
    along = (weights * distance).sum(-1) / opacity.clamp(min=_SEEN)
    along = torch.where(opacity.detach() > _SEEN, along, torch.zeros_like(along))
    return (weights[..., None] * color.view(*distance.shape, 3)).sum(-2), opacity, along
