"""Training samples from procedural objects: exact pictures, distances and surface colours, endless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from gtr_core.data.dataset import Batch, BatchRequest, Points, PosedPictures, join
from gtr_core.data.procedural import Hits, ProceduralObjects, Scenes
from gtr_core.data.procedural.tracers import choose_tracer
from gtr_core.data.procedural_plans import Planner, PlanningProcesses, Plans, cameras_of
from gtr_core.data.training_cameras import CameraRange, sample_generator
from gtr_core.data.view_pool import choose_views, cropped, resized, subset
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.rays import pixel_rays

POOL = 32
"""Views of each object where their number is limited (paper section 4.1)."""
_RAYS_ALONG = 128
VALIDATION = 0x5EED
"""Seed of what validates, and what sets its objects apart."""
_RAYS_PER_POINT = 3
"""Random rays shot for each surface point that is wanted; about half of them hit."""
_SPREADS = (0.015, 0.06)
"""Standard deviations of the two halves of the points near the surface, world units."""
_LIFT = 0.02
"""Farthest that a point is lifted off the surface, world units."""


class ProceduralSource:
    """Implements :class:`gtr_core.data.dataset.TrainingSource`.

    Without a number of objects every sample shows an object of its own, drawn when it is wanted.

    Args:
        objects: how many different ones there are; 0 for as many as samples. Sample i shows object i mod objects; the
            pictures come out of a pool of ``POOL`` views per object, which is kept on the CPU.
        cameras: from where they are seen.
        supersample: side of the square of rays per pixel; None takes as many as make 128 rays along a picture.
        family: seed of the objects.
        device: where samples are made when their number is not limited, and where they lie. A GPU draws other random
            points than a CPU.
        processes: that draw objects beside this one; 0 draws them here.
    """

    def __init__(
        self,
        *,
        objects: int = 0,
        cameras: CameraRange | None = None,
        supersample: int | None = None,
        family: int = 0,
        device: torch.device | str = "cpu",
        processes: int = 0,
    ) -> None:
        self._count, self._family, self._supersample = objects, family, supersample
        self._cameras = cameras or CameraRange()
        self._device = torch.device("cpu" if objects else device)
        self._tracer = choose_tracer(self._device)
        self._planner: Planner | PlanningProcesses = Planner(family, self._cameras)
        if processes and not objects:
            self._planner = PlanningProcesses(self._planner, processes)
        self._pool = lru_cache(objects or 1)(self._draw_pool)

    @property
    def name(self) -> str:
        """What the samples are made from."""
        count = f"{self._count} " if self._count else ""
        return f"{count}procedural objects (family {self._family})"

    @property
    def has_points(self) -> bool:
        """Points in space are given."""
        return True

    def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        """See :meth:`gtr_core.data.dataset.TrainingSource.batch`."""
        if self._count:
            return join([self._pooled(seed, index, request) for index in indices])
        return self._drawn(self._planner.plan(seed, list(indices), list(indices), request), seed, indices, request)

    def validation(self, indices: Sequence[int], request: BatchRequest) -> Batch:
        """Other objects; where their number is limited the same ones: inputs from the pool, targets from elsewhere."""
        if not self._count:
            others = Planner(self._family + VALIDATION, self._cameras)
            plans = others.plan(VALIDATION, list(indices), list(indices), request)
            return self._drawn(plans, VALIDATION, indices, request)
        same = Planner(self._family, self._cameras)
        plans = same.plan(VALIDATION, [index % self._count for index in indices], list(indices), request)
        seen = join([self._pooled(VALIDATION, index, replace(request, target_views=0)) for index in indices])
        return replace(self._drawn(plans, VALIDATION, indices, request), inputs=seen.inputs)

    def close(self) -> None:
        """End the processes that draw objects."""
        if isinstance(self._planner, PlanningProcesses):
            self._planner.close()

    def _drawn(self, plans: Plans, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        """Pictures from cameras of their own."""
        scenes = Scenes(plans.tables, self._tracer)
        inputs = cameras_of(plans.inputs, request.input_size, self._device)
        targets = cameras_of(plans.targets, request.target_side, self._device) if request.target_views else None
        generators = [sample_generator(seed, index, 3, device=self._device) for index in indices]
        return Batch(
            torch.tensor(list(indices)),
            pictures_of(scenes, inputs, self._rays(request.input_size)),
            None if targets is None else pictures_of(scenes, targets, self._rays(request.target_size)),
            points_of(scenes, generators, request),
        )

    def _pooled(self, seed: int, index: int, request: BatchRequest) -> Batch:
        size = max(request.input_size, request.target_size) if request.target_views else request.input_size
        scenes, pool = self._pool(index % self._count, size)
        generator = sample_generator(seed, index)
        inputs, targets = (subset(pool, views) for views in choose_views(POOL, request, generator))
        return Batch(
            torch.tensor([index]),
            resized(inputs, request.input_size),
            cropped(resized(targets, request.target_size), request.patch, generator) if request.target_views else None,
            points_of(scenes, [sample_generator(seed, index, 3)], request),
        )

    def _draw_pool(self, index: int, size: int) -> tuple[Scenes, PosedPictures]:
        scenes = ProceduralObjects(self._family).scenes([index])
        cameras = self._cameras.draw(0, POOL, (size, size), sample_generator(self._family, index, 5))[1]
        return scenes, pictures_of(scenes, cameras, self._rays(size))

    def _rays(self, size: int) -> int:
        return self._supersample or max(_RAYS_ALONG // size, 1)


def pictures_of(scenes: Scenes, cameras: Cameras, supersample: int = 1) -> PosedPictures:
    """Pictures of S objects, each from V cameras of its own: S V cameras, object by object, on the tracer's device.

    Colour and mask are averaged over a square of rays per pixel; depth and normal are those of the pixel's centre.
    """
    shape = (len(scenes), len(cameras) // len(scenes), cameras.height, cameras.width)
    hits, along = _trace(scenes, cameras, colors=supersample == 1)
    depth = (hits.distance * along).view(shape)
    normal = hits.normal.view(*shape, 3)
    if supersample > 1:
        fine = cameras.resized(cameras.height * supersample, cameras.width * supersample)
        hits, _ = _trace(scenes, fine, colors=True)
    assert hits.color is not None
    layers = torch.cat([hits.color, hits.mask[..., None].float()], dim=-1)
    rows, columns = (side * supersample for side in shape[2:])
    square = layers.view(-1, rows, columns, 4).movedim(-1, 1)
    mean = torch.nn.functional.avg_pool2d(square, supersample).movedim(1, -1).reshape(*shape, 4)
    rgba = torch.cat([mean[..., :3] / mean[..., 3:].clamp(min=1e-6), mean[..., 3:]], dim=-1).clamp(0, 1)
    c2w, intrinsics = cameras.c2w.view(*shape[:2], 4, 4), cameras.intrinsics.view(*shape[:2], 4)
    return PosedPictures(rgba, c2w, intrinsics, depth, normal)


def points_of(scenes: Scenes, generators: Sequence[torch.Generator], request: BatchRequest) -> Points | None:
    """Points with distances and colours of S objects, each from a generator of its own; None when none are wanted."""
    on_surface = request.surface_points + request.lifted_points
    wanted = max(request.near_points, on_surface)
    if not wanted + request.uniform_points:
        return None
    surface, normal = _surface_points(scenes, generators, max(wanted, 1))
    near = surface[:, : request.near_points] + _spread(generators, request.near_points)
    anywhere = _uniform(generators, request.uniform_points, 3)
    at = torch.cat([near.clamp(-1, 1), anywhere], dim=1)
    height = _uniform(generators, on_surface, 1) * _LIFT
    height[:, : request.surface_points] = 0
    base = surface[:, :on_surface]
    return Points(at, scenes.distance(at), base + height * normal[:, :on_surface], scenes.color(base))


def _trace(scenes: Scenes, cameras: Cameras, *, colors: bool) -> tuple[Hits, Tensor]:
    """First hits (S, V H W) through all pixels, and the camera z of one unit along each ray."""
    origins, directions = pixel_rays(cameras)
    along = (directions * cameras.c2w[:, None, None, :3, 2]).sum(-1)
    flat = (part.reshape(len(scenes), -1, 3) for part in (origins, directions))
    return scenes.trace(*flat, colors=colors), along.view(len(scenes), -1)


def _surface_points(scenes: Scenes, generators: Sequence[torch.Generator], count: int) -> tuple[Tensor, Tensor]:
    """(S, count, 3) points on the surfaces that can be seen from outside, and the normals there.

    Rays from all sides at random places of the box; those that miss are made up for by repeating others.
    """
    shape = (count * _RAYS_PER_POINT, 2, 3)
    shot = torch.stack([torch.randn(shape, generator=g, device=g.device) for g in generators])
    origins = 2 * torch.nn.functional.normalize(shot[:, :, 0], dim=-1)
    aims = (shot[:, :, 1] * 0.5).clamp(-1, 1)
    directions = torch.nn.functional.normalize(aims - origins, dim=-1)
    hits = scenes.trace(origins, directions, colors=False)
    chosen = _repeated(hits.mask, count)[..., None].expand(-1, -1, 3)
    points = origins + hits.distance[..., None] * directions
    return points.gather(1, chosen), hits.normal.gather(1, chosen)


def _repeated(mask: Tensor, count: int) -> Tensor:
    """(S, count) indices of the set places of each row of a mask (S, N), over and over; 0 where none is set."""
    places = mask.byte().argsort(dim=1, descending=True, stable=True)  # no waiting for the device, as nonzero would
    found = mask.sum(1, keepdim=True).clamp(min=1)
    return places.gather(1, torch.arange(count, device=mask.device) % found)


def _uniform(generators: Sequence[torch.Generator], count: int, width: int) -> Tensor:
    """(S, count, width) numbers in [-1, 1)."""
    return torch.stack([torch.rand((count, width), generator=g, device=g.device) * 2 - 1 for g in generators])


def _spread(generators: Sequence[torch.Generator], count: int) -> Tensor:
    """(S, count, 3) offsets from the surface: half of them small."""
    drawn = torch.stack([torch.randn((count, 3), generator=g, device=g.device) for g in generators])
    sigma = torch.tensor(_SPREADS, device=drawn.device)[torch.arange(count, device=drawn.device) % 2]
    return drawn * sigma[:, None]
