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
    return sample_plane_batch(planes[None], points[None])[0]


def sample_plane_batch(planes: Tensor, points: Tensor) -> Tensor:
    """The same for several objects at once.

    Args:
        planes: (B, 3, C, R, R).
        points: (B, N, 3) in world units.

    Returns:
        (B, N, 3 C), feature = channel * 3 + plane.
    """
    grid = torch.stack([points[..., axes] for axes in PLANE_AXES], dim=1).flatten(0, 1)[:, None]
    features = torch.nn.functional.grid_sample(
        planes.flatten(0, 1), grid.to(planes.dtype), mode="bilinear", padding_mode="border", align_corners=False
    )
    per_object = features.view(*planes.shape[:3], points.shape[1])
    return per_object.permute(0, 3, 2, 1).reshape(*points.shape[:2], 3 * planes.shape[2])
