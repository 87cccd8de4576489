"""The named ways to reconstruct."""

from __future__ import annotations

from dataclasses import dataclass

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.stages.texture_config import TEXTURE_CONFIGS, TextureConfig


@dataclass(frozen=True)
class Preset:
    """One way from views to a mesh.

    Args:
        name: what the user types.
        description: one sentence for the user.
        min_views: least number of views.
        texture: settings of the texture refinement.
    """

    name: str
    description: str
    min_views: int
    texture: TextureConfig


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "fit",
            "Fits a surface to the views of this one object; needs no weights and no GPU.",
            min_views=2,
            texture=TEXTURE_CONFIGS["fit"],
        ),
    )
}
"""All presets by name."""


def get_preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        GtrError: ``model_unavailable``, listing the presets.
    """
    if name not in PRESETS:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"There is no preset named {name}.",
            f"Choose one of: {', '.join(PRESETS)}.",
        )
    return PRESETS[name]
