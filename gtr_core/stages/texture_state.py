"""What texture refinement changes, and what it has to remember to go on later."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gtr_core.stages.texel_rows import ActiveTexels
from gtr_core.stages.texture_config import TextureConfig

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class RefinementState:
    """A refined texture on its way; plain numbers and tensors, so it can be stored as it is.

    Args:
        steps: taken so far.
        seed: of the held-out blocks and of the random pixels; a continuation keeps it.
        best_step: after which the returned texture was reached.
        best_error: mean squared error on the held-out pixels there; ``inf`` when nothing is held out.
        tensors: ``planes`` and ``color_mlp.*`` as they stand after the last step, which need not be the best, and
            their ``*.exp_avg`` and ``*.exp_avg_sq``, the moments of AdamW.
    """

    steps: int
    seed: int
    best_step: int
    best_error: float
    tensors: Mapping[str, Tensor] = field(repr=False)

    def moving_texels(self) -> Tensor | None:
        """(3 R R,) texels whose moments are not zero: AdamW moves them on even where nothing is seen any more."""
        moments = [self.tensors[f"planes.{key}"] for key in _MOMENTS if f"planes.{key}" in self.tensors]
        return torch.stack([(moment != 0).any(1).flatten() for moment in moments]).any(0) if moments else None


class TextureOptimizer:
    """Copies of the active texels and the colour network, with AdamW on both.

    A texel that no pixel touches has no gradient and no moments, so all that AdamW does to it is weight decay: after
    n steps it is ``(1 - rate * decay)^n`` of what it was. That needs no work in each step.

    Whichever of the two does not learn is carried along unchanged.

    Args:
        planes: (3, C, R, R); copied.
        color_mlp: copied.
        config: learning rates and decays, and what learns at all.
        active: the texels that pixels touch, or that still move from earlier steps.
        strength: factor of the learning rates.
        state: to go on from.
    """

    def __init__(
        self,
        planes: Tensor,
        color_mlp: nn.Module,
        config: TextureConfig,
        active: ActiveTexels,
        *,
        strength: float = 1.0,
        state: RefinementState | None = None,
    ) -> None:
        self._start = planes.detach() if state is None else state.tensors["planes"].to(planes.device)
        self.active = active
        self.texels = active.gather(self._start).requires_grad_(config.learns_planes)
        self.color_mlp = copy.deepcopy(color_mlp).requires_grad_(config.learns_color_mlp)
        self.config, self.strength = config, strength
        self.step_count = self._first_step = 0 if state is None else state.steps
        named = dict(self.color_mlp.named_parameters())
        self._named: dict[str, Tensor] = {f"color_mlp.{name}": parameter for name, parameter in named.items()}
        self._fade = 1 - config.planes_lr * strength * config.planes_weight_decay if config.learns_planes else 1.0
        # What does not learn never gets a gradient, and AdamW leaves it alone then, decay included.
        groups = [
            {"params": [self.texels], "lr": config.planes_lr * strength, "weight_decay": config.planes_weight_decay},
            {"params": [p for p in named.values() if p.dim() > 1], "weight_decay": config.color_mlp_weight_decay},
            {"params": [p for p in named.values() if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, lr=0.0, betas=config.betas, eps=1e-8, fused=True)
        if state is not None:
            self._restore(state)

    def step(self) -> None:
        """Apply the gradients that are there, and clear them."""
        rate = self.config.color_mlp_rate(self.step_count) * self.strength
        for group in self._adam.param_groups[1:]:
            group["lr"] = rate
        if self.config.max_gradient_norm:
            nn.utils.clip_grad_norm_(self.color_mlp.parameters(), self.config.max_gradient_norm)
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self.step_count += 1

    @property
    def planes(self) -> Tensor:
        """(3, C, R, R) as they stand, a copy without gradient."""
        untouched = self._start * self._fade ** (self.step_count - self._first_step)
        return self.active.scatter(self.texels.detach(), untouched)

    def snapshot(self) -> tuple[Tensor, nn.Module]:
        """Copies of the texture as it stands, without gradients."""
        return self.planes, copy.deepcopy(self.color_mlp).requires_grad_(False)

    def tensors(self) -> dict[str, Tensor]:
        """Everything :class:`RefinementState` has to remember."""
        result = {"planes": self.planes}
        zero = torch.zeros_like(self._start)
        for key, moment in self._moments(self.texels).items():
            result[f"planes.{key}"] = self.active.scatter(moment, zero)
        for name, parameter in self._named.items():
            result[name] = parameter.detach().clone()
            result.update({f"{name}.{key}": moment.clone() for key, moment in self._moments(parameter).items()})
        return result

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        known = self._adam.state.get(parameter, {})
        return {key: known[key] for key in _MOMENTS if key in known}

    def _restore(self, state: RefinementState) -> None:
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(state.tensors[name])
        for name, parameter in {"planes": self.texels, **self._named}.items():
            if f"{name}.exp_avg" not in state.tensors:
                continue
            moments = {key: state.tensors[f"{name}.{key}"].to(parameter.device) for key in _MOMENTS}
            if name == "planes":
                moments = {key: self.active.gather(value) for key, value in moments.items()}
            # AdamW keeps its step count as a float32 tensor
            steps = torch.tensor(float(state.steps), device=parameter.device)
            self._adam.state[parameter] = {"step": steps, **{key: value.clone() for key, value in moments.items()}}
