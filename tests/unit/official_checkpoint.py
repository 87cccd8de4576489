"""Checkpoints as Snap's code writes them, of any size, and that network written down once more with plain functions.

Names and shapes are listed here by hand, not taken from the table under test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.convert_child import Order
from gtr_core.model.official_weights import write_weights
from gtr_core.progress import no_progress

FIELD, GENERATOR = "field", "generator"


@dataclass(frozen=True)
class Sizes:
    """Of a checkpoint; the defaults are the smallest that has heads of 64 channels."""

    width: int = 64
    blocks: int = 2
    patch: int = 4
    tokens: int = 3
    channels: int = 5
    upsample: int = 2
    hidden: int = 8


RELEASED = Sizes(1024, 24, 16, 32, 40, 8, 32)


def shapes(sizes: Sizes) -> dict[str, dict[str, tuple[int, ...]]]:
    """Part -> name -> shape."""
    w, h, f = sizes.width, sizes.hidden, 3 * sizes.channels
    field: dict[str, tuple[int, ...]] = {"aabb": (6,)}
    for mlp, widths in (("mlp_sigma", (f, h, h, 1)), ("mlp_color", (f, h, h, h, 3))):
        for i in range(len(widths) - 1):
            field[f"decoder.field.{mlp}.layers.{i}.weight"] = (widths[i + 1], widths[i])
            field[f"decoder.field.{mlp}.layers.{i}.bias"] = (widths[i + 1],)
    generator: dict[str, tuple[int, ...]] = {
        "planes": (1, 3, w, sizes.tokens, sizes.tokens),
        "conv_proj.weight": (w, 10, sizes.patch, sizes.patch),
        "out.proj.weight": (sizes.channels * sizes.upsample**2, w, 1, 1),
        "out.proj.bias": (sizes.channels * sizes.upsample**2,),
    }
    prefixes = ["", *(f"attn_layers.{i}." for i in range(sizes.blocks))]
    for prefix in prefixes:
        for norm in ("norm1", "norm2"):
            generator[f"{prefix}{norm}.weight"] = generator[f"{prefix}{norm}.bias"] = (w,)
    for prefix in prefixes[1:]:
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            generator[f"{prefix}self_attn.{name}.weight"] = (w, w)
        generator[f"{prefix}self_attn.to_out.0.bias"] = (w,)
        generator[f"{prefix}ff.net.0.proj.weight"] = (8 * w, w)
        generator[f"{prefix}ff.net.0.proj.bias"] = (8 * w,)
        generator[f"{prefix}ff.net.2.weight"] = (w, 4 * w)
        generator[f"{prefix}ff.net.2.bias"] = (w,)
    return {FIELD: field, GENERATOR: generator}


def make_checkpoint(sizes: Sizes | None = None, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> dict[str, Any]:
    """A whole checkpoint with random weights, and with the entries beside the weights that such files have."""
    generator = torch.Generator().manual_seed(seed)
    parts = {
        part: {
            key: (torch.randn(shape, generator=generator) / max(shape[-1], 4) ** 0.5).to(dtype)
            for key, shape in table.items()
        }
        for part, table in shapes(sizes or Sizes()).items()
    }
    parts[FIELD]["aabb"] = torch.tensor([-1.0, -1, -1, 1, 1, 1], dtype=dtype)
    return {
        "pipeline": {**parts, "metrics": {}},
        "scalers": {"scale": 2048.0, "growth_factor": 2.0, "_growth_tracker": 3},
        "optimizers": {"state": {0: {"exp_avg": torch.ones(7)}}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.95)}]},
        "step": 150_000,
    }


def planes_of(g: Mapping[str, Tensor], conditioning: Tensor, *, num_heads: int, upsample: int) -> Tensor:
    """The released generator: (B, V, 10, H, W) -> (B, 3, C, R, R)."""
    w = g["conv_proj.weight"].shape[0]
    batch = len(conditioning)
    tokens = functional.conv2d(conditioning.flatten(0, 1), g["conv_proj.weight"], stride=g["conv_proj.weight"].shape[2])
    tokens = tokens.flatten(2).permute(0, 2, 1).reshape(batch, -1, w)
    tokens = functional.layer_norm(tokens, (w,), g["norm1.weight"], g["norm1.bias"], 1e-5)
    planes = g["planes"].expand(batch, -1, -1, -1, -1)
    side = planes.shape[-1]
    x = torch.cat([planes.permute(0, 1, 3, 4, 2).reshape(batch, -1, w), tokens], 1)
    for i in range(len({key.split(".")[1] for key in g if key.startswith("attn_layers.")})):
        p = f"attn_layers.{i}."
        normal = functional.layer_norm(x, (w,), g[p + "norm1.weight"], g[p + "norm1.bias"], 1e-5)
        q, k, v = (
            (normal @ g[f"{p}self_attn.to_{letter}.weight"].T).unflatten(2, (num_heads, -1)).transpose(1, 2)
            for letter in "qkv"
        )
        weights = (q @ k.transpose(2, 3) * (w // num_heads) ** -0.5).softmax(-1)
        seen = (weights @ v).transpose(1, 2).flatten(2)
        x = x + seen @ g[p + "self_attn.to_out.0.weight"].T + g[p + "self_attn.to_out.0.bias"]
        normal = functional.layer_norm(x, (w,), g[p + "norm2.weight"], g[p + "norm2.bias"], 1e-5)
        hidden = normal @ g[p + "ff.net.0.proj.weight"].T + g[p + "ff.net.0.proj.bias"]
        value, gate = hidden[..., : 4 * w], hidden[..., 4 * w :]
        x = x + (value * functional.gelu(gate)) @ g[p + "ff.net.2.weight"].T + g[p + "ff.net.2.bias"]
    x = functional.layer_norm(x[:, : 3 * side**2], (w,), g["norm2.weight"], g["norm2.bias"], 1e-5)
    grid = x.view(batch * 3, side, side, w).permute(0, 3, 1, 2)
    out = functional.conv2d(grid, g["out.proj.weight"], g["out.proj.bias"])
    s = upsample
    texels = out.view(batch, 3, -1, s, s, side, side).permute(0, 1, 2, 5, 3, 6, 4)  # channel c * s * s + dy * s + dx
    return texels.reshape(batch, 3, texels.shape[2], side * s, side * s)


def decode(f: Mapping[str, Tensor], mlp: str, features: Tensor) -> Tensor:
    """One of the two released decoders on features (N, 3C): raw output."""
    prefix = f"decoder.field.{mlp}.layers."
    count = sum(key.startswith(prefix) and key.endswith("weight") for key in f)
    for i in range(count):
        features = functional.linear(features, f[f"{prefix}{i}.weight"], f[f"{prefix}{i}.bias"])
        features = functional.gelu(features) if i < count - 1 else features
    return features


def convert(path: Path, **options: Any) -> Path:
    """Convert in this process; the weights lie beside the checkpoint."""
    out = path.with_name("out.safetensors")
    progress = options.pop("progress", no_progress)
    order = {"half": False, "trust_pickle": False, "num_heads": None, "source": "the test", **options}
    write_weights(Order(str(path), str(out), **order), progress)
    return out


def refusal(path: Path, **options: Any) -> GtrError:
    """The error of a conversion that has to fail and leave nothing."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(GtrError) as caught:
        convert(path, **options)
    assert sorted(path.parent.iterdir()) == before
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert caught.value.message.count("\n") == 0
    return caught.value
