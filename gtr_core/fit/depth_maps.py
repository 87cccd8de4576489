"""What depth images tell at each pixel: surface points, normals, and how far the outline is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import normalize, pad

from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.depth import backproject


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


def facing_normals(cameras: Cameras, depth: Tensor, normal: Tensor | None, points: Tensor) -> Tensor:
    """Normals (V, H, W, 3) turned towards their camera; estimated from the depth (V, H, W) where none is given.

    ``points`` (V, H, W, 3) are those of :func:`gtr_core.geometry.depth.backproject`.
    """
    if normal is None:
        return estimate_normals(cameras, depth)
    missing = (normal.abs().amax(-1) < 1e-6) & (depth > 0)
    if bool(missing.any()):
        normal = torch.where(missing[..., None], estimate_normals(cameras, depth), normal)
    towards = cameras.positions[:, None, None] - points
    return torch.where((normal * towards).sum(-1, keepdim=True) < 0, -normal, normal)


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


@dataclass(frozen=True)
class PixelSquare:
    """The 2 x 2 pixels around projected points.

    Args:
        framed: (N,) bool, whether the point lies in front of the camera and inside the image.
        row: (N,) int64, upper row of the square, and
        column: (N,) int64, its left column; always inside the image.
        fraction: (N, 2) float32 in [0, 1], how far right and down in the square the point lies.
    """

    framed: Tensor
    row: Tensor
    column: Tensor
    fraction: Tensor

    @classmethod
    def at(cls, projected: Tensor, height: int, width: int) -> PixelSquare:
        """Around (N, 3) points u, v, z of :meth:`Cameras.project`."""
        u, v, z = projected[:, 0] - 0.5, projected[:, 1] - 0.5, projected[:, 2]
        framed = (u >= -0.5) & (v >= -0.5) & (u <= width - 0.5) & (v <= height - 0.5) & (z > 0)
        u, v = (torch.where(framed, value, torch.zeros_like(value)) for value in (u, v))
        column, row = u.floor().clamp(0, width - 2), v.floor().clamp(0, height - 2)
        fraction = torch.stack([u - column, v - row], dim=-1).clamp(0, 1)
        return cls(framed, row.long(), column.long(), fraction)

    def select(self, index: Tensor) -> PixelSquare:
        """Some of the squares."""
        return PixelSquare(self.framed[index], self.row[index], self.column[index], self.fraction[index])

    def gather(self, table: Tensor, width: int) -> Tensor:
        """Rows (N, 4, C) of a table (H * W, C) with one row per pixel of an image this wide."""
        offsets = torch.tensor([0, 1, width, width + 1], device=table.device)
        index = (self.row * width + self.column)[:, None] + offsets
        return table.index_select(0, index.reshape(-1)).reshape(-1, 4, table.shape[-1])

    @property
    def shares(self) -> Tensor:
        """(N, 4) bilinear weights in the order of :meth:`gather`."""
        x, y = self.fraction.unbind(-1)
        return torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], dim=-1)


def distance_to(marked: Tensor) -> Tensor:
    """Euclidean distance in pixels (V, H, W) to the nearest marked pixel centre of the same image; inf without any."""
    result = torch.full(marked.shape, torch.inf, device="cpu")
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
