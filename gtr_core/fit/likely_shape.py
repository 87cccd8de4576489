"""The likely shape that a fit to masked views starts from: the mean of two guesses.

One comes from geometry (:mod:`gtr_core.fit.rounded_hull`: what no outline needs is chance), one from experience
(:mod:`gtr_core.fit.shape_prior`: what lay inside other hulls). The first rounds off what should be an edge, the second
keeps what it is not sure of; where one of them is far off the other is usually not.
"""

from __future__ import annotations

import torch

from gtr_core.fit.gaussian_blur import gaussian_blur
from gtr_core.fit.rounded_hull import rounded_hull
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.shape_prior import guess_shape
from gtr_core.views import Views

ROUNDNESS = 0.9
_RESOLUTION = 96
_BLUR = 1.5
"""In nodes: what was guessed on a coarser grid has facets on this one."""
_CUT_OFF = 0.15
"""Distance beyond which only the sign counts, world units: no guess outvotes the other far from the surface."""


@torch.no_grad()
def likely_shape(views: Views, hull: SdfGrid) -> SdfGrid:
    """The likely shape of an object, to be cut by its visual hull.

    Args:
        views: masked views.
        hull: distance of their visual hull.
    """
    learned = gaussian_blur(guess_shape(views).resampled(_RESOLUTION).values, _BLUR)
    rounded = rounded_hull(views, hull, ROUNDNESS).resampled(_RESOLUTION).values
    return SdfGrid((learned.clamp(-_CUT_OFF, _CUT_OFF) + rounded.clamp(-_CUT_OFF, _CUT_OFF)) / 2)
