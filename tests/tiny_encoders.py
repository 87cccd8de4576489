"""Tiny random networks in place of the pretrained ones of Appendix A, saved and loaded as those are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gtr_core.errors import GtrError
from gtr_core.model.config import ModelConfig
from gtr_core.model.configs import CONFIGS
from gtr_core.model.dino_encoder import DinoEncoder
from gtr_core.model.image_encoder import build_encoder
from gtr_core.model.vae_encoder import VaeEncoder

Encoder = VaeEncoder | DinoEncoder
VAES = ("taesd", "kl")
DINOS = ("vit", "dinov2", "dinov2_with_registers")


def save_tiny_networks(root: Path) -> dict[str, Path]:
    """Folders of tiny random networks as diffusers and transformers save them, by kind."""
    from diffusers import AutoencoderKL, AutoencoderTiny
    from transformers import (
        Dinov2Config,
        Dinov2Model,
        Dinov2WithRegistersConfig,
        Dinov2WithRegistersModel,
        ViTConfig,
        ViTModel,
    )

    torch.manual_seed(1)
    vit = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    blocks = {"encoder_block_out_channels": (4,) * 3, "decoder_block_out_channels": (4,) * 3}
    networks = {
        "taesd": AutoencoderTiny(**blocks, num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1)),
        "kl": AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            norm_num_groups=2,
            scaling_factor=0.5,
            shift_factor=0.25,
        ),
        "vit": ViTModel(ViTConfig(**vit, intermediate_size=32, image_size=16, patch_size=8), add_pooling_layer=False),
        "dinov2": Dinov2Model(Dinov2Config(**vit, image_size=28, patch_size=14)),
        "dinov2_with_registers": Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(**vit, image_size=28, patch_size=14)
        ),
    }
    for name, network in networks.items():
        network.save_pretrained(root / name)
    return {name: root / name for name in networks}


def config_for(kind: str, folder: Path | str, **options: bool | str) -> ModelConfig:
    encoder = "vae" if kind in VAES else "dino"
    narrow = replace(CONFIGS["gtr-tiny"], width=32, num_heads=2)
    return replace(narrow, encoder=encoder, encoder_options={"pretrained": str(folder), **options})


def encoder_for(kind: str, folder: Path | str, **options: bool | str) -> Encoder:
    return build(config_for(kind, folder, **options), seed=2)


def build(config: ModelConfig, seed: int | None = None) -> Encoder:
    encoder = build_encoder(config, generator=None if seed is None else torch.Generator().manual_seed(seed))
    assert isinstance(encoder, VaeEncoder if config.encoder == "vae" else DinoEncoder)
    return encoder


def conditioning(batch: int = 2, views: int = 3, height: int = 24, width: int = 16) -> Tensor:
    return torch.rand(batch, views, 10, height, width, generator=torch.Generator().manual_seed(3))


def fault_of(act: Callable[[], object]) -> GtrError:
    with pytest.raises(GtrError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return caught.value
