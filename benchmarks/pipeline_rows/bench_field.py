"""A field of the released size with a surface worth extracting, fitted to a known shape once and kept on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.surface import ISO_LEVEL
from gtr_core.fields.triplane import sample_planes
from gtr_core.fields.triplane_field import TriplaneField
from pipeline_rows.row import Scale

_COARSER = 4
"""Texels of the final planes to one that is fitted, along each axis."""
_VERSION = 2
"""Of the shape and its fit: fields of other versions on disk are not used."""
_BAND = 0.04
"""Distance from the surface over which the fitted raw value goes from the level to its end."""
_STEEPNESS = 12.0


def shape_distance(points: Tensor) -> Tensor:
    """(N, 3) -> (N,) about the signed distance to the shape: a ribbed ball with a ring, rods and specks."""
    x, y, z = points.unbind(1)
    ribs = 0.02 * torch.sin(14 * x) * torch.sin(14 * y) * torch.sin(14 * z)
    ball = points.norm(dim=1) - 0.5 + ribs
    hole = (x.square() + y.square()).sqrt() - 0.18
    solid = torch.maximum(ball, -hole)
    ring = torch.hypot(torch.hypot(x, z) - 0.66, y) - 0.05
    rods = torch.hypot(x.abs() - 0.12, y) - 0.025
    rods = torch.maximum(rods, z.abs() - 0.8)
    cell = (points * 2.5).round() / 2.5
    specks = torch.where(cell.norm(dim=1) > 1.0, (points - cell).norm(dim=1) - 0.02, torch.full_like(x, 1.0))
    return torch.stack([solid, ring, rods, specks]).amin(0)


def bench_field(scale: Scale, *, hidden: int | None = None, steps: int | None = None) -> TriplaneField:
    """The fitted field on ``scale.device``.

    Args:
        scale: gives the size of the planes and, without ``hidden``, the width of the networks.
        hidden: width of the networks.
        steps: of the fit.
    """
    hidden = scale.hidden if hidden is None else hidden
    if steps is None:
        steps = 300 if hidden <= 64 else 120
    name = f"field_{scale.plane_channels}x{scale.plane_resolution}_{hidden}_{steps}_v{_VERSION}.safetensors"
    folder = Path(os.environ.get("GTR_BENCH_CACHE", Path(tempfile.gettempdir()) / "gtr_bench_views"))
    field = _start(scale, hidden)
    if (folder / name).exists():
        tensors = load_file(folder / name)
        planes = tensors.pop("planes")
        field.density_mlp.load_state_dict(tensors)
    else:
        planes = _fit(field, steps)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"planes": planes, **field.density_mlp.state_dict()}, folder / name)
    device = scale.device
    return TriplaneField(planes.to(device), field.density_mlp.to(device), field.color_mlp.to(device))


def _start(scale: Scale, hidden: int) -> TriplaneField:
    """Smooth random planes of half the resolution and untrained networks."""
    generator = torch.Generator().manual_seed(0)
    size, channels = scale.plane_resolution // _COARSER, scale.plane_channels
    coarse = torch.randn(3, channels, size // 8, size // 8, generator=generator)
    planes = 0.3 * functional.interpolate(coarse, size=(size, size), mode="bilinear")
    density = DensityMlp(3 * channels, hidden, generator=generator)
    return TriplaneField(planes, density, ColorMlp(3 * channels, hidden, generator=generator))


@torch.enable_grad()
def _fit(field: TriplaneField, steps: int) -> Tensor:
    """Train the density network of ``field`` in place and return the fitted planes, slightly roughened."""
    generator = torch.Generator().manual_seed(1)
    planes = field.planes.clone().requires_grad_()
    groups = [{"params": [planes], "lr": 0.01}, {"params": field.density_mlp.parameters(), "lr": 4e-3}]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    for _ in range(steps):
        points = _training_points(64 * _COARSER * planes.shape[-1], generator)
        target = ISO_LEVEL + _STEEPNESS * (-shape_distance(points) / _BAND).clamp(-1, 1)
        loss = functional.smooth_l1_loss(field.density_mlp(sample_planes(planes, points))[:, 0], target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= 0.03 ** (1 / steps)
    fine = functional.interpolate(planes.detach(), scale_factor=_COARSER, mode="bilinear")
    return fine + 0.003 * torch.randn(fine.shape, generator=generator)


def _training_points(count: int, generator: torch.Generator) -> Tensor:
    """(count, 3) in the box, half of them near the surface."""
    points = torch.rand(4 * count, 3, generator=generator) * 2 - 1
    near = shape_distance(points).abs() < 1.5 * _BAND
    return torch.cat([points[near][: count // 2], points[~near][: count // 2]])
