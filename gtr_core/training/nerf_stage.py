"""Stage 1: the field learns through volume rendering (paper section 3.2, equation 1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from gtr_core.data.dataset import Batch
from gtr_core.geometry.rays import pixel_rays
from gtr_core.model.gtr import GTR
from gtr_core.training.batch_field import BatchField
from gtr_core.training.losses import LossTerms, depth_loss, mean_squared, opacity_loss
from gtr_core.training.perceptual import Perceptual, PerceptualWeights
from gtr_core.training.ray_rendering import Sampling, render_rays
from gtr_core.training.stage import FieldConfig, Stage
from gtr_core.training.target_rays import BIN, along_axis, points_in_front, rays_of


@dataclass(frozen=True)
class NerfConfig:
    """Equation 1; what the paper's first stage does not have is off by default.

    Args:
        sampling: along the rays.
        rgb: weight of the squared colour error.
        perceptual: weights of LPIPS, or of what takes its place.
        mask: weight of the squared error of the opacity.
        depth: weight of the squared error of the depth.
        opacity: weight of the opacity in front of the true surface.
        opacity_points: points per object for it.
        rays_at_once: bounds the memory.
        field_config: how the field is read and supervised in space.
    """

    sampling: Sampling = field(default_factory=Sampling)
    rgb: float = 1.0
    perceptual: PerceptualWeights = field(default_factory=PerceptualWeights)
    mask: float = 0.0
    depth: float = 0.0
    opacity: float = 0.0
    opacity_points: int = 1024
    rays_at_once: int = 1 << 16
    field_config: FieldConfig = field(default_factory=FieldConfig)


class NerfStage(Stage):
    """See :class:`gtr_core.training.stage.Stage`.

    Args:
        model: the network.
        config: of the stage.
        perceptual: how alike pictures look.
        seed: of the run.
    """

    def __init__(self, model: GTR, config: NerfConfig, perceptual: Perceptual, seed: int) -> None:
        super().__init__(model, config.field_config, perceptual, seed)
        self.config = config

    def compare(self, field: BatchField, batch: Batch, terms: LossTerms, share: float) -> None:
        """Equation 1 on the target pictures, which are patches of larger ones."""
        targets, config = batch.targets, self.config
        assert targets is not None
        rays = rays_of(targets)
        color, opacity, along = render_rays(
            field,
            rays,
            config.sampling,
            seed=self.seed,
            indices=batch.indices,
            rays_at_once=config.rays_at_once,
        )
        image, truth = color.view((*targets.rgba.shape[:-1], 3)), targets.composite()
        terms.add("rgb", mean_squared(image, truth), config.rgb)
        self.perceptual(image.flatten(0, 1), truth.flatten(0, 1), terms, share)
        terms.add("mask", mean_squared(opacity.view_as(targets.mask), targets.mask), config.mask)
        if config.depth and targets.depth is not None:
            depth = along.view(targets.depth.flatten(0, 1).shape) * along_axis(
                targets, pixel_rays(targets.cameras())[1]
            )
            terms.add("depth", depth_loss(depth, targets.depth.flatten(0, 1)), config.depth)
        if config.opacity and targets.depth is not None:
            points = points_in_front(rays, config.opacity_points, self.seed, batch.indices)
            terms.add("opacity", opacity_loss(field.density(points), BIN), config.opacity)
