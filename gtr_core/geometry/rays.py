"""Pixel rays of cameras and their Plücker coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.geometry.cameras import Cameras


def pixel_rays(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """The ray through every pixel centre.

    Returns:
        origins (V, H, W, 3), the camera centres in world units, and directions (V, H, W, 3) of unit length.
    """
    device = cameras.c2w.device
    u = torch.arange(cameras.width, device=device) + 0.5
    v = torch.arange(cameras.height, device=device) + 0.5
    fx, fy, cx, cy = cameras.intrinsics.unbind(-1)
    x = ((u - cx[:, None]) / fx[:, None])[:, None, :].expand(-1, cameras.height, -1)
    y = ((v - cy[:, None]) / fy[:, None])[:, :, None].expand(-1, -1, cameras.width)
    local = torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)], dim=-1), dim=-1)
    # No matrix product: on a GPU it has three digits only where training allows TensorFloat-32.
    right, down, forward = cameras.c2w[:, None, None, :3, :3].unbind(-1)
    directions: Tensor = local[..., :1] * right + local[..., 1:2] * down + local[..., 2:] * forward
    origins: Tensor = cameras.positions[:, None, None].expand_as(directions)
    return origins, directions


def plucker(origins: Tensor, directions: Tensor) -> Tensor:
    """Moments of rays (..., 3): direction x origin, the order that the released network was trained with."""
    moment: Tensor = torch.linalg.cross(directions, origins)
    return moment
