"""What a run of training does: its phases, its optimiser, its schedule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from gtr_core.data.dataset import BatchRequest
from gtr_core.model.gtr import GTR
from gtr_core.training.mesh_stage import MeshConfig, MeshStage
from gtr_core.training.nerf_stage import NerfConfig, NerfStage
from gtr_core.training.optimizer import OptimizerConfig
from gtr_core.training.perceptual import Perceptual
from gtr_core.training.schedule import Schedule
from gtr_core.training.stage import Stage

StageName = Literal["nerf", "mesh"]


@dataclass(frozen=True)
class Phase:
    """A part of a run with a loss and data of its own.

    Args:
        until: share of the run at which it ends; 1 for the last.
        loss: settings of the stage.
        request: what is wanted of each object.
        batch: objects in a step, over all processes.
        without_points: what takes its place where the source cannot give points in space; None when it needs none.
    """

    until: float
    loss: NerfConfig | MeshConfig
    request: BatchRequest
    batch: int
    without_points: Phase | None = None

    def with_batch(self, batch: int) -> Phase:
        """The same with other numbers of objects in a step."""
        other = None if self.without_points is None else replace(self.without_points, batch=batch)
        return replace(self, batch=batch, without_points=other)

    def stage(self, model: GTR, perceptual: Perceptual, seed: int) -> Stage:
        """Its loss as a module."""
        if isinstance(self.loss, MeshConfig):
            return MeshStage(model, self.loss, perceptual, seed)
        return NerfStage(model, self.loss, perceptual, seed)


@dataclass(frozen=True)
class Recipe:
    """How a preset is trained in one of the two stages.

    Args:
        phases: one after the other.
        schedule: of the learning rate, over all phases.
        optimizer: AdamW and its guard.
        parts: of a step whose gradients are added up, to save memory.
        recompute: whether the transformer's blocks are computed again in the backward pass, to save memory.
    """

    phases: tuple[Phase, ...]
    schedule: Schedule
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    parts: int = 1
    recompute: bool = False

    def phase(self, share: float) -> Phase:
        """The phase at a share of the run."""
        return next((phase for phase in self.phases if share < phase.until), self.phases[-1])

    def for_source(self, *, has_points: bool) -> Recipe:
        """The same for a source that may not be able to give points in space."""
        if has_points:
            return self
        return replace(self, phases=tuple(phase.without_points or phase for phase in self.phases))
