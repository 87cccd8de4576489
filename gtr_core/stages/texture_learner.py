"""A texture that learns the input images, step by step (paper section 3.3)."""

from __future__ import annotations

from gtr_core.fields.field import Field
from gtr_core.stages.pixel_source import PixelSource
from gtr_core.stages.texel_rows import ActiveTexels
from gtr_core.stages.texture_config import TextureConfig
from gtr_core.stages.texture_gradient import TextureGradient
from gtr_core.stages.texture_pixels import TexturedSurface
from gtr_core.stages.texture_state import RefinementState, TextureOptimizer


class TextureLearner:
    """Loss, gradient and AdamW on copies of a field's planes and colour network.

    Args:
        field: whose texture to start from; not changed.
        surface: where the pixels ask it.
        config: settings.
        seed: of the random pixels.
        strength: factor of the learning rates.
        state: to go on from; None starts with the texture of ``field``.
    """

    def __init__(
        self,
        field: Field,
        surface: TexturedSurface,
        config: TextureConfig,
        *,
        seed: int = 0,
        strength: float = 1.0,
        state: RefinementState | None = None,
    ) -> None:
        moving = None if state is None else state.moving_texels()
        active = ActiveTexels.read_at(surface.all_points(), field.planes.shape[-1], also=moving)
        self.optimizer = TextureOptimizer(field.planes, field.color_mlp, config, active, strength=strength, state=state)
        self._gradient = TextureGradient(surface, self.optimizer, config)
        self._source = PixelSource(surface.samples, config, seed)

    def step(self) -> float:
        """One step on all pixels or on the next subset of them; returns the loss before it."""
        loss = self._gradient.accumulate(self._source.draw(self.optimizer.step_count))
        self.optimizer.step()
        return loss
