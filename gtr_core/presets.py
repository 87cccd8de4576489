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
class Refinement:
    """A way to refine the texture, and how many steps of it to take when the user asks for no other number."""

    config: TextureConfig
    steps: int


@dataclass(frozen=True)
class Preset:
    """One way from views to a mesh.

    Args:
        name: what the user types.
        description: one sentence for the user.
        min_views: least number of views.
        usual_views: as many as it works best with; a network was trained with so many.
        usual_refinement: how the texture is refined.
        exact_refinement: the same as it was published, with all pixels in every step: slower; None where the usual one
            is all there is.
        learned: whether a trained network makes the planes, so that a file of weights is needed.
    """

    name: str
    description: str
    min_views: int
    usual_views: int
    usual_refinement: Refinement
    exact_refinement: Refinement | None = None
    learned: bool = False

    @property
    def model(self) -> ModelConfig | None:
        """Shape of the network; None without one."""
        if not self.learned:
            return None
        from gtr_core.model.configs import CONFIGS

        return CONFIGS[self.name]

    def refinement(self, *, exact: bool = False) -> Refinement:
        """How to refine.

        Raises:
            GtrError: ``bad_input`` when it shall be exact and the preset knows no such way.
        """
        if not exact:
            return self.usual_refinement
        if self.exact_refinement is None:
            raise GtrError(
                ErrorCode.BAD_INPUT, f"The preset {self.name} has no exact refinement.", "Refine in the usual way."
            )
        return self.exact_refinement


_STOCHASTIC_STEPS = 60
"""They fade texels that no picture touches as much as 20 exact steps, in a fraction of the time."""


def _learned(name: str, description: str, texture: str, exact_steps: int) -> Preset:
    usual = Refinement(TEXTURE_CONFIGS[texture], _STOCHASTIC_STEPS)
    exact = Refinement(TEXTURE_CONFIGS[f"{texture}-exact"], exact_steps)
    return Preset(name, description, 2, 4, usual, exact, learned=True)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "fit",
            "Fits a surface to the views of this one object; needs no weights and no GPU.",
            min_views=2,
            usual_views=14,
            usual_refinement=Refinement(TEXTURE_CONFIGS["fit"], steps=20),
        ),
        _learned("gtr-release", "The released GTR: its network and its way to refine.", "release", 50),
        _learned("gtr-paper", "GTR as the paper describes it: wider decoders, squared loss.", "paper", 20),
        _learned("gtr-mini", "A small network for machines without a GPU; no weights of it exist yet.", "release", 20),
        _learned("gtr-smoke", "A network that two CPU cores can train in hours, to try training with.", "release", 20),
        _learned("gtr-tiny", "A network of 0.7 million numbers, for tests.", "release", 20),
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
