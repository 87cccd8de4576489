"""How alike pictures look: LPIPS where its weights are, else terms that go by their own names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from gtr_core.metrics.lpips import Lpips
from gtr_core.metrics.lpips_files import find_weights
from gtr_core.training.losses import LossTerms, gradient_loss, ssim_loss

RESIZE = 256
"""Side to which the released configuration brings pictures before LPIPS."""


@dataclass(frozen=True)
class PerceptualWeights:
    """How much each term counts.

    Args:
        lpips: lambda_p of equations 1 and 3.
        ssim: of 1 - SSIM, where there is no LPIPS.
        gradient: of the differences between neighbouring pixels, where there is no LPIPS.
        starts_at: share of the run before which none of them counts: early on they stand in the way.
    """

    lpips: float = 0.5
    ssim: float = 0.2
    gradient: float = 0.2
    starts_at: float = 0.0


class Perceptual(nn.Module):
    """The perceptual term of a stage.

    Args:
        weights: of its parts.
        lpips: the metric; None takes SSIM and gradients.
    """

    def __init__(self, weights: PerceptualWeights, lpips: Lpips | None) -> None:
        super().__init__()
        self.weights = weights
        self.lpips = lpips

    def forward(self, image: Tensor, truth: Tensor, terms: LossTerms, share: float) -> None:
        """Add its parts to the terms.

        Args:
            image: (N, H, W, 3) in [0, 1] or nearly so.
            truth: (N, H, W, 3).
            terms: where to.
            share: of the run that is over, in [0, 1].
        """
        on = share >= self.weights.starts_at
        if self.lpips is not None:
            if on:
                terms.add("lpips", self.lpips(image.clamp(0, 1), truth).mean(), self.weights.lpips)
            return
        terms.add("ssim", ssim_loss(image, truth), self.weights.ssim * on)
        terms.add("gradient", gradient_loss(image, truth), self.weights.gradient * on)


def load_lpips(backbone: Path | None = None, linear: Path | None = None) -> Lpips | None:
    """LPIPS with VGG, as the paper trains with; None when there are no weights on this machine.

    Args:
        backbone: file of weights; None looks in torch's cache.
        linear: file of the linear layers, if they are not in the first.

    Raises:
        GtrError: ``model_unavailable`` when a file that was named is missing or is not what it should be.
    """
    if backbone is None:
        found = find_weights("vgg")
        if found is None:
            return None
        backbone, linear = found
    return Lpips.load("vgg", backbone, linear, resize=RESIZE)


def describe(lpips: Lpips | None) -> str:
    """What compares how pictures look, for the log."""
    if lpips is None:
        return "SSIM and gradient terms, because no LPIPS weights were found"
    return f"LPIPS ({lpips.net})"
