"""Volume rendering along rays: the box, the samples, the compositing (as in the released GTR)."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_NEAR = 0.2
"""Rays start at least this far from the camera, world units."""


def intersect_box(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays (N, 3) pass through the box [-1, 1]^3.

    Returns:
        near (N,), far (N,) distances along the ray and hit (N,) bool. A ray that misses gets the smallest near and
        the largest far of those that hit, so that its samples lie at sensible places (1 and 2 when none hits).
    """
    inverse = 1 / torch.where(directions == 0, torch.full_like(directions, 1e-12), directions)
    a, b = (-1 - origins) * inverse, (1 - origins) * inverse
    near = torch.minimum(a, b).amax(-1).clamp(min=MIN_NEAR)
    far = torch.maximum(a, b).amin(-1)
    hit = far > near
    if not len(hit):
        return near, far, hit
    # without asking whether any hits: a GPU would have to be waited for
    some = hit.any()
    lowest = torch.where(some, torch.where(hit, near, torch.inf).min(), 1.0)
    highest = torch.where(some, torch.where(hit, far, -torch.inf).max(), 2.0)
    return torch.where(hit, near, lowest), torch.where(hit, far, highest), hit


def sample_depths(
    near: Tensor, far: Tensor, num_samples: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Divide each ray into bins, one sample in the middle of each.

    Args:
        near: (N,) distances.
        far: (N,) distances.
        num_samples: bins S per ray.
        generator: None gives equal bins; with one, every bin border is drawn between the middles of its neighbours.

    Returns:
        distances (N, S) of the samples and widths (N, S) of the bins.
    """
    share = torch.linspace(0, 1, num_samples + 1, device=near.device)
    borders = near[:, None] + (far - near)[:, None] * share
    if generator is not None:
        middle = (borders[:, 1:] + borders[:, :-1]) / 2
        lower = torch.cat([borders[:, :1], middle], dim=1)
        upper = torch.cat([middle, borders[:, -1:]], dim=1)
        drawn = torch.rand(borders.shape, generator=generator, device=generator.device).to(near.device)
        borders = lower + (upper - lower) * drawn
    return (borders[:, 1:] + borders[:, :-1]) / 2, borders[:, 1:] - borders[:, :-1]


def compositing_weights(density: Tensor, widths: Tensor) -> Tensor:
    """Weight of each sample (N, S): its opacity 1 - exp(-density * width) times the light that reaches it."""
    optical = density * widths
    passed = torch.exp(-(optical.cumsum(1) - optical))
    return passed * -torch.expm1(-optical)
