"""The configurations and the sizes of the networks they describe."""

import json
from dataclasses import replace

import pytest
import torch

from gtr_core.fields.decoder import DensityHead
from gtr_core.model.config import ModelConfig
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR

DECODERS = ("density_mlp.", "color_mlp.")


def shapes(config):
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in GTR(config).state_dict().items()}


def count(sizes):
    return sum(torch.Size(size).numel() for size in sizes)


def test_released_configuration_is_that_of_the_reference():
    config = CONFIGS["gtr-release"]
    assert (config.image_size, config.patch_size, config.width, config.num_blocks) == (512, 16, 1024, 24)
    assert (config.num_heads, config.head_width, config.plane_tokens, config.upsample) == (16, 64, 32, 8)
    assert (config.plane_channels, config.plane_resolution, config.decoder_width) == (40, 256, 32)
    assert config.density_head == DensityHead(1.0, 0.0)
    assert replace(config, decoder_width=512) == CONFIGS["gtr-paper"]


def test_released_network_has_exactly_the_reference_numbers():
    found = shapes(CONFIGS["gtr-release"])
    generator = {name: size for name, size in found.items() if not name.startswith(DECODERS)}
    assert count(generator.values()) == 411_392_512
    assert len(generator) == 320
    assert count(found.values()) - 411_392_512 == 11_050 - 6  # the box is a constant here
    block = "transformer.blocks.23"
    assert found["planes"] == (1, 3, 1024, 32, 32)
    assert found["image_encoder.proj.weight"] == (1024, 10, 16, 16)
    assert found[f"{block}.attention.to_q.weight"] == (1024, 1024)
    assert found[f"{block}.feed_forward.expand.weight"] == (8192, 1024)
    assert found[f"{block}.feed_forward.contract.weight"] == (1024, 4096)
    assert found["upsampler.proj.weight"] == (2560, 1024)
    assert not any(f".to_{letter}.bias" in name for name in found for letter in "qkv")
    assert {f"{block}.attention.to_out.bias", f"{block}.norm1.bias", "image_norm.bias"} <= set(found)
    assert "image_encoder.proj.bias" not in found


def test_paper_and_mini_networks():
    paper = shapes(CONFIGS["gtr-paper"])
    assert paper["density_mlp.layers.0.weight"] == (512, 120)
    assert paper["color_mlp.layers.3.weight"] == (3, 512)
    mini = shapes(CONFIGS["gtr-mini"])
    assert 22.5e6 < count(mini.values()) < 23.5e6
    assert [name for name in mini if name.startswith(("transformer", "upsampler")) and name.endswith("bias")] == []
    assert mini["transformer.blocks.0.attention.norm_q.weight"] == (64,)
    assert mini["density_mlp.layers.0.weight"] == (32, 72)
    assert CONFIGS["gtr-mini"].plane_resolution == 128


@pytest.mark.parametrize("name", CONFIGS)
def test_json_round_trip(name):
    config = replace(CONFIGS[name], encoder_options={"pretrained": "x/y", "trainable": True})
    assert ModelConfig.from_json(config.to_json()) == config
    assert config.to_json() == ModelConfig.from_json(config.to_json()).to_json()
    assert isinstance(hash(config), int)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 1024.0}, "width is 1024.0"),
        ({"width": True}, "width is True"),
        ({"num_heads": 7}, "7 heads"),
        ({"image_size": 500}, "500 px"),
        ({"num_blocks": 0}, "num_blocks is 0"),
        ({"encoder": "resnet"}, "encoder is 'resnet'"),
        ({"feed_forward": None}, "feed_forward is None"),
        ({"qk_norm": 1}, "qk_norm is 1"),
        ({"density_head": {"scale": 1.0}}, "shift"),
        ({"density_head": {"scale": -1.0, "shift": 0.0}}, "scale -1.0"),
        ({"density_bias": "0"}, "density_bias is '0'"),
        ({"encoder_options": []}, "encoder_options"),
        ({"extra": 1}, "extra"),
    ],
)
def test_json_that_is_no_configuration_is_refused(change, message):
    values = json.loads(ModelConfig().to_json()) | change
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", json.dumps({"width": 1})])
def test_text_that_is_no_table_of_all_fields_is_refused(text):
    with pytest.raises(ValueError, match=r"table|lacks|Expecting"):
        ModelConfig.from_json(text)
