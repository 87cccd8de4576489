"""Reading three feature planes at points of the world."""

from __future__ import annotations

import torch
from torch import Tensor

PLANE_AXES = ((0, 1), (0, 2), (1, 2))
"""World axes (u, v) of the planes XY, XZ, YZ; u runs along the width."""


def sample_planes(planes: Tensor, points: Tensor) -> Tensor:
    """Bilinear features at points.

    Texel centres lie at (2 (i + 0.5) / R) - 1; outside the outermost centres the border value holds.

    Args:
        planes: (3, C, R, R): XY, XZ, YZ.
        points: (N, 3) in world units.

    Returns:
        (N, 3 C), feature = channel * 3 + plane.
    """
    grid = torch.stack([points[:, axes] for axes in PLANE_AXES])[:, None]
    features = torch.nn.functional.grid_sample(
        planes, grid.to(planes.dtype), mode="bilinear", padding_mode="border", align_corners=False
    )
    return features[:, :, 0].permute(2, 1, 0).reshape(len(points), -1)
