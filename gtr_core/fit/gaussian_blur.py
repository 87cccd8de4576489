"""Gaussian blur of a grid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv3d, pad


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
