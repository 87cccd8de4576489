"""The recipes by preset and stage.

``gtr-paper`` follows the paper's sections 3.2 and 4.1, ``gtr-release`` the same with the loss weights of the released
configuration. Neither tells of a warm-up; LRM, which both build on, has 3000 steps of it. ``gtr-mini`` is for one GPU
and minutes, ``gtr-smoke`` the same for two CPU cores and hours, ``gtr-tiny`` for tests and as a proof in
minutes that training learns.
"""

from __future__ import annotations

from dataclasses import replace

from gtr_core.data.dataset import BatchRequest
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.training.mesh_stage import MeshConfig
from gtr_core.training.nerf_stage import NerfConfig
from gtr_core.training.optimizer import OptimizerConfig
from gtr_core.training.perceptual import PerceptualWeights
from gtr_core.training.point_supervision import PointWeights
from gtr_core.training.ray_rendering import Sampling
from gtr_core.training.recipe import Phase, Recipe, StageName
from gtr_core.training.schedule import Schedule
from gtr_core.training.stage import FieldConfig

_EXACT = FieldConfig(bfloat16=True)

_PAPER_NERF = Recipe(
    phases=(
        Phase(
            until=1.0,
            loss=NerfConfig(field_config=_EXACT),
            request=BatchRequest(input_views=4, input_size=512, target_views=4, target_size=512, patch=128),
            batch=512,
        ),
    ),
    schedule=Schedule(learning_rate=1e-4, steps=150_000, warmup_steps=3000),
    recompute=True,
)
_PAPER_MESH = Recipe(
    phases=(
        Phase(
            until=1.0,
            loss=MeshConfig(field_config=_EXACT),
            request=BatchRequest(input_views=4, input_size=512, target_views=8, target_size=512),
            batch=192,
        ),
    ),
    # The paper names no number of steps for this stage.
    schedule=Schedule(learning_rate=5e-5, steps=20_000, warmup_steps=500),
    recompute=True,
)
_RELEASE_MESH = replace(
    _PAPER_MESH,
    phases=(replace(_PAPER_MESH.phases[0], loss=MeshConfig(depth=0.2, field_config=_EXACT)),),
)


_MINI_POINTS = PointWeights(distance=1.0, color=1.0)
_MINI_FIELD = FieldConfig(points=_MINI_POINTS, sharpness=(1.0, 3.0), bfloat16=True)
_MINI_LOSS = NerfConfig(
    sampling=Sampling(stratified=8, near_surface=16),
    mask=1.0,
    depth=0.5,
    opacity=0.5,
    perceptual=PerceptualWeights(),
    field_config=_MINI_FIELD,
)
_MINI_COUNTS = BatchRequest(
    input_size=128, target_views=0, near_points=2048, uniform_points=1024, surface_points=1024, lifted_points=512
)
_MINI_RAYS = Phase(
    until=0.485,
    loss=replace(_MINI_LOSS, sampling=Sampling(stratified=48, near_surface=16)),
    request=BatchRequest(input_size=128, target_views=4, target_size=128, patch=48),
    batch=64,
)
_MINI_NERF = Recipe(
    phases=(
        Phase(until=0.485, loss=_MINI_LOSS, request=_MINI_COUNTS, batch=96, without_points=_MINI_RAYS),
        Phase(
            until=1.0,
            loss=_MINI_LOSS,
            request=replace(_MINI_COUNTS, input_size=256, target_views=2, target_size=256, patch=32),
            batch=64,
            without_points=replace(
                _MINI_RAYS,
                until=1.0,
                request=BatchRequest(input_size=256, target_views=2, target_size=256, patch=64),
            ),
        ),
    ),
    schedule=Schedule(learning_rate=1e-3, steps=20_000, warmup_steps=300, clock="seconds"),
)
_MINI_MESH_LOSS = MeshConfig(
    grid_resolution=112,
    field_config=FieldConfig(points=PointWeights(distance=0.3, color=0.3, truncation=(0.05, 0.05)), bfloat16=True),
)
_MINI_MESH = Recipe(
    phases=(
        Phase(
            until=1.0,
            loss=_MINI_MESH_LOSS,
            request=replace(_MINI_COUNTS, input_size=256, target_views=2, target_size=256),
            batch=20,
        ),
    ),
    schedule=Schedule(learning_rate=5e-5, steps=5000, warmup_steps=50, clock="seconds"),
)

