"""One decoder for density and colour together, as in LRM: the variant that the paper's two decoders replace."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gtr_core.fields.decoder import Mlp


class DecoderHead(nn.Module):
    """Some of the outputs of a network that is shared with other heads.

    Args:
        shared: (N, F) -> (N, outputs).
        start: first output of this head.
        stop: behind its last output.
    """

    def __init__(self, shared: Mlp, start: int, stop: int) -> None:
        super().__init__()
        self.shared = shared
        self.start = start
        self.stop = stop

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) -> (N, stop - start)."""
        result: Tensor = self.shared(features)[..., self.start : self.stop]
        return result


def shared_decoders(
    num_features: int, hidden: int = 32, *, generator: torch.Generator | None = None
) -> tuple[DecoderHead, DecoderHead]:
    """Density (first output) and colour (the other three) of one network with three hidden layers."""
    shared = Mlp((num_features, hidden, hidden, hidden, 4), generator=generator)
    return DecoderHead(shared, 0, 1), DecoderHead(shared, 1, 4)
