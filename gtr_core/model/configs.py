"""The networks that presets name."""

from __future__ import annotations

from dataclasses import replace

from gtr_core.fields.density_head import DensityHead
from gtr_core.model.config import ModelConfig

_RELEASED = ModelConfig()
_MINI = ModelConfig(
    image_size=256,
    width=384,
    num_blocks=12,
    num_heads=6,
    plane_tokens=16,
    plane_channels=24,
    feed_forward="gelu",
    qk_norm=True,
    bias=False,
    even_upsampling=True,
    density_head=DensityHead(scale=20.0, shift=10.0),
    density_bias=-0.5,
)

CONFIGS: dict[str, ModelConfig] = {
    "gtr-release": _RELEASED,
    "gtr-paper": replace(_RELEASED, decoder_width=512),
    "gtr-mini": _MINI,
    "gtr-smoke": replace(_MINI, image_size=128, width=256, num_blocks=8, num_heads=4, plane_tokens=12),
    "gtr-tiny": ModelConfig(
        image_size=32,
        patch_size=8,
        width=128,
        num_blocks=2,
        num_heads=4,
        plane_tokens=4,
        plane_channels=12,
        upsample=8,
        qk_norm=True,
        density_head=DensityHead(scale=20.0, shift=10.0),
        density_bias=-0.5,
    ),
}
"""Released model, the paper's model, the small one for one GPU, one that two CPU cores can train, and one for tests."""
