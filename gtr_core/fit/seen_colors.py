"""The colour of points that no view sees: that of the nearest points that one sees."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

_NEAREST = 4
_FEW = 12_500
"""Points that are enough for what lies far from all of them."""
_FAR = 0.1
"""World units from those few on: several times their spacing, as they are spread over an object."""


class SeenColors:
    """Colours of surface points that views see, looked up from points that none sees.

    Far from all of them a search tree has to look at most of what it holds, and which of many it finds hardly matters:
    there a few of the points are enough.

    Args:
        points: (K, 3) in world units.
        colors: (K, 3) sRGB in [0, 1].
    """

    def __init__(self, points: Tensor, colors: Tensor) -> None:
        self._near = cKDTree(points.cpu().numpy()), colors
        step = max(1, len(points) // _FEW)
        self._far = cKDTree(points[::step].cpu().numpy()), colors[::step]

    def near(self, points: Tensor) -> Tensor:
        """Mean colour (N, 3) of the points nearest to each of (N, 3), weighted by 1 / distance squared."""
        found = torch.empty_like(points)
        away = torch.from_numpy(self._far[0].query(points.cpu().numpy())[0]).to(points.device)
        for (tree, colors), chosen in ((self._near, away < _FAR), (self._far, away >= _FAR)):
            distance, index = tree.query(points[chosen].cpu().numpy(), k=np.arange(1, min(_NEAREST, len(colors)) + 1))
            weight = torch.from_numpy(1 / np.maximum(distance, 1e-6) ** 2).to(colors)
            nearest = colors[torch.from_numpy(index).to(colors.device)]
            found[chosen] = (nearest * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
        return found
