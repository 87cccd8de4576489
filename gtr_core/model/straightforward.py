"""The network as one reads it in the paper: documentation, test oracle and baseline of the benchmarks.

It takes the weights of a :class:`gtr_core.model.gtr.GTR` and nothing of its code: one precision for everything, torch's
own attention, all tokens through all blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.model.config import ModelConfig
from gtr_core.model.gtr import GTR


def straightforward_planes(model: GTR, conditioning: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, V, 10, H, W) -> (B, 3, C, R, R) planes in ``dtype``, for networks with conv encoder and pixel shuffle.

    Args:
        model: whose weights are used, converted to ``dtype``.
        conditioning: see :func:`gtr_core.model.conditioning.conditioning`.
        dtype: of all weights, tokens and results.
    """
    config = model.config
    weights = {name: value.to(dtype) for name, value in model.named_parameters()}
    patches = functional.conv2d(
        conditioning.flatten(0, 1).to(dtype), weights["image_encoder.proj.weight"], stride=config.patch_size
    )
    batch, views = conditioning.shape[:2]
    image_tokens = patches.view(batch, views, config.width, -1).permute(0, 1, 3, 2).flatten(1, 2)
    image_tokens = _layer_norm(image_tokens, weights, "image_norm")
    side = config.plane_tokens
    plane_tokens = weights["planes"].flatten(3).permute(0, 1, 3, 2).flatten(1, 2).expand(batch, -1, -1)
    x = torch.cat([plane_tokens, image_tokens], dim=1)
    for index in range(config.num_blocks):
        block = f"transformer.blocks.{index}"
        x = x + _attention(_layer_norm(x, weights, f"{block}.norm1"), weights, f"{block}.attention", config)
        x = x + _feed_forward(_layer_norm(x, weights, f"{block}.norm2"), weights, f"{block}.feed_forward", config)
    x = _layer_norm(x[:, : 3 * side**2], weights, "transformer.norm")
    x = x.view(batch * 3, side, side, config.width).permute(0, 3, 1, 2)
    kernel = weights["upsampler.proj.weight"][:, :, None, None]
    x = functional.pixel_shuffle(functional.conv2d(x, kernel, weights.get("upsampler.proj.bias")), config.upsample)
    return x.view(batch, 3, *x.shape[1:])


def _layer_norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    return functional.layer_norm(x, weight.shape, weight, bias, eps=1e-5)


def _attention(x: Tensor, weights: dict[str, Tensor], name: str, config: ModelConfig) -> Tensor:
    q, k, v = (
        functional.linear(x, weights[f"{name}.to_{letter}.weight"])
        .view(*x.shape[:2], config.num_heads, config.head_width)
        .transpose(1, 2)
        for letter in "qkv"
    )
    if config.qk_norm:
        q = functional.rms_norm(q, (config.head_width,), weights[f"{name}.norm_q.weight"], eps=1e-6)
        k = functional.rms_norm(k, (config.head_width,), weights[f"{name}.norm_k.weight"], eps=1e-6)
    seen = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
    return functional.linear(seen, weights[f"{name}.to_out.weight"], weights.get(f"{name}.to_out.bias"))


def _feed_forward(x: Tensor, weights: dict[str, Tensor], name: str, config: ModelConfig) -> Tensor:
    hidden = functional.linear(x, weights[f"{name}.expand.weight"], weights.get(f"{name}.expand.bias"))
    if config.feed_forward == "geglu":
        value, gate = hidden.chunk(2, dim=-1)
        hidden = value * functional.gelu(gate)
    else:
        hidden = functional.gelu(hidden)
    return functional.linear(hidden, weights[f"{name}.contract.weight"], weights.get(f"{name}.contract.bias"))
