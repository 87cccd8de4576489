"""The terms of the paper's losses (equations 1 and 3), each a mean over the batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.training.ssim import differentiable_ssim


class LossTerms:
    """Named terms and their weighted sum.

    Attributes:
        total: the sum, to go backward from.
        values: the terms without their weights, for the log.
    """

    def __init__(self, like: Tensor) -> None:
        self.total = like.new_zeros(())
        self.values: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor, weight: float) -> None:
        """One more term; one of weight 0 is only logged."""
        self.values[name] = value.detach()
        if weight:
            self.total = self.total + weight * value

    def note(self, name: str, value: Tensor) -> None:
        """A number for the log that is no term."""
        self.values[name] = value.detach()


def mean_squared(image: Tensor, truth: Tensor) -> Tensor:
    """L_rgb of equations 1 and 3, and the mask's term."""
    return (image - truth).square().mean()


def ssim_loss(image: Tensor, truth: Tensor) -> Tensor:
    """1 - SSIM of pictures (N, H, W, 3)."""
    return 1 - differentiable_ssim(image, truth).mean()


def gradient_loss(image: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of the steps between neighbouring pixels of (N, H, W, 3): edges at their places."""
    rows, columns = ((image - truth).diff(dim=dim).abs().mean() for dim in (1, 2))
    return rows + columns


def depth_loss(depth: Tensor, truth: Tensor) -> Tensor:
    """L_depth of equation 3: squared error where both show a surface, averaged over all pixels (N, H, W).

    As in the released configuration, background counts as no error. Where only one of the two shows a surface, it is
    the mask's term that tells: a depth against a zero would be the camera's distance, not an error of shape.
    """
    both = (depth.detach() > 0) & (truth > 0)
    return ((depth - truth).square() * both).mean()


def normal_loss(normal: Tensor, truth: Tensor) -> Tensor:
    """1 - cosine where both pictures (N, H, W, 3) show a surface, averaged over all pixels.

    No term of equation 3; the paper's last section names it as a way to smoother surfaces.
    """
    both = (normal.detach().abs().amax(-1) > 0) & (truth.abs().amax(-1) > 0)
    cosine = functional.cosine_similarity(normal, truth, dim=-1)
    return ((1 - cosine) * both).mean()


def tsdf_loss(raw: Tensor, distance: Tensor, truncation: float) -> Tensor:
    """Smooth L1 of the field against the truncated signed distance.

    Args:
        raw: the field's raw density, shifted and scaled so that 0 is the surface and 1 is deep inside.
        distance: signed distance of the same shape, negative inside.
        truncation: distance at which it is cut off, world units.
    """
    return functional.smooth_l1_loss(raw, -(distance / truncation).clamp(-1, 1), beta=0.1)


def opacity_loss(density: Tensor, width: float) -> Tensor:
    """L_reg of equation 3 (MeshLRM): mean opacity at points that should be empty.

    Args:
        density: of any shape, one random point per ray in front of the true surface.
        width: length over which density becomes opacity, world units.
    """
    return -torch.expm1(-density * width).mean()
