"""Starting values of an untrained network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def draw_normal(tensor: Tensor, std: float, generator: torch.Generator | None) -> None:
    """Fill a tensor with normal numbers; one without memory (on ``meta``) stays so."""
    if not tensor.is_meta:  # there torch would load its compiler, for nothing
        nn.init.normal_(tensor, std=std, generator=generator)


def normal_weights(module: nn.Module, generator: torch.Generator | None) -> None:
    """Draw the weights of all linear and convolution layers inside a module: variance 1 / (3 inputs), biases zero."""
    for layer in module.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        first = layer.weight[:, 0] if isinstance(layer, nn.ConvTranspose2d) else layer.weight[0]
        draw_normal(layer.weight, 1 / math.sqrt(3 * first.numel()), generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
