"""Image metrics: PSNR and mask overlap."""

from __future__ import annotations

import torch
from torch import Tensor


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of images in [0, 1].

    Args:
        image: (V, H, W, C).
        truth: (V, H, W, C).

    Returns:
        (V,) in dB; inf for equal images.
    """
    error = (image - truth).square().flatten(1).double().mean(1)
    return -10 * torch.log10(error)


def mask_iou(mask: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of two masks (V, H, W), bool or thresholded at 0.5: (V,); 1 where both are empty."""
    a, b = (_binary(value).flatten(1) for value in (mask, truth))
    union = (a | b).sum(1)
    return torch.where(union > 0, (a & b).sum(1) / union.clamp(min=1), 1.0)


def erode(mask: Tensor, pixels: int) -> Tensor:
    """Pixels (V, H, W) bool whose square neighbourhood of this radius lies in the mask; outside the image is out."""
    outside = torch.nn.functional.pad(~_binary(mask), (pixels,) * 4, value=True)
    size = 2 * pixels + 1
    return torch.nn.functional.max_pool2d(outside[:, None].float(), size, stride=1)[:, 0] == 0


def see_through(depth: Tensor, true_depth: Tensor, *, border: int = 2, slack: float = 0.03) -> Tensor:
    """Share of the true surface that one can see through: holes, and walls that are missing.

    Args:
        depth: (V, H, W) camera z of the result, 0 = nothing there.
        true_depth: (V, H, W) of the truth.
        border: pixels at the outline that do not count.
        slack: a pixel counts when it is empty or this much deeper than the truth (world units).

    Returns:
        (V,) share of the inner pixels of the true mask, in [0, 1].
    """
    inner = erode(true_depth > 0, border)
    through = inner & ((depth <= 0) | (depth > true_depth + slack))
    return through.flatten(1).sum(1) / inner.flatten(1).sum(1).clamp(min=1)


def normal_angle(normal: Tensor, true_normal: Tensor) -> Tensor:
    """Mean angle in degrees (V,) between unit normals (V, H, W, 3) where both views have a surface; nan if nowhere."""
    both = (normal.abs().amax(-1) > 0) & (true_normal.abs().amax(-1) > 0)
    # The sine and the cosine together stay exact for small angles, the arc cosine alone does not.
    sine = torch.linalg.cross(normal.double(), true_normal.double()).norm(dim=-1)
    angle = torch.rad2deg(torch.atan2(sine, (normal.double() * true_normal).sum(-1)))
    return (angle * both).flatten(1).sum(1) / both.flatten(1).sum(1)


def _binary(mask: Tensor) -> Tensor:
    return mask if mask.dtype == torch.bool else mask > 0.5
