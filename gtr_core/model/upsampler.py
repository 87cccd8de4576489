"""Plane tokens to feature planes (paper section 3.1, "Triplane upsampler")."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtr_core.model.config import ModelConfig
from gtr_core.model.initial import normal_weights


class PixelShuffleUpsampler(nn.Module):
    """One linear layer gives all texels of a token; no texel is written by two tokens, so nothing overlaps unevenly.

    What can remain are seams between tokens; benchmarks/bench_upsampler.py measures both.

    Its output ``c * s * s + dy * s + dx`` is channel c of the texel (dy, dx) of the token's s x s square.

    Args:
        config: width, plane_channels, upsample, bias, even_upsampling.
        generator: source of the weights.
    """

    def __init__(self, config: ModelConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.upsample = config.upsample
        self.proj = nn.Linear(config.width, config.plane_channels * config.upsample**2, bias=config.bias)
        normal_weights(self, generator)
        if config.even_upsampling:
            with torch.no_grad():
                self.proj.weight.copy_(self.proj.weight[:: config.upsample**2].repeat_interleave(config.upsample**2, 0))

    def forward(self, tokens: Tensor) -> Tensor:
        """(P, h, w, width) -> (P, channels, h * s, w * s)."""
        texels: Tensor = self.proj(tokens)
        return functional.pixel_shuffle(texels.permute(0, 3, 1, 2), self.upsample)


class DeconvolutionUpsampler(nn.Module):
    """Transposed convolutions of stride 2 with GELU between them: what LRM has, for the comparison.

    Their 3 x 3 kernels overlap unevenly; this is where grid patterns come from.

    Args:
        config: width, plane_channels, upsample (a power of two), bias.
        generator: source of the weights.

    Raises:
        ValueError: when ``upsample`` is not a power of two.
    """

    def __init__(self, config: ModelConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        stages = config.upsample.bit_length() - 1
        if config.upsample < 2 or config.upsample != 1 << stages:
            raise ValueError(f"deconvolution upsamples by a power of two, not by {config.upsample}")
        widths = [max(config.width >> stage, config.plane_channels) for stage in range(stages)]
        widths.append(config.plane_channels)
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1, bias=config.bias)
            for a, b in pairwise(widths)
        )
        normal_weights(self, generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """(P, h, w, width) -> (P, channels, h * s, w * s)."""
        texels = tokens.permute(0, 3, 1, 2)
        for index, layer in enumerate(self.layers):
            texels = layer(functional.gelu(texels) if index else texels)
        return texels


def build_upsampler(config: ModelConfig, *, generator: torch.Generator | None = None) -> nn.Module:
    """The upsampler that a configuration asks for."""
    if config.upsampler == "pixel_shuffle":
        return PixelShuffleUpsampler(config, generator=generator)
    return DeconvolutionUpsampler(config, generator=generator)
