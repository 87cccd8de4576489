"""Starting values of the layers of an untrained network."""

from __future__ import annotations

import math

import torch
from torch import nn


def normal_weights(module: nn.Module, generator: torch.Generator | None) -> None:
    """Draw the weights of all linear and convolution layers inside a module: variance 1 / (3 inputs), biases zero."""
    for layer in module.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        inputs = layer.weight[0].numel() if not isinstance(layer, nn.ConvTranspose2d) else layer.weight[:, 0].numel()
        nn.init.normal_(layer.weight, std=1 / math.sqrt(3 * inputs), generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