_SMOKE_COUNTS = replace(_MINI_COUNTS, near_points=1024, uniform_points=512, surface_points=512, lifted_points=256)
_SMOKE_RAYS = replace(
    _MINI_RAYS,
    until=1.0,
    request=BatchRequest(input_size=128, target_views=2, target_size=128, patch=32),
    batch=8,
)
_SMOKE_NERF = Recipe(
    phases=(
        Phase(until=0.6, loss=_MINI_LOSS, request=_SMOKE_COUNTS, batch=8, without_points=_SMOKE_RAYS),
        Phase(
            until=1.0,
            loss=_MINI_LOSS,
            request=replace(_SMOKE_COUNTS, target_views=2, target_size=128, patch=24),
            batch=8,
            without_points=_SMOKE_RAYS,
        ),
    ),
    schedule=Schedule(learning_rate=8e-4, steps=4000, warmup_steps=150, clock="seconds"),
)
_SMOKE_MESH = Recipe(
    phases=(
        Phase(
            until=1.0,
            loss=replace(_MINI_MESH_LOSS, grid_resolution=64, opacity_points=1024),
            request=replace(_SMOKE_COUNTS, target_views=2, target_size=128),
            batch=4,
        ),
    ),
    schedule=Schedule(learning_rate=5e-5, steps=500, warmup_steps=20, clock="seconds"),
)

_TINY_OPTIMIZER = OptimizerConfig(ema=0.99)
_TINY_LOSS = NerfConfig(
    sampling=Sampling(stratified=12, near_surface=8),
    perceptual=PerceptualWeights(ssim=0.02, gradient=0.0),
    rgb=4.0,
    mask=1.0,
    field_config=FieldConfig(points=PointWeights(distance=1.0, color=4.0), sharpness=(1.0, 3.0)),
)
_TINY_COUNTS = BatchRequest(
    input_size=32, target_views=0, near_points=768, uniform_points=256, surface_points=512, lifted_points=256
)
_TINY_RAYS = Phase(
    until=1.0,
    loss=replace(_TINY_LOSS, sampling=Sampling(stratified=48)),
    request=BatchRequest(input_size=32, target_views=4, target_size=32, patch=16),
    batch=8,
)
_TINY_NERF = Recipe(
    phases=(
        Phase(until=0.5, loss=_TINY_LOSS, request=_TINY_COUNTS, batch=8, without_points=_TINY_RAYS),
        Phase(
            until=1.0,
            loss=_TINY_LOSS,
            request=replace(_TINY_COUNTS, target_views=1, target_size=32, patch=16),
            batch=8,
            without_points=_TINY_RAYS,
        ),
    ),
    schedule=Schedule(learning_rate=4e-3, steps=2000, warmup_steps=50),
    optimizer=_TINY_OPTIMIZER,
)
_TINY_MESH = Recipe(
    phases=(
        Phase(
            until=1.0,
            loss=MeshConfig(
                grid_resolution=48,
                opacity_points=512,
                perceptual=PerceptualWeights(ssim=0.02, gradient=0.0),
                field_config=FieldConfig(points=PointWeights(distance=1.0, color=4.0, truncation=(0.05, 0.05))),
            ),
            request=replace(_TINY_COUNTS, target_views=2, target_size=64),
            batch=8,
        ),
    ),
    schedule=Schedule(learning_rate=2e-4, steps=120, warmup_steps=10),
    optimizer=_TINY_OPTIMIZER,
)

RECIPES: dict[tuple[str, StageName], Recipe] = {
    ("gtr-paper", "nerf"): _PAPER_NERF,
    ("gtr-paper", "mesh"): _PAPER_MESH,
    ("gtr-release", "nerf"): _PAPER_NERF,
    ("gtr-release", "mesh"): _RELEASE_MESH,
    ("gtr-mini", "nerf"): _MINI_NERF,
    ("gtr-mini", "mesh"): _MINI_MESH,
    ("gtr-smoke", "nerf"): _SMOKE_NERF,
    ("gtr-smoke", "mesh"): _SMOKE_MESH,
    ("gtr-tiny", "nerf"): _TINY_NERF,
    ("gtr-tiny", "mesh"): _TINY_MESH,
}


def get_recipe(preset: str, stage: StageName) -> Recipe:
    """The recipe of a preset for a stage.

    Raises:
        GtrError: ``model_unavailable`` when this preset is not trained.
    """
    if (preset, stage) not in RECIPES:
        names = ", ".join(dict.fromkeys(name for name, _ in RECIPES))
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"There is no training of {preset}.", f"Choose one of: {names}.")
    return RECIPES[preset, stage]
