"""What depth images tell at each pixel: surface points, normals, and how far the outline is."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import normalize, pad

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


def estimate_normals(cameras: Cameras, depth: Tensor) -> Tensor:
    """Unit world normals (V, H, W, 3) towards the camera from depth (V, H, W), 0 where the depth is 0.

    Along each image axis the neighbour whose depth differs less is taken, so that a normal does not reach over a jump.
    """
    points = backproject(cameras, depth)
    seen = depth > 0
    along_x, along_y = (_smaller_difference(points, depth, seen, axis) for axis in (2, 1))
    normal = normalize(torch.linalg.cross(along_y, along_x), dim=-1)
    towards = cameras.positions[:, None, None] - points
    normal = torch.where((normal * towards).sum(-1, keepdim=True) < 0, -normal, normal)
    alone = normal.abs().amax(-1, keepdim=True) == 0
    normal = torch.where(alone, normalize(towards, dim=-1), normal)
    return normal * seen[..., None]


def _smaller_difference(points: Tensor, depth: Tensor, seen: Tensor, axis: int) -> Tensor:
    """Difference to the next or the previous pixel of an axis, whichever stays closer in depth (0 if neither is)."""
    count = depth.shape[axis] - 1
    step = points.narrow(axis, 1, count) - points.narrow(axis, 0, count)
    jump = (depth.narrow(axis, 1, count) - depth.narrow(axis, 0, count)).abs()
    both = seen.narrow(axis, 1, count) & seen.narrow(axis, 0, count)
    jump = torch.where(both, jump, torch.full_like(jump, torch.inf))
    step = torch.where(both[..., None], step, torch.zeros_like(step))
    before, after = ((0, 0, 1, 0), (0, 0, 0, 1)) if axis == 1 else ((1, 0), (0, 1))
    previous, following = (pad(jump, side, value=torch.inf) for side in (before, after))
    step_back, step_on = (pad(step, (0, 0, *side)) for side in (before, after))
    return torch.where((following <= previous)[..., None], step_on, step_back)


def distance_to(marked: Tensor) -> Tensor:
    """Euclidean distance in pixels (V, H, W) to the nearest marked pixel centre of the same image; inf without any."""
    result = torch.full(marked.shape, torch.inf)
    for view, image in enumerate(marked.cpu().numpy()):
        if image.any():
            result[view] = torch.from_numpy(ndimage.distance_transform_edt(~image).astype(np.float32))
    return result.to(marked.device)


def jumps(depth: Tensor, threshold: float) -> Tensor:
    """Pixels (V, H, W) bool next to a depth that differs by more than the threshold, or to background."""
    result = torch.zeros_like(depth, dtype=torch.bool)
    for axis in (1, 2):
        count = depth.shape[axis] - 1
        step = (depth.narrow(axis, 1, count) - depth.narrow(axis, 0, count)).abs() > threshold
        result.narrow(axis, 1, count).logical_or_(step)
        result.narrow(axis, 0, count).logical_or_(step)
    return result
