"""Reconstruction from masked views: hull, fit inside it, and whichever of the two the pictures agree with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.fit import flat_faces
from gtr_core.fit.likely_shape import likely_shape
from gtr_core.fit.mask_rays import MaskRays
from gtr_core.fit.missed_rays import restore_missed
from gtr_core.fit.photo_consistency import Witnesses, disagreement
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.visual_hull import finer_hull, visual_hull
from gtr_core.fit.volume_fit import FitConfig, fit_surface, inside_hull
from gtr_core.geometry.mesh import Mesh
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views

_PREVIEW_RESOLUTION = 128
_SCORE_SIZE = 128
_AROUND = 0.2
"""How far before and behind a surface its colours are compared, world units."""
_AROUND_SAMPLES = 9
_MAX_CONTRAST = 0.4
_MIN_COMMON_RAYS = 200
_DOUBTFUL_CONTRAST = 0.24
_DOUBTFUL_DIFFERENCE = 0.04
"""Of colours in [0, 1], more than a texture differs by at the wrong pixel of the same spot."""
_TOLERANCE = 1.02
"""The hull is kept only when the fit's colours disagree by more than this factor of the hull's."""
CLOSED_NOTE = (
    "Masks cannot show cavities: hollows that no outline shows were closed where the colours did not tell otherwise."
)
HULL_NOTE = (
    "The pictures agree best with the visual hull of the masks, straight sides made flat; hollow ones may be filled."
)


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
    ends = flat_faces.ends(views, hull)
    closed = flat_faces.cut(hull, ends)
    fitted = fit_surface(views, closed, likely_shape(views, hull), config, seed=seed, progress=progress)
    progress("fuse", 0, 2)
    keeps_fit = prefers_fit(views, closed, fitted)
    progress("fuse", 1, 2)
    fine = flat_faces.cut(finer_hull(views, hull, resolution), ends)
    if keeps_fit:
        result = inside_hull(restore_missed(views, fitted, fine), fine)
    else:
        result = flat_faces.cut(fine, flat_faces.sides(views, closed))
    progress("fuse", 2, 2)
    return result, (CLOSED_NOTE,) if keeps_fit else (CLOSED_NOTE, HULL_NOTE)


@torch.no_grad()
def prefers_fit(views: Views, hull: SdfGrid, fitted: SdfGrid) -> bool:
    """Whether the other views colour each view better on the fitted surface than on the hull, and well at all.

    A view's own colours would always prefer the hull: projected onto it they reproduce the picture by construction.
    The fit has to agree clearly better than points just before and behind it do, otherwise it has followed chance.
    With few views there may be no point that two of them see on both surfaces, as on a box seen from its four sides.
    Then the fit is asked for more: where it has rounded what should be an edge, the views that see the new surface
    differ. Without any witness the smoother fit is taken.
    """
    rays = MaskRays.of(views, _SCORE_SIZE)
    on_hull, on_fit = (_Verdict.on(surface, rays) for surface in (hull, inside_hull(fitted, hull)))
    common = (on_hull.weight > 0) & (on_fit.weight > 0)
    witnessed = int(common.sum()) >= _MIN_COMMON_RAYS
    limit = _MAX_CONTRAST if witnessed else _DOUBTFUL_CONTRAST
    if on_fit.contrast() > limit and on_fit.difference() > _DOUBTFUL_DIFFERENCE:
        return False
    if not witnessed:
        return True
    hull_score, fit_score = (told.difference(common) for told in (on_hull, on_fit))
    return fit_score <= _TOLERANCE * hull_score


@dataclass(frozen=True)
class _Verdict:
    """What the witnesses say of a surface.

    Args:
        cost: (N,) disagreement of every ray at its surface point.
        around: (N,) its mean over points before and behind the surface.
        weight: (N,) of the views that witness it, 0 where none does.
    """

    cost: Tensor
    around: Tensor
    weight: Tensor

    @classmethod
    def on(cls, surface: SdfGrid, rays: MaskRays) -> _Verdict:
        witnesses = Witnesses.of(surface, rays)
        offsets = torch.linspace(-_AROUND, _AROUND, _AROUND_SAMPLES, device=surface.values.device)
        along = witnesses.distance[:, None] + offsets
        points = rays.origins[:, None] + rays.directions[:, None] * along[..., None]
        everyone = torch.arange(len(rays), device=points.device)
        cost = disagreement(rays, everyone, witnesses.weight, points)
        return cls(cost[:, _AROUND_SAMPLES // 2], cost.mean(1), witnesses.weight.sum(0))

    def contrast(self) -> float:
        """Disagreement on the surface over that around it: 0 = the colours prove it, 1 = they say nothing."""
        around = float(self.around.sum())
        return float(self.cost.sum()) / around if around > 0 else 0.0

    def difference(self, where: Tensor | None = None) -> float:
        """Mean colour difference at rays (N,) bool, by default all that have a witness; 0 without any."""
        chosen = self.weight > 0 if where is None else where
        return float((self.cost / self.weight)[chosen].mean()) if bool(chosen.any()) else 0.0
