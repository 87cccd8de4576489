"""Training of the shape prior of the preset ``fit`` on procedural objects, whose distances are exact anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import relu
from torch.nn.utils import clip_grad_norm_

from gtr_core.fit.shape_prior import ShapePrior
from gtr_core.training.optimizer import AveragedWeights, OptimizerConfig, make_optimizer, set_rate
from gtr_core.training.prior_samples import prior_batches
from gtr_core.training.schedule import Schedule

_TRUNCATION = 0.15
"""Distance beyond which only the sign counts, world units."""
_CLOSE = 0.08
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
    start: ShapePrior | None = None,
    on_step: Callable[[PriorStep, ShapePrior], None] = lambda _step, _prior: None,
    clock: Callable[[], float] = time.monotonic,
) -> ShapePrior:
    """Train until the time is over.

    Args:
        seconds: the budget.
        recipe: how.
        seed: of the weights, the objects and the cameras.
        threads: that make samples beside the training.
        start: whose weights to begin with; None for random ones.
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
    if start is not None:
        prior.load_state_dict(start.state_dict())
    optimizer, average = make_optimizer(prior, recipe.optimizer), AveragedWeights(prior, recipe.optimizer.ema)
    averaged.load_state_dict(average.weights)
    started, step, objects = clock(), 0, 0
    for batch in prior_batches(recipe.batch, seed, threads):
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


def _loss(guess: Tensor, truth: Tensor, hull: Tensor, close_weight: float) -> Tensor:
    """Mean absolute error of the truncated distance, in and around the hull, in twentieths of a world unit."""
    far = truth.abs() >= _TRUNCATION
    error = torch.where(far, relu(_TRUNCATION - truth.sign() * guess), (guess - truth).abs())
    weight = (hull < _MARGIN) * (1 + close_weight * (truth.abs() < _CLOSE))
    return (error * weight).sum() / weight.sum().clamp(min=1) / 0.05
