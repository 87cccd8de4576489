"""What the released checkpoint is made of: the name and shape of every tensor, and what each is called here."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.config import CONDITIONING_CHANNELS, ModelConfig

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
"""Name -> shape of all tensors of one part of the checkpoint."""

PRESET = "gtr-release"
PAGE = "https://snap-research.github.io/GTR/"
"""Snap's page of the model."""
LICENCE = "Snap non-commercial"
"""What the licence of the released weights is called here; its text comes with them."""
PARTS = ("field", "generator")
"""The two parts under ``pipeline``; whatever else the file holds is left out."""
BOX_KEY = "aabb"
"""The corners of the object's box: a constant, checked and not kept."""
BOX = (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
HEAD_WIDTH = 64
"""Channels of an attention head; no shape in the file tells it."""

_DENSITY, _COLOR = "decoder.field.mlp_sigma.layers", "decoder.field.mlp_color.layers"


@dataclass(frozen=True)
class Entry:
    """One tensor of the released checkpoint.

    Args:
        part: ``field`` or ``generator``.
        key: its name there.
        shape: its shape there.
        target: the parameter of :class:`gtr_core.model.gtr.GTR` that it becomes, with the same numbers in the same
            order (axes of length 1 aside); "" for what is only checked.
    """

    part: str
    key: str
    shape: Shape
    target: str


def infer_config(field: Shapes, generator: Shapes, *, num_heads: int | None = None) -> ModelConfig:
    """The network's sizes, read from the shapes of six tensors.

    Args:
        field: shapes of the part ``field``.
        generator: shapes of the part ``generator``.
        num_heads: attention heads; None takes heads of 64 channels, as released.

    Raises:
        GtrError: ``bad_input`` when one of the six is missing or the sizes contradict each other.
    """
    _, num_planes, width, plane_tokens, _ = _shape(generator, "generator", "planes", 5)
    _, _, patch_size, _ = _shape(generator, "generator", "conv_proj.weight", 4)
    out_channels = _shape(generator, "generator", "out.proj.weight", 4)[0]
    decoder_width, num_features = _shape(field, "field", f"{_DENSITY}.0.weight", 2)
    plane_channels = num_features // num_planes
    upsample = math.isqrt(out_channels // max(plane_channels, 1))
    heads = num_heads if num_heads is not None else width // HEAD_WIDTH
    if num_planes != 3 or num_features != 3 * plane_channels or out_channels != plane_channels * upsample**2:
        raise _unfit(
            f"{num_planes} planes, {num_features} features of a point and {out_channels} channels of the last layer "
            "do not fit together"
        )
    if heads < 1 or width % heads:
        raise _unfit(f"its {width} channels do not divide into attention heads of {HEAD_WIDTH}")
    return ModelConfig(
        image_size=patch_size * plane_tokens,
        patch_size=patch_size,
        width=width,
        num_blocks=_count_blocks(generator),
        num_heads=heads,
        plane_tokens=plane_tokens,
        plane_channels=plane_channels,
        upsample=upsample,
        decoder_width=decoder_width,
    )


def official_entries(config: ModelConfig) -> tuple[Entry, ...]:
    """Every tensor of a released checkpoint of this size: 15 of the field and 8 + 13 per block of the generator."""
    return (*_field_entries(config), *_generator_entries(config))


def check_part(part: str, found: Shapes, entries: Collection[Entry]) -> None:
    """Compare the names and shapes of one part with the table.

    Raises:
        GtrError: ``bad_input``: a name is missing or unknown, or a shape is wrong; the first one is named.
    """
    expected = {entry.key: entry.shape for entry in entries if entry.part == part}
    missing = [key for key in expected if key not in found]
    if missing:
        raise _unfit(f"{part} lacks {len(missing)} of its {len(expected)} tensors, the first is {missing[0]}")
    unknown = [key for key in found if key not in expected]
    if unknown:
        raise _unfit(f"{part} holds {len(unknown)} tensors that GTR does not have, the first is {unknown[0]}")
    for key, shape in expected.items():
        if tuple(found[key]) != shape:
            raise _unfit(f"{part}.{key} is {_times(found[key])}, it must be {_times(shape)}")


def _field_entries(config: ModelConfig) -> Iterator[Entry]:
    features, hidden = 3 * config.plane_channels, config.decoder_width
    yield Entry("field", BOX_KEY, (6,), "")
    for prefix, target, widths in (
        (_DENSITY, "density_mlp", (features, hidden, hidden, 1)),
        (_COLOR, "color_mlp", (features, hidden, hidden, hidden, 3)),
    ):
        for i in range(len(widths) - 1):
            shape = (widths[i + 1], widths[i])
            yield from _linear("field", f"{prefix}.{i}", shape, f"{target}.layers.{i}")


def _generator_entries(config: ModelConfig) -> Iterator[Entry]:
    width, tokens, patch = config.width, config.plane_tokens, config.patch_size
    part = "generator"
    yield Entry(part, "planes", (1, 3, width, tokens, tokens), "planes")
    yield Entry(part, "conv_proj.weight", (width, CONDITIONING_CHANNELS, patch, patch), "image_encoder.proj.weight")
    yield from _norm("norm1", width, "image_norm")
    yield from _norm("norm2", width, "transformer.norm")
    for i in range(config.num_blocks):
        source, block = f"attn_layers.{i}", f"transformer.blocks.{i}"
        for letter in "qkv":
            key, target = f"{source}.self_attn.to_{letter}.weight", f"{block}.attention.to_{letter}.weight"
            yield Entry(part, key, (width, width), target)
        yield from _linear(part, f"{source}.self_attn.to_out.0", (width, width), f"{block}.attention.to_out")
        yield from _linear(part, f"{source}.ff.net.0.proj", (8 * width, width), f"{block}.feed_forward.expand")
        yield from _linear(part, f"{source}.ff.net.2", (width, 4 * width), f"{block}.feed_forward.contract")
        yield from _norm(f"{source}.norm1", width, f"{block}.norm1")
        yield from _norm(f"{source}.norm2", width, f"{block}.norm2")
    channels = config.plane_channels * config.upsample**2
    yield Entry(part, "out.proj.weight", (channels, width, 1, 1), "upsampler.proj.weight")
    yield Entry(part, "out.proj.bias", (channels,), "upsampler.proj.bias")


def _linear(part: str, key: str, shape: tuple[int, int], target: str) -> Iterator[Entry]:
    yield Entry(part, f"{key}.weight", shape, f"{target}.weight")
    yield Entry(part, f"{key}.bias", shape[:1], f"{target}.bias")


def _norm(key: str, width: int, target: str) -> Iterator[Entry]:
    yield Entry("generator", f"{key}.weight", (width,), f"{target}.weight")
    yield Entry("generator", f"{key}.bias", (width,), f"{target}.bias")


def _shape(found: Shapes, part: str, key: str, dimensions: int) -> Shape:
    """Shape of a tensor that the sizes are read from."""
    if key not in found:
        raise _unfit(f"{part} lacks {key}")
    shape = tuple(found[key])
    if len(shape) != dimensions or min(shape) < 1:
        raise _unfit(f"{part}.{key} is {_times(shape)}, it must have {dimensions} axes")
    return shape


def _count_blocks(generator: Shapes) -> int:
    numbers = {int(name) for name in (key.split(".")[1] for key in generator if _is_block(key))}
    if not numbers:
        raise _unfit("generator has no transformer block (attn_layers.0 ...)")
    return max(numbers) + 1 if max(numbers) < len(generator) else len(numbers)


def _is_block(key: str) -> bool:
    words = key.split(".")
    return words[0] == "attn_layers" and len(words) > 2 and words[1].isdecimal() and words[1].isascii()


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _unfit(what: str) -> GtrError:
    return GtrError(
        ErrorCode.BAD_INPUT,
        f"This is not a checkpoint of the released GTR: {what}.",
        "Convert the file that Snap offers for download.",
    )
