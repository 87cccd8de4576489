"""Fit of a surface inside the visual hull to the colours of the views.

What is searched is a signed distance whose intersection with the hull is the object. So outlines and thin parts stay
as sharp as the masks, and the fit decides only how much of the hull is too much. Each step takes some rays of the
masks and pulls the distance by five forces:

- photo-consistency: the volume-rendered expectation, along the ray, of how badly the other views that see the point
  disagree with the ray's pixel;
- masks: every ray must hit something;
- Eikonal: the gradient has length 1;
- bending: the Laplacian of what was changed of the likely shape that the fit starts from is small: the change is
  smooth, the shape need not be;
- likelihood: what was changed is small. Its pull is limited, so that colours overrule it wherever they say something;
  where they say nothing, as on a plain surface, chance cannot add up to dents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, smooth_l1_loss

from gtr_core.fit.levels import LevelsOfDetail
from gtr_core.fit.mask_rays import MaskRays
from gtr_core.fit.photo_consistency import Witnesses, disagreement
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.stencils import Stencils, bend
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views


@dataclass(frozen=True)
class FitStage:
    """One resolution of the fit.

    Args:
        resolution: nodes along an edge of the distance grid.
        steps: optimisation steps.
        image_size: longer side of the images, pixels.
        width: of the transition from outside to inside in the rendering, world units.
    """

    resolution: int
    steps: int
    image_size: int
    width: float


@dataclass(frozen=True)
class FitConfig:
    """How the surface is fitted.

    Args:
        stages: from coarse to fine.
        rays: per step.
        samples: per ray, within ``band`` of the surface.
        band: half the sampled length along a ray, in widths of the stage.
        retrace: steps between two tracings of all rays.
        learning_rate: world units in a stage's first step, for each of its three levels of detail.
        final_rate: share of it in the last step; what chance of the chosen rays has pitted becomes smooth again.
        photo: weight of the photo-consistency.
        masks: weight of the rays that must hit.
        eikonal: weight of the gradient's length.
        bending: weight of the curvature of what was changed.
        edge: curvature times spacing beyond which bending costs linearly instead of by its square, so that edges
            may stay sharp.
        likelihood: weight of what was changed, per world unit.
        slack: change beyond which likelihood costs linearly, world units.
    """

    stages: tuple[FitStage, ...] = (
        FitStage(48, 80, 64, 0.04),
        FitStage(64, 100, 128, 0.025),
        FitStage(96, 70, 128, 0.015),
        FitStage(128, 50, 256, 0.01),
    )
    rays: int = 3000
    samples: int = 15
    band: float = 4.0
    retrace: int = 25
    learning_rate: float = 0.002
    final_rate: float = 0.05
    photo: float = 0.03
    masks: float = 0.04
    eikonal: float = 0.05
    bending: float = 0.2
    edge: float = 1.0
    likelihood: float = 0.1
    slack: float = 0.02


def fit_surface(
    views: Views,
    hull: SdfGrid,
    likely: SdfGrid,
    config: FitConfig | None = None,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> SdfGrid:
    """Fit the distance whose intersection with the hull is the object.

    Args:
        views: masked views.
        hull: distance of the most that the object can be, their visual hull or less.
        likely: distance of the shape that it is without further evidence, to be cut by the hull.
        config: weights and stages.
        seed: of the random choice of rays.
        progress: called once per step as stage ``fit``.

    Returns:
        The distance at the last stage's resolution, not yet cut by the hull; see :func:`inside_hull`.
    """
    config = config or FitConfig()
    generator = torch.Generator(device=hull.values.device).manual_seed(seed)
    total = sum(stage.steps for stage in config.stages)
    carved, done = likely, 0
    for stage in config.stages:
        fit = _StageFit(views, hull, likely, carved, config, stage, generator)
        for step in range(stage.steps):
            progress("fit", done, total)
            fit.step(step)
            done += 1
        carved = fit.carved()
    progress("fit", total, total)
    return carved


def inside_hull(carved: SdfGrid, hull: SdfGrid) -> SdfGrid:
    """The intersection of a fitted surface with the hull, at the hull's resolution."""
    return SdfGrid(torch.maximum(carved.resampled(hull.resolution).values, hull.values))


