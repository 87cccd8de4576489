"""Stage 2: the field learns through its surface (paper section 3.2, equations 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.data.dataset import Batch
from gtr_core.fields.output import RenderOutput
from gtr_core.fields.surface import ISO_LEVEL
from gtr_core.geometry.rasterize import Rasterizer, get_rasterizer
from gtr_core.model.gtr import GTR
from gtr_core.training.batch_field import BatchField
from gtr_core.training.losses import LossTerms, depth_loss, mean_squared, normal_loss, opacity_loss
from gtr_core.training.perceptual import Perceptual, PerceptualWeights
from gtr_core.training.ray_rendering import Rays
from gtr_core.training.stage import FieldConfig, Stage
from gtr_core.training.surface import differentiable_surface
from gtr_core.training.surface_pictures import draw_nothing, draw_surface
from gtr_core.training.target_rays import BIN, points_behind, points_in_front, rays_of


@dataclass(frozen=True)
class MeshConfig:
    """Equation 3 with the weights of section 4.1.

    Args:
        grid_resolution: nodes per side of the grid in which the surface is found.
        rgb: weight of the squared colour error.
        perceptual: weights of LPIPS, or of what takes its place; lambda_p.
        depth: lambda_d.
        mask: lambda_m.
        opacity: lambda_r, of the opacity in front of the true surface.
        opacity_points: points per object for it.
        normal: weight of the normals' term; 0 as in the paper.
        field_config: how the field is read and supervised in space.
    """

    grid_resolution: int = 256
    rgb: float = 1.0
    perceptual: PerceptualWeights = field(default_factory=PerceptualWeights)
    depth: float = 0.5
    mask: float = 1.0
    opacity: float = 0.5
    opacity_points: int = 4096
    normal: float = 0.0
    field_config: FieldConfig = field(default_factory=FieldConfig)


class MeshStage(Stage):
    """See :class:`gtr_core.training.stage.Stage`.

    An object without a surface, or with one that fills the grid, is compared as an empty picture, which gives no
    gradient; then the points just behind its true surface pull the density up to the surface's level, and the term of
    the opacity in front of it pulls it down.

    Args:
        model: the network.
        config: of the stage.
        perceptual: how alike pictures look.
        seed: of the run.
    """

    def __init__(self, model: GTR, config: MeshConfig, perceptual: Perceptual, seed: int) -> None:
        super().__init__(model, config.field_config, perceptual, seed)
        self.config = config
        self._rasterizer: Rasterizer | None = None

    def compare(self, field: BatchField, batch: Batch, terms: LossTerms, share: float) -> None:
        """Equation 3 on the target pictures."""
        targets, config = batch.targets, self.config
        assert targets is not None
        rays = rays_of(targets)
        drawn, missing = self._draw(field, batch)
        truth = targets.composite().flatten(0, 1)
        terms.add("rgb", mean_squared(drawn.rgb, truth), config.rgb)
        self.perceptual(drawn.rgb, truth, terms, share)
        terms.add("mask", mean_squared(drawn.mask, targets.mask.flatten(0, 1)), config.mask)
        if targets.depth is not None:
            terms.add("depth", depth_loss(drawn.depth, targets.depth.flatten(0, 1)), config.depth)
            points = points_in_front(rays, config.opacity_points, self.seed, batch.indices)
            terms.add("opacity", opacity_loss(field.density(points), BIN), config.opacity)
        if config.normal and targets.normal is not None:
            terms.add("normal", normal_loss(drawn.normal, targets.normal.flatten(0, 1)), config.normal)
        if missing:
            terms.add("rescue", _rescue(field, rays, missing), 1.0)
        terms.note("lost", field.planes.new_tensor(len(missing) / len(field)))

    def _draw(self, field: BatchField, batch: Batch) -> tuple[RenderOutput, list[int]]:
        """Pictures (B V, ...) of all objects, and which of these have no surface."""
        assert batch.targets is not None
        # made once: that of a GPU has memory of its own
        rasterizer = self._rasterizer = self._rasterizer or get_rasterizer(field.planes.device)
        drawn, missing = [], []
        for index in range(len(field)):
            one, cameras = field.one(index), batch.targets.cameras(index)
            surface = differentiable_surface(one, self.config.grid_resolution)
            if surface is None:
                missing.append(index)
                drawn.append(draw_nothing(cameras))
                continue
            drawn.append(draw_surface(one, *surface, cameras, rasterizer, normals=self.config.normal > 0))
        parts = zip(*(vars(pictures).values() for pictures in drawn), strict=True)
        return RenderOutput(*(torch.cat(part) for part in parts)), missing


def _rescue(field: BatchField, rays: Rays, missing: list[int]) -> Tensor:
    """How far the density just behind the true surface of some objects is below the surface's level, in [0, 1]."""
    lacks = []
    for index in missing:
        points = points_behind(rays, index)
        density = field.one(index).density(points[0])
        lacks.append(functional.relu(1 - density / ISO_LEVEL).sum() / max(len(density), 1))
    return torch.stack(lacks).sum() / len(field)
