"""A rounder shape inside the visual hull to start a fit from."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv3d, pad

from gtr_core.fit.sdf_grid import SdfGrid


def smoothed_hull(hull: SdfGrid, sigma: float) -> SdfGrid:
    """The hull's distance blurred by a Gaussian, so that its creases, which no view has seen, become round.

    Blurring alone shrinks a shape: thin parts vanish. The fit that starts here grows until every ray of the masks
    hits something again, and only the intersection with the hull counts.

    Args:
        hull: distance of the visual hull.
        sigma: of the Gaussian, in world units.
    """
    return SdfGrid(gaussian_blur(hull.values, sigma / hull.spacing))


def gaussian_blur(values: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian over (R, R, R) values, sigma in nodes, the border repeated outwards."""
    radius = int(3 * sigma) + 1
    offsets = torch.arange(-radius, radius + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    blurred = values[None, None]
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = len(kernel)
        border = [0] * 6
        border[2 * (2 - axis)] = border[2 * (2 - axis) + 1] = radius
        blurred = conv3d(pad(blurred, border, mode="replicate"), kernel.reshape(shape))
    return blurred[0, 0]