@dataclass
class _StageFit:
    """The state of one stage: three levels of detail on top of where it started."""

    views: Views
    hull: SdfGrid
    likely: SdfGrid
    start: SdfGrid
    config: FitConfig
    stage: FitStage
    generator: torch.Generator

    def __post_init__(self) -> None:
        size = self.stage.resolution
        self.base = self.start.resampled(size).values
        self.expected = self.likely.resampled(size).values
        self.levels = LevelsOfDetail(size, self.base.device)
        rate = self.config.learning_rate
        self.optimizer = torch.optim.Adam(self.levels.grids, lr=rate, betas=(0.9, 0.95), eps=1e-12, fused=True)
        self.rays = MaskRays.of(self.views, self.stage.image_size)

    def _distance(self) -> Tensor:
        return self.base + self.levels.values()

    @torch.no_grad()
    def carved(self) -> SdfGrid:
        """The distance as it stands."""
        return SdfGrid(self._distance())

    def step(self, number: int) -> None:
        """One step of the optimiser, with a fresh look at visibility from time to time."""
        config, carved = self.config, SdfGrid(self._distance())
        if number % config.retrace == 0:
            with torch.no_grad():
                self.witnesses = Witnesses.of(inside_hull(carved, self.hull), self.rays)
                self.stencils = Stencils.near(carved, self.expected)
        slower = 1 - (1 - config.final_rate) * number / self.stage.steps
        self.optimizer.param_groups[0]["lr"] = config.learning_rate * slower
        loss = self._ray_loss(carved) + self._shape_loss(carved)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def _ray_loss(self, carved: SdfGrid) -> Tensor:
        config, width, rays = self.config, self.stage.width, self.rays
        device = rays.origins.device
        chosen = torch.randint(len(rays), (config.rays,), generator=self.generator, device=device)
        offsets = torch.linspace(-1, 1, config.samples, device=device) * config.band * width
        spread = config.band * width / (config.samples - 1)
        jitter = (torch.rand(config.rays, 1, generator=self.generator, device=device) * 2 - 1) * spread
        along = self.witnesses.distance[chosen, None] + offsets + jitter
        points = rays.origins[chosen, None] + rays.directions[chosen, None] * along[..., None]
        flat = points.reshape(-1, 3)
        # The fine hull, not one of the fit's resolution: parts thinner than a cell would have no inside to hit.
        distance = torch.maximum(carved.sample(flat), self.hull.sample(flat)).reshape(along.shape)
        free = torch.sigmoid(distance * (2 / width))
        share = free[:, :-1] - free[:, 1:]
        with torch.no_grad():
            middles = (points[:, :-1] + points[:, 1:]) / 2
            cost = disagreement(rays, chosen, self.witnesses.weight[:, chosen], middles)
            cost -= cost.mean(1, keepdim=True)
        photo = (share * cost).sum(1).mean() / width
        # A thin part may lie between the samples: where a ray misses, the point that came closest has to become inside.
        anchors = rays.origins[chosen] + rays.directions[chosen] * self.witnesses.distance[chosen, None]
        least = torch.where(self.witnesses.hit[chosen], distance.amin(1), carved.sample(anchors))
        missed = relu(least + 0.25 * self.hull.spacing).mean() / carved.spacing
        return config.photo * photo + config.masks * missed

    def _shape_loss(self, carved: SdfGrid) -> Tensor:
        config, spacing = self.config, carved.spacing
        centre, ahead, behind = self.stencils.of(carved.values)
        gradient = (ahead - behind) / (2 * spacing)
        eikonal = (gradient.square().sum(0).clamp(min=1e-12).sqrt() - 1).square().mean()
        bending = smooth_l1_loss(bend(centre, ahead, behind) / spacing, self.stencils.bend / spacing, beta=config.edge)
        unlikely = smooth_l1_loss(centre, self.stencils.expected, beta=config.slack)
        loss: Tensor = config.eikonal * eikonal + config.bending * bending + config.likelihood * unlikely
        return loss
