"""The two small networks that turn triplane features into density and colour (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtr_core.fields.density_head import RELEASED_HEAD as RELEASED_HEAD
from gtr_core.fields.density_head import DensityHead as DensityHead


class Mlp(nn.Module):
    """Linear layers with exact GELU between them.

    Args:
        widths: sizes of the input, the hidden layers and the output.
        generator: source of the Xavier-uniform weights; biases start at zero.
    """

    def __init__(self, widths: Sequence[int], *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight, generator=generator)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """(N, widths[0]) -> (N, widths[-1])."""
        for layer in self.layers[:-1]:
            features = functional.gelu(layer(features))
        result: Tensor = self.layers[-1](features)
        return result


class DensityMlp(Mlp):
    """Features (N, F) to raw density (N, 1): three layers; see :class:`DensityHead`."""

    def __init__(self, num_features: int, hidden: int = 32, *, generator: torch.Generator | None = None) -> None:
        super().__init__((num_features, hidden, hidden, 1), generator=generator)


class ColorMlp(Mlp):
    """Features (N, F) to raw colour (N, 3): four layers; see :func:`color_from_raw`."""

    def __init__(self, num_features: int, hidden: int = 32, *, generator: torch.Generator | None = None) -> None:
        super().__init__((num_features, hidden, hidden, hidden, 3), generator=generator)


def color_from_raw(raw: Tensor) -> Tensor:
    """SRGB in [-0.001, 1.001]: a sigmoid that reaches black and white at finite values; not clamped."""
    return torch.sigmoid(raw) * 1.002 - 0.001
