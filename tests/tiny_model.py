"""Weights of the preset ``gtr-tiny`` for tests: seconds of training make it answer a ball to any pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import mse_loss

from gtr_core.fields.triplane import sample_planes
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.model.weights import save_model

RADIUS = 0.6
STEPS, POINTS = 250, 2048
_SLOPE = 10.0
"""Fall of the density per unit of length, at the surface."""
DESCRIPTION = {"preset": "gtr-tiny", "licence": "Apache-2.0", "source": "made by the tests"}


def trained() -> GTR:
    """A network that gives nearly the ball of :data:`RADIUS`, orange above and blue below, whatever it sees."""
    generator = torch.Generator().manual_seed(0)
    config = CONFIGS["gtr-tiny"]
    model = GTR(config, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(STEPS):
        pictures = torch.rand(1, 2 + step % 5, 10, config.image_size, config.image_size, generator=generator)
        planes = model.planes_from(pictures)[0]
        points = torch.rand(POINTS, 3, generator=generator) * 2 - 1
        features = sample_planes(planes, points)
        above_level = _SLOPE * (RADIUS - points.norm(dim=1, keepdim=True))
        above = torch.sigmoid(8 * points[:, 1:2])
        color = above * torch.tensor([0.8, 0.4, 0.2]) + (1 - above) * torch.tensor([0.2, 0.3, 0.8])
        raw = model.density_mlp(features) - config.density_head.raw_at(10.0)
        loss = mse_loss(raw * config.density_head.scale, above_level)
        loss = loss + 20 * mse_loss(torch.sigmoid(model.color_mlp(features)), color)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / STEPS)
    return model.eval().requires_grad_(False)


def write_tiny_weights(path: Path) -> Path:
    """Train it and write it as a file of weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(trained(), path, description=DESCRIPTION)
    return path
