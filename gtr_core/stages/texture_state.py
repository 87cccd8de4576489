"""What texture refinement has to remember to go on later."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

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


class TextureOptimizer:
    """Copies of the planes and the colour network, with AdamW on both.

    Args:
        planes: (3, C, R, R); copied.
        color_mlp: copied.
        config: learning rates and decays.
        strength: factor of the learning rates.
        state: to go on from.
    """

    def __init__(
        self,
        planes: Tensor,
        color_mlp: nn.Module,
        config: TextureConfig,
        *,
        strength: float = 1.0,
        state: RefinementState | None = None,
    ) -> None:
        self.planes = planes.detach().clone().requires_grad_()
        self.color_mlp = copy.deepcopy(color_mlp).requires_grad_()
        self.config, self.strength = config, strength
        self.step_count = 0
        named = dict(self.color_mlp.named_parameters())
        self._named: dict[str, Tensor] = {"planes": self.planes} | {f"color_mlp.{k}": p for k, p in named.items()}
        groups = [
            {"params": [self.planes], "lr": config.planes_lr * strength, "weight_decay": config.planes_weight_decay},
            {"params": [p for p in named.values() if p.dim() > 1], "weight_decay": config.color_mlp_weight_decay},
            {"params": [p for p in named.values() if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, lr=0.0, betas=config.betas, eps=1e-8)
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

    def snapshot(self) -> tuple[Tensor, nn.Module]:
        """Copies of the texture as it stands, without gradients."""
        return self.planes.detach().clone(), copy.deepcopy(self.color_mlp).requires_grad_(False)

    def tensors(self) -> dict[str, Tensor]:
        """Everything :class:`RefinementState` has to remember."""
        result = {}
        for name, parameter in self._named.items():
            result[name] = parameter.detach().clone()
            moments = self._adam.state.get(parameter, {})
            result.update({f"{name}.{key}": moments[key].clone() for key in _MOMENTS if key in moments})
        return result

    def _restore(self, state: RefinementState) -> None:
        self.step_count = state.steps
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(state.tensors[name])
                if f"{name}.exp_avg" not in state.tensors:
                    continue
                moments = {key: state.tensors[f"{name}.{key}"].to(parameter.device).clone() for key in _MOMENTS}
                # AdamW keeps its step count as a float32 tensor on the CPU
                self._adam.state[parameter] = {"step": torch.tensor(float(state.steps)), **moments}
