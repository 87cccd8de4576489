"""Texture refinement as it is written down: every texel, every point, all in each step (paper section 3.3).

Nobody calls this to get a result. It says in few lines what :func:`gtr_core.stages.texture.refine_texture` computes,
and tests and benchmarks hold the fast way against it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gtr_core.stages.texture_config import TextureConfig
from gtr_core.stages.texture_pixels import PixelBatch, TexturedSurface


def texture_loss(
    surface: TexturedSurface, planes: Tensor, color_mlp: nn.Module, batch: PixelBatch, config: TextureConfig
) -> Tensor:
    """The loss of planes (3, C, R, R) and network on the pixels of a batch; differentiable in both."""
    colors = surface.pixel_colors(planes, color_mlp, surface.sites(batch.chosen))
    difference = colors - surface.samples.target[batch.chosen]
    total = difference.abs().sum() if config.loss == "l1" else difference.square().sum()
    return total * batch.scale + batch.constant


def refine_straightforward(
    surface: TexturedSurface,
    planes: Tensor,
    color_mlp: nn.Module,
    draw: Callable[[int], PixelBatch],
    config: TextureConfig,
    steps: int,
) -> tuple[Tensor, nn.Module, list[float]]:
    """AdamW on whole planes (3, C, R, R) and the network, or on the one of them that learns.

    Returns:
        The planes, the network, and the loss before each step.
    """
    planes = planes.detach().clone().requires_grad_(config.learns_planes)
    color_mlp = copy.deepcopy(color_mlp).requires_grad_(config.learns_color_mlp)
    weights = [parameter for parameter in color_mlp.parameters() if parameter.dim() > 1]
    biases = [parameter for parameter in color_mlp.parameters() if parameter.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": config.color_mlp_weight_decay},
            {"params": biases, "weight_decay": 0.0},
            {"params": [planes], "lr": config.planes_lr, "weight_decay": config.planes_weight_decay},
        ],
        betas=config.betas,
        eps=1e-8,
    )
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups[:2]:
            group["lr"] = config.color_mlp_rate(step)
        optimizer.zero_grad()
        loss = texture_loss(surface, planes, color_mlp, draw(step), config)
        torch.autograd.backward(loss)
        if config.max_gradient_norm:
            nn.utils.clip_grad_norm_(color_mlp.parameters(), config.max_gradient_norm)
        optimizer.step()
        losses.append(loss.item())
    return planes.detach(), color_mlp.requires_grad_(False), losses
