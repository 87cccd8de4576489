"""The table of the released checkpoint, and what is read from it."""

from math import prod

import pytest
from official_checkpoint import FIELD, GENERATOR, RELEASED, Sizes, shapes

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.config import ModelConfig
from gtr_core.model.configs import CONFIGS
from gtr_core.model.official_layout import check_part, infer_config, official_entries


def infer(sizes: Sizes, **options: int) -> ModelConfig:
    tables = shapes(sizes)
    return infer_config(tables[FIELD], tables[GENERATOR], **options)


@pytest.mark.parametrize("sizes", [RELEASED, Sizes(), Sizes(128, 1, 8, 2, 1, 4, 16)])
def test_table_is_the_one_of_the_reference(sizes: Sizes) -> None:
    entries = official_entries(infer(sizes))
    for part, table in shapes(sizes).items():
        assert {e.key: e.shape for e in entries if e.part == part} == table
        check_part(part, table, entries)
    assert len({e.target for e in entries}) == len(entries)  # "" once, for the box


def test_released_sizes() -> None:
    entries = official_entries(infer(RELEASED))
    for part, keys, numbers in ((FIELD, 15, 11_050), (GENERATOR, 320, 411_392_512)):
        chosen = [entry for entry in entries if entry.part == part]
        assert (len(chosen), sum(prod(entry.shape) for entry in chosen)) == (keys, numbers)
    assert infer(RELEASED) == CONFIGS["gtr-release"]


def test_sizes_are_read_from_the_shapes() -> None:
    config = infer(Sizes(width=128, blocks=3, patch=8, tokens=4, channels=6, upsample=4, hidden=16))
    assert (config.width, config.num_blocks, config.num_heads) == (128, 3, 2)
    assert (config.patch_size, config.plane_tokens, config.image_size) == (8, 4, 32)
    assert (config.plane_channels, config.upsample, config.decoder_width) == (6, 4, 16)
    assert infer(Sizes(width=32), num_heads=4).num_heads == 4


FAULTS = {
    "no planes": (GENERATOR, "planes", None, "generator lacks planes"),
    "planes without axes": (GENERATOR, "planes", (4,), "generator.planes is 4, it must have 5 axes"),
    "no axes at all": (GENERATOR, "planes", (), "generator.planes is a single number"),
    "empty planes": (GENERATOR, "planes", (1, 3, 0, 3, 3), "generator.planes is 1 x 3 x 0"),
    "four planes": (GENERATOR, "planes", (1, 4, 64, 3, 3), "4 planes, 15 features of a point and 20 channels"),
    "no features": (FIELD, "decoder.field.mlp_sigma.layers.0.weight", (8, 2), "2 features of a point"),
    "odd channels": (GENERATOR, "out.proj.weight", (21, 64, 1, 1), "21 channels"),
    "narrow": (GENERATOR, "planes", (1, 3, 32, 3, 3), "32 channels do not divide into attention heads of 64"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_sizes_that_cannot_be(name: str) -> None:
    part, key, shape, words = FAULTS[name]
    tables = shapes(Sizes())
    if shape is None:
        del tables[part][key]
    else:
        tables[part][key] = shape
    with pytest.raises(GtrError) as caught:
        infer_config(tables[FIELD], tables[GENERATOR])
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert words in caught.value.message


def test_a_generator_without_blocks() -> None:
    tables = shapes(Sizes(blocks=0))
    with pytest.raises(GtrError, match="no transformer block"):
        infer_config(tables[FIELD], tables[GENERATOR])


@pytest.mark.parametrize(
    "key", ["attn_layers.x.norm1.weight", "attn_layers.²..", "attn_layers", "attn_layers.9999999.a"]
)
def test_strange_names_do_not_count_as_blocks(key: str) -> None:
    tables = shapes(Sizes())
    tables[GENERATOR][key] = (64,)
    config = infer_config(tables[FIELD], tables[GENERATOR])
    assert config.num_blocks <= 3
    with pytest.raises(GtrError):
        check_part(GENERATOR, tables[GENERATOR], official_entries(config))


def test_differences_are_named() -> None:
    entries = official_entries(infer(Sizes()))
    found = dict(shapes(Sizes())[FIELD])
    bias = found.pop("decoder.field.mlp_color.layers.3.bias")
    with pytest.raises(GtrError, match=r"field lacks 1 of its 15 tensors, the first is decoder.*color.layers.3.bias"):
        check_part(FIELD, found, entries)
    found["decoder.field.mlp_color.layers.3.bias"] = bias
    found["module.aabb"] = (6,)
    with pytest.raises(GtrError, match=r"field holds 1 tensors that GTR does not have, the first is module.aabb"):
        check_part(FIELD, found, entries)
    del found["module.aabb"]
    found["aabb"] = (2, 3)
    with pytest.raises(GtrError, match=r"field.aabb is 2 x 3, it must be 6"):
        check_part(FIELD, found, entries)
