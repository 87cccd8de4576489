"""Multi-head self-attention, exact on every device and fast on each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TILE = 256
"""Queries attended at a time on a CPU: their scores against 7168 keys are 3.7 MB, which stays in the cache."""


class SelfAttention(nn.Module):
    """All tokens look at all tokens; queries, keys and values have no bias.

    Args:
        width: channels C of a token; head h owns the channels [h C / H, (h + 1) C / H).
        num_heads: H.
        qk_norm: whether queries and keys are normalised per head, so that no logit grows out of bounds in training.
        bias: whether the output has one.
    """

    def __init__(self, width: int, num_heads: int, *, qk_norm: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.Linear(width, width, bias=bias)
        self.norm_q = nn.RMSNorm(width // num_heads, eps=1e-6) if qk_norm else None
        self.norm_k = nn.RMSNorm(width // num_heads, eps=1e-6) if qk_norm else None

    def forward(self, tokens: Tensor, num_kept: int | None = None) -> Tensor:
        """(B, N, C) -> (B, num_kept or N, C): what the first ``num_kept`` tokens see in all of them."""
        q = _normalized(self.norm_q, self._heads(self.to_q(tokens[:, :num_kept])))
        k = _normalized(self.norm_k, self._heads(self.to_k(tokens)))
        v = self._heads(self.to_v(tokens))
        result: Tensor = self.to_out(attend(q, k, v).transpose(1, 2).flatten(2))
        return result

    def _heads(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, H, N, C / H)."""
        return tokens.view(*tokens.shape[:2], self.num_heads, -1).transpose(1, 2)


def _normalized(norm: nn.RMSNorm | None, heads: Tensor) -> Tensor:
    if norm is None:
        return heads
    result: Tensor = norm(heads.to(norm.weight.dtype)).to(heads.dtype)
    return result


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D)) v.

    Args:
        q: (B, H, M, D) queries.
        k: (B, H, N, D) keys.
        v: (B, H, N, D) values.

    Returns:
        (B, H, M, D).
    """
    wants_gradient = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and not wants_gradient:
        return tiled_attention(q, k, v)
    return functional.scaled_dot_product_attention(q, k, v)


def tiled_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same for CPUs with fast bfloat16, where torch's own kernel computes as slowly as in float32; no gradients."""
    scaled = (q * q.shape[-1] ** -0.5).contiguous()
    result = torch.empty_like(scaled)
    scores = torch.empty(TILE, k.shape[2], dtype=q.dtype)  # one for all: fresh memory costs as much as the work in it
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            keys, values = k[b, h].contiguous().T, v[b, h].contiguous()
            for asking, out in zip(torch.split(scaled[b, h], TILE), torch.split(result[b, h], TILE), strict=True):
                tile = torch.mm(asking, keys, out=scores[: len(asking)])
                torch.mm(torch.softmax(tile, dim=-1, out=tile), values, out=out)
    return result
