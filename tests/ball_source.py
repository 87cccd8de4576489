"""Training data for tests: coloured balls, whose pictures, distances and colours are known in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gtr_core.data.dataset import Batch, BatchRequest, Points, PosedPictures
from gtr_core.data.training_cameras import CameraRange, patches, sample_generator
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.rays import pixel_rays


class BallSource:
    """Implements ``TrainingSource``: sample i is a ball of its own radius and colours around the origin."""

    def __init__(self, *, has_points: bool = True, count: int = 0) -> None:
        self._has_points, self._count = has_points, count
        self.asked: list[int] = []

    @property
    def name(self) -> str:
        return "balls"

    @property
    def has_points(self) -> bool:
        return self._has_points

    def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        self.asked += list(indices)
        samples = [self._sample(seed, index, request) for index in indices]
        inputs, targets, points = zip(*samples, strict=True)
        return Batch(
            torch.tensor(list(indices)),
            _stacked(inputs),
            _stacked(targets) if request.target_views else None,
            Points(*(torch.stack(part) for part in zip(*points, strict=True))) if self._has_points else None,
        )

    def validation(self, indices: Sequence[int], request: BatchRequest) -> Batch:
        return self.batch(1 << 20, indices, request)

    def _sample(self, seed: int, index: int, request: BatchRequest):  # type: ignore[no-untyped-def]
        number = index % self._count if self._count else index
        own = sample_generator(7, number)
        radius = 0.4 + 0.4 * float(torch.rand((), generator=own))
        colors = torch.rand((2, 3), generator=own)
        generator = sample_generator(seed, index)
        sizes = (request.input_size, request.target_size)
        inputs, targets = CameraRange().draw(request.input_views, request.target_views, sizes, generator)
        targets = patches(targets, request.patch, generator)
        near = torch.nn.functional.normalize(torch.randn((request.near_points, 3), generator=generator), dim=-1)
        near = near * (radius + 0.05 * torch.randn((request.near_points, 1), generator=generator))
        at = torch.cat([near, torch.rand((request.uniform_points, 3), generator=generator) * 2 - 1])
        count = request.surface_points + request.lifted_points
        on = torch.nn.functional.normalize(torch.randn((count, 3), generator=generator), dim=-1) * radius
        known = (at, at.norm(dim=-1) - radius, on, _colors(on, colors))
        return draw_ball(inputs, radius, colors), draw_ball(targets, radius, colors), known


def draw_ball(cameras: Cameras, radius: float, colors: Tensor) -> tuple[Tensor, ...]:
    """Picture (V, H, W, 4), cameras, depth and normals of a ball, one colour above and one below."""
    origins, directions = pixel_rays(cameras)
    half = (origins * directions).sum(-1)
    under_root = half**2 - (origins.square().sum(-1) - radius**2)
    hit = under_root > 0
    along = (-half - under_root.clamp(min=0).sqrt()) * hit
    points = origins + along[..., None] * directions
    normal = torch.nn.functional.normalize(points, dim=-1) * hit[..., None]
    depth = along * (directions * cameras.c2w[:, None, None, :3, 2]).sum(-1)
    rgba = torch.cat([_colors(points, colors) * hit[..., None], hit[..., None].float()], dim=-1)
    return rgba, cameras.c2w, cameras.intrinsics, depth, normal


def _colors(points: Tensor, colors: Tensor) -> Tensor:
    above = torch.sigmoid(8 * points[..., 1:2])
    return above * colors[0] + (1 - above) * colors[1]


def _stacked(pictures: Sequence[tuple[Tensor, ...]]) -> PosedPictures:
    return PosedPictures(*(torch.stack(part) for part in zip(*pictures, strict=True)))
