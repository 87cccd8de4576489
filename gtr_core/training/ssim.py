"""Structural similarity as a loss: :func:`gtr_core.metrics.ssim.ssim`, differentiable and on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.metrics.ssim import SIGMA, WINDOW

_C1, _C2 = 0.01**2, 0.03**2


def differentiable_ssim(image: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of pictures in [0, 1] (Wang, Bovik, Sheikh, Simoncelli 2004).

    Args:
        image: (N, H, W, C), at least 11 pixels high and wide.
        truth: (N, H, W, C).

    Returns:
        (N,) at most 1; 1 for equal pictures.
    """
    a, b = (picture.permute(0, 3, 1, 2).float() for picture in (image, truth))
    mean_a, mean_b, aa, bb, ab = _blurred(torch.cat([a, b, a * a, b * b, a * b], dim=1)).chunk(5, dim=1)
    var_a, var_b, covariance = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    top = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    bottom = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    return (top / bottom).flatten(1).mean(1)


def _blurred(channels: Tensor) -> Tensor:
    """Gaussian means over the windows that lie inside the picture."""
    place = torch.arange(WINDOW, device=channels.device, dtype=channels.dtype) - WINDOW // 2
    window = torch.exp(-(place**2) / (2 * SIGMA**2))
    window = window / window.sum()
    # Not channels last: there cuDNN computes in TensorFloat-32, whose three digits a variance does not survive.
    channels = channels.contiguous()
    groups = channels.shape[1]
    rows = functional.conv2d(channels, window.view(1, 1, -1, 1).expand(groups, 1, -1, 1), groups=groups)
    return functional.conv2d(rows, window.view(1, 1, 1, -1).expand(groups, 1, 1, -1), groups=groups)
