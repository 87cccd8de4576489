"""Pictures to tokens (paper section 3.1, "Convolutional image encoder")."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from gtr_core.model.config import CONDITIONING_CHANNELS, ModelConfig
from gtr_core.model.initial import normal_weights


class ImageEncoder(Protocol):
    """What every encoder does, the paper's and those that it is compared with (Appendix A)."""

    def __call__(self, conditioning: Tensor) -> Tensor:
        """(B, V, 10, H, W) -> (B, V * h * w, width): view by view, in each row by row."""
        ...


class ConvEncoder(nn.Module):
    """One strided convolution over colour, rays and mask together; no bias, no embedding of place or view.

    Where a token comes from is told by the ray channels alone, so that any number of views and any size divisible by
    the patch works.

    Args:
        width: channels of a token.
        patch_size: side of the square of pixels behind a token.
        generator: source of the weights.
    """

    def __init__(self, width: int, patch_size: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.proj = nn.Conv2d(CONDITIONING_CHANNELS, width, patch_size, stride=patch_size, bias=False)
        normal_weights(self, generator)

    def forward(self, conditioning: Tensor) -> Tensor:
        """(B, V, 10, H, W) -> (B, V * H/p * W/p, width): view-major, then row-major.

        Raises:
            ValueError: when H or W is not a multiple of the patch.
        """
        batch, _, _, height, width = conditioning.shape
        patch = self.proj.kernel_size[0]
        if height % patch or width % patch:
            raise ValueError(f"pictures of {width} x {height} px do not divide into patches of {patch} px")
        patches: Tensor = self.proj(conditioning.flatten(0, 1))
        return patches.flatten(2).transpose(1, 2).reshape(batch, -1, patches.shape[1])


def build_encoder(config: ModelConfig, *, generator: torch.Generator | None = None) -> nn.Module:
    """The encoder that a configuration asks for; an :class:`ImageEncoder`.

    Raises:
        GtrError: ``backend_unavailable`` when the packages of a pretrained encoder are not installed.
    """
    if config.encoder == "conv":
        return ConvEncoder(config.width, config.patch_size, generator=generator)
    if config.encoder == "vae":
        from gtr_core.model.vae_encoder import build_vae_encoder

        return build_vae_encoder(config, generator=generator)
    from gtr_core.model.dino_encoder import build_dino_encoder

    return build_dino_encoder(config, generator=generator)
