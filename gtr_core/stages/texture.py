"""GTR's texture refinement: the planes and the colour network learn the input images (paper section 3.3)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from gtr_core.fields.field import Field
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rasterize import Rasterizer
from gtr_core.progress import Progress, no_progress
from gtr_core.stages.surface_samples import sample_surface
from gtr_core.stages.texture_config import TextureConfig
from gtr_core.stages.texture_learner import TextureLearner
from gtr_core.stages.texture_pixels import TexturedSurface
from gtr_core.stages.texture_state import RefinementState, TextureOptimizer
from gtr_core.views import Views

__all__ = ["RefinementLog", "RefinementState", "refine_texture"]

_CHECK_PIXELS = 1 << 14
"""Held-out pixels that are looked at."""
_PREVIEW_SECONDS = 0.5
F = TypeVar("F", bound=Field)


@dataclass(frozen=True)
class RefinementLog:
    """What happened in the steps of one call.

    Args:
        losses: loss before each step, on the pixels of that step.
        held_out: (step, mean squared error on the held-out pixels), the first before the first step.
    """

    losses: tuple[float, ...]
    held_out: tuple[tuple[int, float], ...]


def refine_texture(
    field: F,
    mesh: Mesh,
    views: Views,
    config: TextureConfig,
    *,
    steps: int,
    state: RefinementState | None = None,
    seed: int = 0,
    strength: float = 1.0,
    progress: Progress = no_progress,
    on_colors: Callable[[int, Tensor], None] | None = None,
    should_finish: Callable[[], bool] | None = None,
    rasterizer: Rasterizer | None = None,
) -> tuple[F, RefinementState, RefinementLog]:
    """Refine the texture of ``field`` on the surface ``mesh``; shape, density and ``field`` itself stay as they are.

    Args:
        field: what to refine; with a ``state``, the field that was returned together with it.
        mesh: its surface.
        views: the images to follow.
        config: settings, see :data:`gtr_core.stages.texture_config.TEXTURE_CONFIGS`.
        steps: how many to take now.
        state: to go on from; None starts anew.
        seed: of all randomness; with a ``state`` the state's seed is used.
        strength: factor of the learning rates.
        progress: called as ``("texture", step, steps)`` before each step and after the last.
        on_colors: called as (step, (N, 3) vertex colours) at most every half second, and less often when the
            colours take long to compute; not after the last step, as the result holds them.
        should_finish: asked after each step; True ends the refinement there.
        rasterizer: the backend; None chooses it by the mesh's device.

    Returns:
        The refined field, the state to go on from, and the log.
    """
    seed = seed if state is None else state.seed
    samples = sample_surface(mesh, views, config, seed=seed, rasterizer=rasterizer)
    surface = TexturedSurface(field, samples, config)
    learner = TextureLearner(field, surface, config, seed=seed, strength=strength, state=state)
    optimizer = learner.optimizer
    keeper = _Keeper(field, surface, config, seed, state)
    preview = _Preview(surface, on_colors)
    losses = []
    for index in range(steps):
        progress("texture", index, steps)
        losses.append(learner.step())
        finished = index == steps - 1 or (should_finish is not None and should_finish())
        keeper.look(optimizer, force=finished)
        if finished:
            progress("texture", steps, steps)
            break
        preview.show(optimizer.step_count, keeper.best or optimizer.snapshot)
    best_planes, best_mlp = keeper.best or optimizer.snapshot()
    result = RefinementState(optimizer.step_count, seed, keeper.best_step, keeper.best_error, optimizer.tensors())
    return field.with_texture(best_planes, best_mlp), result, RefinementLog(tuple(losses), tuple(keeper.history))


class _Keeper:
    """Watches the held-out pixels and remembers the best texture."""

    def __init__(
        self, field: Field, surface: TexturedSurface, config: TextureConfig, seed: int, state: RefinementState | None
    ) -> None:
        self._surface, self._config = surface, config
        held = surface.samples.held_out.nonzero().squeeze(1)
        if len(held) > _CHECK_PIXELS:
            order = torch.randperm(len(held), generator=torch.Generator().manual_seed(seed))
            held = held[order[:_CHECK_PIXELS].to(held.device)]
        self._target = surface.samples.target[held]
        self._sites = surface.sites(held)
        self.best_step = 0 if state is None else state.best_step
        self.best_error = math.inf
        self.best: tuple[Tensor, nn.Module] | None = None
        self.history: list[tuple[int, float]] = []
        if len(self._target):
            self.best = (field.planes.detach().clone(), field.color_mlp)
            self.best_error = self._error(field.planes, field.color_mlp)
            self.history.append((0 if state is None else state.steps, self.best_error))

    def look(self, optimizer: TextureOptimizer, *, force: bool) -> None:
        """Compare the present texture with the best one, if it is time or ``force`` says so."""
        if not len(self._target):
            self.best_step = optimizer.step_count
            return
        if not force and optimizer.step_count % self._config.check_every:
            return
        error = self._error(optimizer.planes, optimizer.color_mlp)
        self.history.append((optimizer.step_count, error))
        if error < self.best_error:
            self.best, self.best_error, self.best_step = optimizer.snapshot(), error, optimizer.step_count

    def _error(self, planes: Tensor, color_mlp: nn.Module) -> float:
        """Mean squared error of the held-out pixels."""
        with torch.no_grad():
            colors = self._surface.pixel_colors(planes, color_mlp, self._sites).clamp(0, 1)
            return float((colors - self._target).square().mean())


class _Preview:
    """Hands out vertex colours while the refinement runs."""

    def __init__(self, surface: TexturedSurface, on_colors: Callable[[int, Tensor], None] | None) -> None:
        self._surface, self._on_colors = surface, on_colors
        self._next = time.monotonic() + _PREVIEW_SECONDS

    def show(self, step: int, texture: tuple[Tensor, nn.Module] | Callable[[], tuple[Tensor, nn.Module]]) -> None:
        """Call back if it is time, with what the result would be now; half of the time at most goes into previews."""
        if self._on_colors is None or time.monotonic() < self._next:
            return
        start = time.monotonic()
        planes, color_mlp = texture() if callable(texture) else texture
        self._on_colors(step, self._surface.vertex_colors(planes, color_mlp))
        self._next = time.monotonic() + max(_PREVIEW_SECONDS, time.monotonic() - start)
