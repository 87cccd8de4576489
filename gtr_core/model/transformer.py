"""Joint self-attention of plane tokens and image tokens (paper section 3.1, "triplane generator")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gtr_core.model.attention import SelfAttention
from gtr_core.model.config import ModelConfig
from gtr_core.model.initial import normal_weights
from gtr_core.progress import Progress, no_progress

EPS = 1e-5
"""Of every LayerNorm."""
ROWS = 1024
"""Tokens that pass a feed-forward layer at a time on a CPU when no gradient is wanted; bounds the memory."""


class FeedForward(nn.Module):
    """C -> hidden -> C, each token for itself.

    Args:
        width: channels C of a token.
        gated: GEGLU (one linear layer C -> 8C; its first half times the exact GELU of its second) instead of a plain
            exact GELU of 4C values.
        bias: whether the layers have biases.
    """

    def __init__(self, width: int, *, gated: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.gated = gated
        self.expand = nn.Linear(width, (8 if gated else 4) * width, bias=bias)
        self.contract = nn.Linear(4 * width, width, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        if torch.is_grad_enabled() or tokens.device.type != "cpu":
            return self._compute(tokens)
        return torch.cat([self._compute(part) for part in torch.split(tokens, ROWS, dim=1)], dim=1)

    def _compute(self, tokens: Tensor) -> Tensor:
        hidden: Tensor = self.expand(tokens)
        if self.gated:
            value, gate = hidden.chunk(2, dim=-1)
            hidden = value * functional.gelu(gate)
        else:
            hidden = functional.gelu(hidden)
        result: Tensor = self.contract(hidden)
        return result


class Block(nn.Module):
    """x += attention(norm1 x); x += feed_forward(norm2 x).

    The sum x and the norms stay in float32 also where the layers compute in bfloat16: errors of 24 blocks add up in x.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=EPS, bias=config.bias)
        self.attention = SelfAttention(config.width, config.num_heads, qk_norm=config.qk_norm, bias=config.bias)
        self.norm2 = nn.LayerNorm(config.width, eps=EPS, bias=config.bias)
        self.feed_forward = FeedForward(config.width, gated=config.feed_forward == "geglu", bias=config.bias)

    def forward(self, tokens: Tensor, num_kept: int | None = None) -> Tensor:
        """(B, N, C) -> (B, num_kept or N, C): the first ``num_kept`` tokens after this block."""
        dtype = self.attention.to_q.weight.dtype
        tokens = tokens[:, :num_kept] + self.attention(self.norm1(tokens).to(dtype), num_kept)
        result: Tensor = tokens + self.feed_forward(self.norm2(tokens).to(dtype))
        return result


class Transformer(nn.Module):
    """Blocks over all tokens; what leaves are the first tokens, normalised.

    Attributes:
        recompute: whether training computes each block a second time in the backward pass instead of keeping what is
            inside it.
    """

    def __init__(self, config: ModelConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(config.width, eps=EPS, bias=config.bias)
        self.recompute = False
        normal_weights(self, generator)

    def forward(self, tokens: Tensor, num_kept: int, *, progress: Progress = no_progress) -> Tensor:
        """Let all tokens meet.

        In the last block only the rows that are kept ask and pass the feed-forward layer: the others end there.

        Args:
            tokens: (B, N, C) float32, the tokens to keep first.
            num_kept: how many leave.
            progress: called as ``("encode", block, blocks)``; may raise :class:`gtr_core.progress.Cancelled`.

        Returns:
            (B, num_kept, C) float32.
        """
        count = len(self.blocks)
        for index, block in enumerate(self.blocks):
            progress("encode", index, count)
            kept = num_kept if index == count - 1 else None
            if self.recompute and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, kept, use_reentrant=False)
            else:
                tokens = block(tokens, kept)
        progress("encode", count, count)
        result: Tensor = self.norm(tokens)
        return result
