"""The shape of a network, as it is written into every file of weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, cast, get_args

from gtr_core.fields.density_head import RELEASED_HEAD, DensityHead

Encoder = Literal["conv", "vae", "dino"]
Upsampler = Literal["pixel_shuffle", "deconvolution"]
FeedForward = Literal["geglu", "gelu"]
Option = str | int | float | bool

CONDITIONING_CHANNELS = 10
"""Colour (3), ray direction (3), Plücker moment (3), mask (1)."""


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a GTR network; the defaults are the released one (paper sections 3.1 and 4.1).

    Args:
        encoder: what turns pictures into tokens: one strided convolution, or a pretrained network (Appendix A).
        encoder_options: what ``vae`` and ``dino`` want to know, such as the folder of their weights.
        image_size: side of the square pictures that views are resized to, pixels; a multiple of ``patch_size``.
        patch_size: side of the square of pixels behind an image token.
        width: channels of a token.
        num_blocks: transformer blocks.
        num_heads: attention heads; each has width / num_heads channels.
        plane_tokens: side of a plane in tokens.
        plane_channels: channels of a feature plane.
        upsample: texels of a plane along the side of a token.
        upsampler: a linear layer and pixel shuffle, or a transposed convolution as in LRM.
        feed_forward: gated (C -> 8C -> 4C -> C) or plain (C -> 4C -> C).
        qk_norm: whether queries and keys are normalised per head.
        bias: whether the blocks and the upsampler have biases; queries, keys and values never do.
        even_upsampling: whether the upsampler starts with the same value in all texels of a token, so that an untrained
            network shows no seams between tokens.
        decoder_width: hidden width of the two decoders.
        shared_decoder: whether density and colour come from one network instead of two.
        density_head: raw density to density.
        density_bias: raw density of an untrained network (its last bias).
    """

    encoder: Encoder = "conv"
    encoder_options: Mapping[str, Option] = field(default_factory=dict, hash=False)
    image_size: int = 512
    patch_size: int = 16
    width: int = 1024
    num_blocks: int = 24
    num_heads: int = 16
    plane_tokens: int = 32
    plane_channels: int = 40
    upsample: int = 8
    upsampler: Upsampler = "pixel_shuffle"
    feed_forward: FeedForward = "geglu"
    qk_norm: bool = False
    bias: bool = True
    even_upsampling: bool = False
    decoder_width: int = 32
    shared_decoder: bool = False
    density_head: DensityHead = RELEASED_HEAD
    density_bias: float = 0.0

    def __post_init__(self) -> None:
        for name in _SIZES:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")
        if self.width % self.num_heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.num_heads} heads")
        if self.image_size % self.patch_size:
            raise ValueError(f"pictures of {self.image_size} px do not divide into patches of {self.patch_size} px")

    @property
    def plane_resolution(self) -> int:
        """Side of a feature plane in texels."""
        return self.plane_tokens * self.upsample

    @property
    def head_width(self) -> int:
        """Channels of an attention head."""
        return self.width // self.num_heads

    def to_json(self) -> str:
        """All fields, sorted by name; equal configurations give equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """The configuration that :meth:`to_json` wrote.

        Raises:
            ValueError: for anything else: a missing, an unknown or an ill-typed entry, a number that cannot be.
        """
        values = _entries(json.loads(text), {f.name for f in fields(cls)}, "a model's configuration")
        head = _entries(values["density_head"], {f.name for f in fields(DensityHead)}, "density_head")
        options = values["encoder_options"]
        if not isinstance(options, dict) or not all(isinstance(v, str | int | float) for v in options.values()):
            raise ValueError("encoder_options must hold words and numbers")
        plain: dict[str, Any] = {name: _integer(values, name) for name in _SIZES}
        plain |= {name: _truth(values, name) for name in _SWITCHES}
        return cls(
            encoder=cast(Encoder, _word(values, "encoder", get_args(Encoder))),
            encoder_options=options,
            upsampler=cast(Upsampler, _word(values, "upsampler", get_args(Upsampler))),
            feed_forward=cast(FeedForward, _word(values, "feed_forward", get_args(FeedForward))),
            density_head=DensityHead(_number(head, "scale"), _number(head, "shift")),
            density_bias=_number(values, "density_bias"),
            **plain,
        )


_SIZES = (
    "image_size",
    "patch_size",
    "width",
    "num_blocks",
    "num_heads",
    "plane_tokens",
    "plane_channels",
    "upsample",
    "decoder_width",
)
_SWITCHES = ("qk_norm", "bias", "even_upsampling", "shared_decoder")


def _entries(value: object, names: set[str], what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a table")
    if set(value) != names:
        wrong = ", ".join(sorted(set(value) ^ names))
        raise ValueError(f"{what} lacks or does not know: {wrong}")
    return value


def _word(values: dict[str, object], name: str, allowed: tuple[str, ...]) -> str:
    value = values[name]
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} is {value!r}, not one of {', '.join(allowed)}")
    return value


def _number(values: dict[str, object], name: str) -> float:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}, not a number")
    return float(value)


def _integer(values: dict[str, object], name: str) -> int:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} is {value!r}, not a whole number")
    return value


def _truth(values: dict[str, object], name: str) -> bool:
    value = values[name]
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, neither true nor false")
    return value
