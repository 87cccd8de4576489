"""The loss of a whole run as one module, which several processes can share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gtr_core.data.dataset import Batch
from gtr_core.model.gtr import GTR
from gtr_core.training.perceptual import Perceptual
from gtr_core.training.recipe import Phase, Recipe


class Objective(nn.Module):
    """The loss of the phase that the run is in.

    Args:
        model: the network; its weights are this module's only ones.
        recipe: of the run.
        perceptual: makes the perceptual term of a phase.
        seed: of the run.
    """

    def __init__(self, model: GTR, recipe: Recipe, perceptual: Callable[[Phase], Perceptual], seed: int) -> None:
        super().__init__()
        self._recipe = recipe
        self._stages = nn.ModuleList(phase.stage(model, perceptual(phase), seed) for phase in recipe.phases)

    def forward(self, batch: Batch, share: float) -> tuple[Tensor, dict[str, Tensor]]:
        """See :meth:`gtr_core.training.stage.Stage.forward`."""
        phase = self._recipe.phase(share)
        result: tuple[Tensor, dict[str, Tensor]] = self._stages[self._recipe.phases.index(phase)](batch, share)
        return result
