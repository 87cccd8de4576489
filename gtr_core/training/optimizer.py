"""AdamW as it is used for transformers, and the guard against exploding gradients."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW

Verdict = Literal["good", "exploding", "not finite"]


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings of AdamW and of its guard.

    Args:
        betas: of AdamW.
        weight_decay: of matrices and kernels, never of norms and biases (paper section 4.1: 0.05).
        max_norm: the gradient is scaled down to this norm.
        explosion: a step whose gradient's norm exceeds this many times the median of the last ones is left out.
        window: how many last norms the median is of.
        ema: how much of the averaged weights stays in a step, at most.
    """

    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    max_norm: float = 1.0
    explosion: float = 5.0
    window: int = 100
    ema: float = 0.9995


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW with two groups: with weight decay, and norms and biases without. The learning rate is set per step."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = all(parameter.is_cuda for parameter in trained)
    return AdamW([group for group in groups if group["params"]], lr=0.0, betas=config.betas, fused=fused)


def set_rate(optimizer: AdamW, rate: float) -> None:
    """Give all groups a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class GradientGuard:
    """Clips gradients and tells which steps to leave out.

    All norms enter the median, those of steps that were left out too: if the gradients have grown for good, the guard
    gets used to them instead of stopping the run for ever.

    Args:
        config: clipping and explosion.
    """

    _ENOUGH = 20
    """Norms that must be known before one can be called exploding."""

    def __init__(self, config: OptimizerConfig) -> None:
        self._config = config
        self._norms: deque[float] = deque(maxlen=config.window)

    def judge(self, parameters: Iterable[nn.Parameter]) -> tuple[Verdict, float]:
        """Clip the gradients in place; whether to take the step, and the norm before clipping."""
        norm = _number(nn.utils.clip_grad_norm_(list(parameters), self._config.max_norm))
        if not math.isfinite(norm):
            return "not finite", norm
        known = self._norms
        exploding = len(known) >= self._ENOUGH and norm > self._config.explosion * median(known)
        known.append(norm)
        return ("exploding" if exploding else "good"), norm

    def state(self) -> list[float]:
        """The norms it remembers."""
        return list(self._norms)

    def restore(self, state: list[float]) -> None:
        """Remember these norms."""
        self._norms.clear()
        self._norms.extend(state)


def _number(norm: Tensor) -> float:
    """The norm over all processes, also of gradients of which each holds a part."""
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


class AveragedWeights:
    """Exponential moving average of a network's weights: what is evaluated and given away.

    Args:
        model: whose weights are averaged.
        limit: of the decay, which is (1 + t) / (10 + t) in step t as long as that is smaller.
    """

    def __init__(self, model: nn.Module, limit: float) -> None:
        self._limit = limit
        self.weights: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in model.named_parameters()
        }

    def follow(self, model: nn.Module, step: int) -> None:
        """Move towards the present weights."""
        decay = min(self._limit, (1 + step) / (10 + step))
        present = [parameter.detach() for parameter in model.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), present, 1 - decay)

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Take these for the average; they are divided among processes as the network's are."""
        for name, value in self.weights.items():
            value.copy_(weights[name])
