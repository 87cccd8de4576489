"""Reconstruction from masked views: hull, fit inside it, and whichever of the two the pictures agree with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gtr_core.fit.mask_rays import MaskRays
from gtr_core.fit.missed_rays import restore_missed
from gtr_core.fit.photo_consistency import Witnesses, disagreement
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.visual_hull import visual_hull
from gtr_core.fit.volume_fit import FitConfig, fit_surface, inside_hull
from gtr_core.geometry.mesh import Mesh
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views

_PREVIEW_RESOLUTION = 128
_SCORE_SIZE = 128
_SCORE_RESOLUTION = 128
_MIN_COMMON_RAYS = 200
_TOLERANCE = 1.02
"""The hull is kept only when the fit's colours disagree by more than this factor of the hull's."""
CLOSED_NOTE = (
    "Masks cannot show cavities: hollows that no outline shows were closed where the colours did not tell otherwise."
)
HULL_NOTE = "The pictures agree best with the visual hull of the masks, so flat or hollow sides may bulge."


def reconstruct_from_masks(
    views: Views,
    *,
    resolution: int = 256,
    seed: int = 0,
    progress: Progress = no_progress,
    on_preview: Callable[[Mesh], None] | None = None,
    config: FitConfig | None = None,
) -> tuple[SdfGrid, tuple[str, ...]]:
    """Reconstruct an object from its outlines and colours.

    Args:
        views: at least two masked views.
        resolution: nodes along an edge of the result.
        seed: of everything random.
        progress: stages hull, fit (one call per step), fuse.
        on_preview: gets the mesh of the visual hull as soon as it is there.
        config: of the fit.

    Returns:
        The distance grid, and sentences about what the views could not tell.

    Raises:
        GtrError: ``empty_reconstruction`` when no point lies inside all outlines.
    """
    hull = visual_hull(views, min(_PREVIEW_RESOLUTION, resolution), progress)
    preview = hull.extract()
    if on_preview is not None:
        on_preview(preview)
    fitted = fit_surface(views, hull, config, seed=seed, progress=progress)
    progress("fuse", 0, 2)
    keeps_fit = prefers_fit(views, hull, fitted)
    progress("fuse", 1, 2)
    fine = hull if hull.resolution == resolution else visual_hull(views, resolution)
    result = inside_hull(restore_missed(views, fitted, fine), fine) if keeps_fit else fine
    progress("fuse", 2, 2)
    return result, (CLOSED_NOTE,) if keeps_fit else (CLOSED_NOTE, HULL_NOTE)


@torch.no_grad()
def prefers_fit(views: Views, hull: SdfGrid, fitted: SdfGrid) -> bool:
    """Whether the other views colour each view at least as well on the fitted surface as on the hull.

    A view's own colours would always prefer the hull: projected onto it they reproduce the picture by construction.
    Without enough points that two views see on both surfaces, the smoother fit is taken.
    """
    rays = MaskRays.of(views, _SCORE_SIZE)
    hull = hull.resampled(min(_SCORE_RESOLUTION, hull.resolution))
    seen = [_judge(surface, rays) for surface in (hull, inside_hull(fitted, hull))]
    common = (seen[0][1] > 0) & (seen[1][1] > 0)
    if int(common.sum()) < _MIN_COMMON_RAYS:
        return True
    hull_score, fit_score = (float((cost[common] / weight[common]).mean()) for cost, weight in seen)
    return fit_score <= _TOLERANCE * hull_score


def _judge(surface: SdfGrid, rays: MaskRays) -> tuple[Tensor, Tensor]:
    """Disagreement (N,) of every ray at its surface point, and the weight (N,) of the views that witness it."""
    witnesses = Witnesses.of(surface, rays)
    points = rays.origins + rays.directions * witnesses.distance[:, None]
    everyone = torch.arange(len(rays), device=points.device)
    cost = disagreement(rays, everyone, witnesses.weight, points[:, None])[:, 0]
    return cost, witnesses.weight.sum(0)
