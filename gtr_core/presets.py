"""The named ways to reconstruct. Light: the help and the server's front read it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.stages.texture_config import TEXTURE_CONFIGS, TextureConfig

if TYPE_CHECKING:
    from gtr_core.model.config import ModelConfig


@dataclass(frozen=True)
class Preset:
    """One way from views to a mesh.

    Args:
        name: what the user types.
        description: one sentence for the user.
        min_views: least number of views.
        usual_views: as many as it works best with; a network was trained with so many.
        texture: settings of the texture refinement.
        refine_steps: steps of it, when the user asks for no other number.
        learned: whether a trained network makes the planes, so that a file of weights is needed.
    """

    name: str
    description: str
    min_views: int
    usual_views: int
    texture: TextureConfig
    refine_steps: int
    learned: bool = False

    @property
    def model(self) -> ModelConfig | None:
        """Shape of the network; None without one."""
        if not self.learned:
            return None
        from gtr_core.model.configs import CONFIGS

        return CONFIGS[self.name]


def _learned(name: str, description: str, texture: str, refine_steps: int) -> Preset:
    return Preset(name, description, 2, 4, TEXTURE_CONFIGS[texture], refine_steps, learned=True)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "fit",
            "Fits a surface to the views of this one object; needs no weights and no GPU.",
            min_views=2,
            usual_views=14,
            texture=TEXTURE_CONFIGS["fit"],
            refine_steps=20,
        ),
        _learned("gtr-release", "The released GTR: its network and its way to refine.", "release", 50),
        _learned("gtr-paper", "GTR as the paper describes it: wider decoders, squared loss.", "paper", 20),
        _learned(
            "gtr-mini", "A small network that was trained on procedural shapes; quick on two cores.", "release", 20
        ),
        _learned("gtr-tiny", "A network of a few thousand numbers, for tests.", "release", 20),
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


def choose_preset(name: str | None, weights: Path | None) -> Preset:
    """The preset of this name, or the one that a file of weights was trained for, or ``fit``.

    Raises:
        GtrError: ``model_unavailable`` for an unknown preset and for weights that cannot be read or are another
            preset's; ``bad_input`` for weights that the preset has no use for.
    """
    chosen = None if name is None else get_preset(name)
    if weights is None:
        return chosen or get_preset("fit")
    if chosen is not None and not chosen.learned:
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"The preset {chosen.name} uses no weights.",
            f"Leave {weights.name} away, or choose a learned preset.",
        )
    from gtr_core.model.weights_header import read_header

    trained_for = read_header(weights).preset
    if chosen is not None and chosen.name != trained_for:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{weights.name} holds the network of {trained_for}, not of {chosen.name}.",
            f"Choose the preset {trained_for}, or other weights.",
        )
    return get_preset(trained_for)
