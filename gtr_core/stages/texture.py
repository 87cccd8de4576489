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
from gtr_core.fields.triplane import sample_planes
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rasterize import Rasterizer
from gtr_core.progress import Progress, no_progress
from gtr_core.stages.surface_samples import SurfaceSamples, sample_surface
from gtr_core.stages.texture_config import TextureConfig
from gtr_core.stages.texture_state import RefinementState, TextureOptimizer
from gtr_core.views import Views

__all__ = ["RefinementLog", "RefinementState", "refine_texture"]

_PIXELS_AT_ONCE = 1 << 14
"""Pixels whose gradient is computed in one go; bounds the memory."""
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
    optimizer = TextureOptimizer(field.planes, field.color_mlp, config, strength=strength, state=state)
    keeper = _Keeper(field, samples, config, seed, state)
    pixels = _PixelSource(field, samples, config, seed)
    preview = _Preview(field, mesh, on_colors)
    losses = []
    for index in range(steps):
        progress("texture", index, steps)
        losses.append(_gradient_step(field, optimizer, pixels.draw(optimizer.step_count), config))
        finished = index == steps - 1 or (should_finish is not None and should_finish())
        keeper.look(optimizer, force=finished)
        if finished:
            progress("texture", steps, steps)
            break
        preview.show(optimizer)
    best_planes, best_mlp = keeper.best or optimizer.snapshot()
    result = RefinementState(optimizer.step_count, seed, keeper.best_step, keeper.best_error, optimizer.tensors())
    return field.with_texture(best_planes, best_mlp), result, RefinementLog(tuple(losses), tuple(keeper.history))


@dataclass(frozen=True)
class _Batch:
    """Pixels of one step: (P, S, 3) points, (P, S) hits, (P, 3) targets, (P, S, 3) base colours or None.

    ``count`` pixels are what the loss is a mean over; ``constant`` is what the pixels without surface add to the sum.
    """

    points: Tensor
    hit: Tensor
    target: Tensor
    base: Tensor | None
    count: int
    constant: float

    def split(self, size: int) -> list[_Batch]:
        parts = range(0, len(self.points), size)
        base = self.base
        return [
            _Batch(
                self.points[k : k + size], self.hit[k : k + size], self.target[k : k + size],
                None if base is None else base[k : k + size], self.count, 0.0,
            )
            for k in parts
        ]  # fmt: skip


class _PixelSource:
    """Chooses the pixels of each step; the choice depends on the seed and the step alone, so it can be continued."""

    def __init__(self, field: Field, samples: SurfaceSamples, config: TextureConfig, seed: int) -> None:
        self._field, self._samples, self._config, self._seed = field, samples, config, seed
        self._learned = (~samples.held_out).nonzero().squeeze(1)
        self._pool: _Batch | None = None
        self._pool_index = -1

    def draw(self, step: int) -> _Batch:
        """The pixels of step ``step``, counted from 0."""
        limited = bool(self._config.pool_pixels)
        index = step // self._config.pool_steps if limited else 0
        if self._pool is None or index != self._pool_index:
            self._pool, self._pool_index = self._make_pool(index), index
        pool, count = self._pool, self._config.pixels_per_step
        if count == 0 or count >= len(pool.points):
            return pool
        chosen = torch.randint(len(pool.points), (count,), generator=self._generator(2 * step + 1))
        return _take(pool, chosen.to(pool.points.device), count)

    def _make_pool(self, index: int) -> _Batch:
        chosen = self._learned
        if self._config.pool_pixels and len(chosen) > self._config.pool_pixels:
            order = torch.randperm(len(chosen), generator=self._generator(2 * index))
            chosen = chosen[order[: self._config.pool_pixels].to(chosen.device)]
        whole = not self._config.pixels_per_step and not self._config.inner_pixels_only
        count = self._samples.num_pixels if whole else len(chosen)
        constant = self._samples.missed(self._config.loss) if whole else 0.0
        return _batch(self._field, self._samples, chosen, count, constant)

    def _generator(self, stream: int) -> torch.Generator:
        return torch.Generator().manual_seed((self._seed * 1_000_003 + stream) % (1 << 62))


