"""Marching cubes on a dense grid against scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gtr_core.fields.separable import SeparableDensity
from gtr_core.fields.surface import ISO_LEVEL
from gtr_core.geometry.marching_cubes import marching_cubes
from pipeline_rows.bench_field import bench_field
from pipeline_rows.row import Row, Scale, row, timed


def measure(scale: Scale) -> Row:
    """``marching_cubes``: surface of a density grid, with what the gradient costs in the note.

    Scikit-image runs on the CPU on any device.
    """
    try:
        from skimage import measure as skimage
    except ImportError as error:
        raise RuntimeError("scikit-image is not installed; install the extra dev") from error
    sdf = _distance(scale)
    surface: list[tuple[Tensor, Tensor]] = []
    fast = timed(lambda: surface.append(marching_cubes(sdf)), scale.device, 2 * scale.repeats)
    probe = sdf.clone().requires_grad_()
    both = timed(lambda: torch.autograd.backward(marching_cubes(probe)[0].sum()), scale.device, scale.repeats)
    plain = sdf.cpu().numpy()
    theirs: Callable[..., object] = skimage.marching_cubes
    slow = timed(lambda: theirs(plain, 0.0), torch.device("cpu"), 2 * scale.repeats)
    note = f"{len(surface[0][1]) / 1000:.0f}k faces at {scale.grid}^3; forward and backward {both.cpu_s:.3f} s"
    return row("marching_cubes", fast, slow, note=note)


@torch.no_grad()
def _distance(scale: Scale) -> Tensor:
    """(R, R, R) level - density."""
    field = bench_field(scale)
    density = SeparableDensity(field, scale.grid)
    return torch.stack([ISO_LEVEL - field.density_head.density(density.raw_slice(x)) for x in range(scale.grid)])
