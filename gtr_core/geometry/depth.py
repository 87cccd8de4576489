"""From depth images back to points."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.geometry.cameras import Cameras


def backproject(cameras: Cameras, depth: Tensor) -> Tensor:
    """World points (V, H, W, 3) at the pixel centres of depth images (V, H, W) of camera z."""
    rows = torch.arange(cameras.height, dtype=torch.float32, device=depth.device) + 0.5
    columns = torch.arange(cameras.width, dtype=torch.float32, device=depth.device) + 0.5
    fx, fy, cx, cy = (value[:, None, None] for value in cameras.intrinsics.unbind(-1))
    x = (columns[None, None, :] - cx) / fx * depth
    y = (rows[None, :, None] - cy) / fy * depth
    local = torch.stack([x, y, depth], dim=-1)
    rotation = cameras.c2w[:, :3, :3]
    return local @ rotation.transpose(1, 2)[:, None] + cameras.positions[:, None, None]