class _Keeper:
    """Watches the held-out pixels and remembers the best texture."""

    def __init__(
        self, field: Field, samples: SurfaceSamples, config: TextureConfig, seed: int, state: RefinementState | None
    ) -> None:
        self._field, self._config = field, config
        held = samples.held_out.nonzero().squeeze(1)
        if len(held) > _CHECK_PIXELS:
            order = torch.randperm(len(held), generator=torch.Generator().manual_seed(seed))
            held = held[order[:_CHECK_PIXELS].to(held.device)]
        self._pixels = _batch(field, samples, held, len(held), 0.0) if len(held) else None
        self.best_step = 0 if state is None else state.best_step
        self.best_error = math.inf
        self.best: tuple[Tensor, nn.Module] | None = None
        self.history: list[tuple[int, float]] = []
        if self._pixels is not None:
            self.best = (field.planes.detach().clone(), field.color_mlp)
            self.best_error = self._error(field.planes, field.color_mlp)
            self.history.append((0 if state is None else state.steps, self.best_error))

    def look(self, optimizer: TextureOptimizer, *, force: bool) -> None:
        """Compare the present texture with the best one, if it is time or ``force`` says so."""
        if self._pixels is None:
            self.best_step = optimizer.step_count
            return
        if not force and optimizer.step_count % self._config.check_every:
            return
        error = self._error(optimizer.planes, optimizer.color_mlp)
        self.history.append((optimizer.step_count, error))
        if error < self.best_error:
            self.best, self.best_error, self.best_step = optimizer.snapshot(), error, optimizer.step_count

    def _error(self, planes: Tensor, color_mlp: nn.Module) -> float:
        assert self._pixels is not None
        with torch.no_grad():
            colors = _pixel_colors(self._field, planes, color_mlp, self._pixels, self._config.background).clamp(0, 1)
            return float((colors - self._pixels.target).square().mean())


class _Preview:
    """Hands out vertex colours while the refinement runs."""

    def __init__(self, field: Field, mesh: Mesh, on_colors: Callable[[int, Tensor], None] | None) -> None:
        self._field, self._mesh, self._on_colors = field, mesh, on_colors
        self._base: Tensor | None = None
        self._base_known = False
        self._next = time.monotonic() + _PREVIEW_SECONDS

    def show(self, optimizer: TextureOptimizer) -> None:
        """Call back if it is time; half of the time at most goes into previews."""
        if self._on_colors is None or time.monotonic() < self._next:
            return
        start = time.monotonic()
        vertices = self._mesh.vertices
        with torch.no_grad():
            if not self._base_known:
                self._base, self._base_known = self._field.base_color(vertices), True
            parts = []
            for part in torch.split(torch.arange(len(vertices), device=vertices.device), _PIXELS_AT_ONCE):
                raw = optimizer.color_mlp(sample_planes(optimizer.planes, vertices[part]))
                parts.append(self._field.shade(raw, None if self._base is None else self._base[part]))
        self._on_colors(optimizer.step_count, torch.cat(parts).clamp(0, 1))
        self._next = time.monotonic() + max(_PREVIEW_SECONDS, time.monotonic() - start)


def _batch(field: Field, samples: SurfaceSamples, chosen: Tensor, count: int, constant: float) -> _Batch:
    points, hit = samples.points[chosen], samples.hit[chosen]
    with torch.no_grad():
        known = field.base_color(points[hit])
    base = None
    if known is not None:
        base = torch.zeros_like(points)
        base[hit] = known
    return _Batch(points, hit, samples.target[chosen], base, count, constant)


def _take(batch: _Batch, chosen: Tensor, count: int) -> _Batch:
    base = None if batch.base is None else batch.base[chosen]
    return _Batch(batch.points[chosen], batch.hit[chosen], batch.target[chosen], base, count, 0.0)


def _gradient_step(field: Field, optimizer: TextureOptimizer, batch: _Batch, config: TextureConfig) -> float:
    """One step of AdamW; returns the loss before it."""
    scale = 1 / (batch.count * 3)
    total = batch.constant * scale
    for part in batch.split(_PIXELS_AT_ONCE):
        colors = _pixel_colors(field, optimizer.planes, optimizer.color_mlp, part, config.background)
        difference = colors - part.target
        loss = (difference.abs().sum() if config.loss == "l1" else difference.square().sum()) * scale
        torch.autograd.backward(loss)
        total += loss.item()
    optimizer.step()
    return total


def _pixel_colors(field: Field, planes: Tensor, color_mlp: nn.Module, batch: _Batch, background: float) -> Tensor:
    """(P, 3) colours: the mean over each pixel's samples, background where a sample hits nothing; not clamped."""
    base = None if batch.base is None else batch.base[batch.hit]
    shaded = field.shade(color_mlp(sample_planes(planes, batch.points[batch.hit])), base)
    if batch.hit.shape[1] == 1 and bool(batch.hit.all()):
        return shaded
    colors = torch.full_like(batch.points, background)
    return colors.index_put((batch.hit,), shaded).mean(1)
