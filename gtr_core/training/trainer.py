"""One run of training, step by step: the network, its average, the optimiser, the place in the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from gtr_core.data.dataset import Batch, TrainingSource
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.gtr import GTR
from gtr_core.training.data_feed import DataFeed, Key
from gtr_core.training.distributed import World, share_of
from gtr_core.training.objective import Objective
from gtr_core.training.optimizer import AveragedWeights, GradientGuard, Verdict, make_optimizer, set_rate
from gtr_core.training.perceptual import Perceptual
from gtr_core.training.recipe import Phase, Recipe

MOST_REFUSALS = 10
"""Gradients in a row that are not finite before the run is given up."""


class TrainingDiverged(GtrError):  # noqa: N818 - it is an event, and a GtrError
    """The loss is no number any more; the run cannot go on."""


@dataclass(frozen=True)
class StepRecord:
    """What happened in a step.

    Args:
        step: its number, from 1.
        samples: of all steps so far, over all processes.
        rate: learning rate.
        norm: of the gradient before clipping.
        verdict: whether the step was taken.
        loss: before it, on this process's samples.
        terms: of the loss without their weights, on this process's samples.
    """

    step: int
    samples: int
    rate: float
    norm: float
    verdict: Verdict
    loss: float
    terms: dict[str, float]


class Trainer:
    """The state of a run and how it advances.

    Args:
        model: to train, on the device of the world; its weights are changed.
        recipe: what to do.
        source: where the data comes from.
        perceptual: makes the perceptual term of a phase.
        world: the processes.
        seed: of all randomness.
        budget: seconds that the whole run may take; None does all steps.
        threads: that make data beside the training.
    """

    def __init__(
        self,
        model: GTR,
        recipe: Recipe,
        source: TrainingSource,
        perceptual: Callable[[Phase], Perceptual],
        world: World,
        *,
        seed: int = 0,
        budget: float | None = None,
        threads: int = 0,
    ) -> None:
        self.model, self.world, self.seed, self.budget = model.train(), world, seed, budget
        self.recipe = recipe.for_source(has_points=source.has_points)
        self.model.transformer.recompute = recipe.recompute
        objective = Objective(model, self.recipe, perceptual, seed).to(world.device)
        self._objective = world.wrap(objective, model.transformer.blocks)
        self.optimizer = make_optimizer(model, recipe.optimizer)
        self.guard = GradientGuard(recipe.optimizer)
        self.average = AveragedWeights(model, recipe.optimizer.ema)
        self.feed = DataFeed(source, seed, threads=threads)
        self.step, self.samples, self.seconds, self.refused = 0, 0, 0.0, 0

    @property
    def share(self) -> float:
        """Share of the run that is over, in [0, 1]."""
        return self.recipe.schedule.share(self.step, self.seconds, self.budget)

    @property
    def is_over(self) -> bool:
        """Whether the run has come to its end."""
        return self.recipe.schedule.is_over(self.step, self.seconds, self.budget)

    def advance(self) -> StepRecord:
        """Take one step.

        Raises:
            TrainingDiverged: when the loss is not finite, or when the gradient was not in too many steps in a row;
                the weights are then those from before the step.
        """
        share = self.share
        phase = self.recipe.phase(share)
        self.optimizer.zero_grad(set_to_none=True)
        loss, terms = self._accumulate(phase, share)
        if not math.isfinite(loss):
            raise TrainingDiverged(
                ErrorCode.BAD_INPUT,
                f"The loss of step {self.step + 1} is not a finite number.",
                "Go on from an earlier checkpoint with a lower learning rate.",
            )
        rate = self.recipe.schedule.rate(self.step, share)
        verdict, norm = self.guard.judge(self.model.parameters())
        self._take(verdict, rate)
        self.step += 1
        self.samples += phase.batch
        return StepRecord(self.step, self.samples, rate, norm, verdict, loss, terms)

    def _take(self, verdict: Verdict, rate: float) -> None:
        self.refused = self.refused + 1 if verdict == "not finite" else 0
        if self.refused >= MOST_REFUSALS:
            raise TrainingDiverged(
                ErrorCode.BAD_INPUT,
                f"The gradient was not finite in {self.refused} steps in a row.",
                "Go on from an earlier checkpoint with a lower learning rate.",
            )
        if verdict == "good":
            set_rate(self.optimizer, rate)
            self.optimizer.step()
            self.average.follow(self.model, self.step)

    def _accumulate(self, phase: Phase, share: float) -> tuple[float, dict[str, float]]:
        """Gradients of all parts of the step; the mean loss over all processes, and the mean terms of this one."""
        parts, objective = self.recipe.parts, self._objective
        total = torch.zeros((), device=self.world.device)
        sums: dict[str, Tensor] = {}
        for part in range(parts):
            batch = self._batch(phase, part)
            last = part == parts - 1
            with objective.no_sync() if isinstance(objective, DistributedDataParallel) and not last else nullcontext():
                loss, terms = objective(batch, share)
                (loss / parts).backward()
            total += loss.detach() / parts
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value / parts
        values = torch.stack([self.world.mean(total), *sums.values()]).tolist()  # one wait for the device, not many
        return values[0], dict(zip(sums, values[1:], strict=True))

    def _batch(self, phase: Phase, part: int) -> Batch:
        def key(later: int) -> Key:
            steps, at = divmod(part + later, self.recipe.parts)
            first = self.samples + steps * phase.batch
            return share_of(first, phase.batch, at, self.recipe.parts, self.world), phase.request

        return self.feed.get(key(0), key).to(self.world.device)

    def state(self) -> dict[str, Any]:
        """All that :meth:`restore` needs. All processes call it; where weights are sharded only the first has them."""
        state = {
            "config": self.model.config.to_json(),
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": self.average.weights,
            "optimizer": self.optimizer.state_dict(),
            "norms": self.guard.state(),
        }
        return self.world.whole(state)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state, with as many processes as before or with others, whether weights are sharded or not."""
        self.model.load_state_dict(self._parts(state["model"], self.model.state_dict()))
        self.average.restore(self._parts(state["average"], self.average.weights))
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        moments = {
            index: self._parts(values, dict.fromkeys(values, parameters[index]))
            for index, values in state["optimizer"]["state"].items()
        }
        self.optimizer.load_state_dict({**state["optimizer"], "state": moments})
        self.guard.restore(state["norms"])
        self.step, self.samples, self.seconds = state["step"], state["samples"], state["seconds"]

    def _parts(self, whole: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.world.part(value, like[name]) for name, value in whole.items()}

    def averaged_model(self) -> GTR | None:
        """A network with the averaged weights and with the density as sharp as it is now, in evaluation mode.

        All processes call it; only the first gets one.
        """
        weights = self.world.whole(self.average.weights)
        if not self.world.is_first:
            return None
        sharpness = self.recipe.phase(self.share).loss.field_config
        head = sharpness.head(self.model.config.density_head, self.share)
        model = GTR(replace(self.model.config, density_head=head)).to(self.world.device)
        model.load_state_dict(dict(self.model.named_buffers()), strict=False)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[name])
        return model.eval().requires_grad_(False)
