"""Training of the shape prior of the preset ``fit`` on procedural objects, whose distances are exact anywhere."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor
from torch.nn.functional import relu
from torch.nn.utils import clip_grad_norm_

from gtr_core.data.procedural import ProceduralObjects
from gtr_core.data.procedural_source import pictures_of
from gtr_core.data.training_cameras import sample_generator
from gtr_core.errors import GtrError
from gtr_core.fit.sdf_grid import node_positions
from gtr_core.fit.shape_prior import RESOLUTION, ShapePrior
from gtr_core.fit.visual_hull import HullDistance
from gtr_core.geometry.cameras import DISTANCE, FOV_DEGREES, Cameras, camera_set, orbit
from gtr_core.training.optimizer import AveragedWeights, OptimizerConfig, make_optimizer, set_rate
from gtr_core.training.schedule import Schedule
from gtr_core.views import Views

_IMAGE_SIZE = 128
_RAYS_PER_SIDE = 2
_TRUNCATION = 0.15
"""Distance beyond which only the sign counts, world units."""
_CLOSE = 0.08
_SOLID = (0.3, 0.7)
"""Objects that fill less of their hull than the first are seldom learned from, those that fill the second always: most
things are solid, while procedural objects are cut and hollowed out more often than not."""
_SELDOM = 0.1
_MARGIN = 0.06
"""Nodes farther outside the hull than this do not count: the hull cuts them off anyway."""


@dataclass(frozen=True)
class PriorRecipe:
    """How the prior is trained.

    Args:
        batch: objects in a step.
        schedule: of the learning rate, which reaches 0 at the end of the budget.
        close_weight: how much more nodes close to the true surface count.
        optimizer: AdamW and the average of the weights, which is the result.
    """

    batch: int = 4
    schedule: Schedule = field(
        default_factory=lambda: Schedule(learning_rate=1.2e-3, steps=10_000, warmup_steps=50, clock="seconds")
    )
    close_weight: float = 4.0
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(betas=(0.9, 0.98), weight_decay=0.02, ema=0.998)
    )


@dataclass(frozen=True)
class PriorStep:
    """What happened in a step: its number, objects so far, share of the budget, its loss, and what the hull has."""

    step: int
    objects: int
    share: float
    loss: float
    hull_loss: float


def train_shape_prior(
    seconds: float,
    *,
    recipe: PriorRecipe | None = None,
    seed: int = 0,
    threads: int = 1,
    on_step: Callable[[PriorStep, ShapePrior], None] = lambda _step, _prior: None,
    clock: Callable[[], float] = time.monotonic,
) -> ShapePrior:
    """Train until the time is over.

    Args:
        seconds: the budget.
        recipe: how.
        seed: of the weights, the objects and the cameras.
        threads: that make samples beside the training.
        on_step: is told what happens, with a network that holds the averaged weights; may raise
            :class:`gtr_core.progress.Cancelled`.
        clock: seconds, monotonic.

    Returns:
        The network with averaged weights.
    """
    recipe = recipe or PriorRecipe()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior, averaged = ShapePrior(), ShapePrior().requires_grad_(False)
    optimizer, average = make_optimizer(prior, recipe.optimizer), AveragedWeights(prior, recipe.optimizer.ema)
    averaged.load_state_dict(average.weights)
    started, step, objects = clock(), 0, 0
    for batch in _batches(recipe.batch, seed, threads):
        share = recipe.schedule.share(step, clock() - started, seconds)
        if share >= 1:
            break
        set_rate(optimizer, recipe.schedule.rate(step, share))
        truth = torch.stack([distance for _, distance in batch])
        guess, hull = prior([views for views, _ in batch])
        loss = _loss(guess, truth, hull, recipe.close_weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(prior.parameters(), recipe.optimizer.max_norm)
        optimizer.step()
        average.follow(prior, step)
        averaged.load_state_dict(average.weights)
        step, objects = step + 1, objects + len(batch)
        with torch.no_grad():
            of_hull = _loss(hull, truth, hull, recipe.close_weight)
        on_step(PriorStep(step, objects, share, float(loss.detach()), float(of_hull)), averaged)
    return averaged


def prior_sample(seed: int, index: int) -> tuple[Views, Tensor]:
    """Masked views of an object, and its signed distance (R, R, R) at the nodes of the prior's grid.

    Raises:
        GtrError: ``empty_mask`` when a view shows nothing of it.
    """
    scenes = ProceduralObjects(seed).scenes([index])
    cameras = _cameras(sample_generator(seed, index, 11))
    pictures = pictures_of(scenes, cameras, _RAYS_PER_SIDE)
    nodes = node_positions(torch.arange(RESOLUTION**3), RESOLUTION)
    distance = scenes.distance(nodes[None])[0]
    return Views(pictures.rgba[0], cameras), distance.reshape((RESOLUTION,) * 3)


def _batches(size: int, seed: int, threads: int) -> Iterator[list[tuple[Views, Tensor]]]:
    """Batches without end; objects that a view does not show, or that are not wanted, are left out."""

    def make(index: int) -> tuple[Views, Tensor] | None:
        try:
            sample = prior_sample(seed, index)
        except GtrError:
            return None
        return sample if _is_wanted(*sample, sample_generator(seed, index, 12)) else None

    indices, ready = count(), []
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        ahead = deque(pool.submit(make, next(indices)) for _ in range(2 * size))
        try:
            while True:
                sample = ahead.popleft().result()
                ahead.append(pool.submit(make, next(indices)))
                if sample is not None:
                    ready.append(sample)
                if len(ready) == size:
                    yield ready
                    ready = []
        finally:
            pool.shutdown(cancel_futures=True)


def _is_wanted(views: Views, distance: Tensor, generator: torch.Generator) -> bool:
    nodes = node_positions(torch.arange(distance.numel()), len(distance))
    hull = HullDistance(views)(nodes)
    filled = float((distance < 0).sum()) / max(int((hull < 0).sum()), 1)
    low, high = _SOLID
    return float(torch.rand((), generator=generator)) < max((filled - low) / (high - low), _SELDOM)


def _loss(guess: Tensor, truth: Tensor, hull: Tensor, close_weight: float) -> Tensor:
    """Mean absolute error of the truncated distance, in and around the hull, in twentieths of a world unit."""
    far = truth.abs() >= _TRUNCATION
    error = torch.where(far, relu(_TRUNCATION - truth.sign() * guess), (guess - truth).abs())
    weight = (hull < _MARGIN) * (1 + close_weight * (truth.abs() < _CLOSE))
    return (error * weight).sum() / weight.sum().clamp(min=1) / 0.05


def _cameras(generator: torch.Generator) -> Cameras:
    """As users take their pictures: four sides, the six of a multi-view generator, or 2 to 12 around an object."""

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    kind = uniform(0, 1)
    if kind < 0.25:
        return camera_set("zero123plus", height=_IMAGE_SIZE, width=_IMAGE_SIZE)
    exact = uniform(0, 1) < 0.75
    if kind < 0.7:
        first, elevation = (0.0, 0.0) if exact else (uniform(-45, 45), uniform(-10, 30))
        return _orbit([first + 90 * k for k in range(4)], [elevation] * 4, DISTANCE, FOV_DEGREES)
    number = int(uniform(2, 9)) if uniform(0, 1) < 0.8 else int(uniform(9, 13))
    first, shift = uniform(0, 360), 90 / number
    azimuths = [first + 360 * k / number + uniform(-shift, shift) for k in range(number)]
    fov = FOV_DEGREES if exact else uniform(20, 50)
    distance = DISTANCE * math.tan(math.radians(FOV_DEGREES / 2)) / math.tan(math.radians(fov / 2))
    return _orbit(azimuths, [uniform(-30, 50) for _ in azimuths], max(distance, 2.0), fov)


def _orbit(azimuths: list[float], elevations: list[float], distance: float, fov: float) -> Cameras:
    return orbit(azimuths, elevations, height=_IMAGE_SIZE, width=_IMAGE_SIZE, distance=distance, fov_degrees=fov)
