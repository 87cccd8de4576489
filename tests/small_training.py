"""Trainings of ``gtr-tiny`` on balls that take a fraction of a second per step."""

from __future__ import annotations

from dataclasses import replace

import torch
from ball_source import BallSource

from gtr_core.data.dataset import BatchRequest
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.training.distributed import World
from gtr_core.training.mesh_stage import MeshConfig
from gtr_core.training.nerf_stage import NerfConfig
from gtr_core.training.optimizer import OptimizerConfig
from gtr_core.training.perceptual import Perceptual, PerceptualWeights
from gtr_core.training.point_supervision import PointWeights
from gtr_core.training.ray_rendering import Sampling
from gtr_core.training.recipe import Phase, Recipe
from gtr_core.training.schedule import Schedule
from gtr_core.training.stage import FieldConfig
from gtr_core.training.trainer import Trainer

ALONE = World(0, 1, torch.device("cpu"))
FIELD = FieldConfig(points=PointWeights(distance=1.0, color=1.0))
PERCEPTUAL = PerceptualWeights(ssim=0.1, gradient=0.1)


def nerf_recipe(*, steps: int = 20, batch: int = 4, parts: int = 1, rate: float = 1e-3) -> Recipe:
    """Points first, then rays too."""
    counts = BatchRequest(2, 16, 0, 16, near_points=32, uniform_points=32, surface_points=32, lifted_points=8)
    loss = NerfConfig(
        Sampling(6, near_surface=4),
        perceptual=PERCEPTUAL,
        mask=0.5,
        depth=0.1,
        opacity=0.1,
        opacity_points=16,
        field_config=FIELD,
    )
    rays = replace(counts, target_views=1, patch=12)
    phases = (Phase(0.4, loss, counts, batch), Phase(1.0, loss, rays, batch))
    return Recipe(phases, Schedule(rate, steps, warmup_steps=2), OptimizerConfig(ema=0.9), parts=parts)


def mesh_recipe(*, steps: int = 10, batch: int = 2, normal: float = 0.1) -> Recipe:
    """Through the surface."""
    request = BatchRequest(2, 16, 2, 24, near_points=32, uniform_points=32, surface_points=32)
    loss = MeshConfig(12, perceptual=PERCEPTUAL, opacity_points=32, normal=normal, field_config=FIELD)
    return Recipe((Phase(1.0, loss, request, batch),), Schedule(1e-4, steps), OptimizerConfig(ema=0.9))


def small_trainer(
    recipe: Recipe | None = None,
    *,
    source: BallSource | None = None,
    world: World = ALONE,
    threads: int = 0,
    model: GTR | None = None,
) -> Trainer:
    """A fresh run from the same random weights."""
    model = model or GTR(CONFIGS["gtr-tiny"], generator=torch.Generator().manual_seed(0))
    return Trainer(
        model,
        recipe or nerf_recipe(),
        source or BallSource(),
        lambda phase: Perceptual(phase.loss.perceptual, None),
        world,
        seed=5,
        threads=threads,
    )
