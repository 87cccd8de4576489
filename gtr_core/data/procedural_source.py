"""Training samples from procedural objects: exact pictures, distances and surface colours, endless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from gtr_core.data.dataset import Batch, BatchRequest, Points, PosedPictures, join
from gtr_core.data.procedural import Hits, ProceduralObjects, Scenes
from gtr_core.data.training_cameras import CameraRange, patches, sample_generator
from gtr_core.data.view_pool import choose_views, cropped, resized, subset
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.rays import pixel_rays

POOL = 32
"""Views of each object where their number is limited (paper section 4.1)."""
_RAYS_ALONG = 128
_VALIDATION = 0x5EED
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
            pictures come out of a pool of ``POOL`` views per object, which is kept.
        cameras: from where they are seen.
        supersample: side of the square of rays per pixel; None takes as many as make 128 rays along a picture.
        family: seed of the objects.
    """

    def __init__(
        self, *, objects: int = 0, cameras: CameraRange | None = None, supersample: int | None = None, family: int = 0
    ) -> None:
        self._count, self._family, self._supersample = objects, family, supersample
        self._cameras = cameras or CameraRange()
        self._objects = ProceduralObjects(family)
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
        return self._drawn(self._objects.scenes(list(indices)), seed, indices, request)

    def validation(self, indices: Sequence[int], request: BatchRequest) -> Batch:
        """Other objects; where their number is limited the same ones: inputs from the pool, targets from elsewhere."""
        if not self._count:
            scenes = ProceduralObjects(self._family + _VALIDATION).scenes(list(indices))
            return self._drawn(scenes, _VALIDATION, indices, request)
        scenes = self._objects.scenes([index % self._count for index in indices])
        seen = join([self._pooled(_VALIDATION, index, replace(request, target_views=0)) for index in indices])
        return replace(self._drawn(scenes, _VALIDATION, indices, request), inputs=seen.inputs)

    def _drawn(self, scenes: Scenes, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        """Pictures from cameras of their own."""
        sizes = (request.input_size, request.target_size)
        inputs, targets = [], []
        for index in indices:
            generator = sample_generator(seed, index)
            first, second = self._cameras.draw(request.input_views, request.target_views, sizes, generator)
            inputs.append(first)
            targets.append(patches(second, request.patch, generator))
        return Batch(
            torch.tensor(list(indices)),
            pictures_of(scenes, inputs, self._rays(request.input_size)),
            pictures_of(scenes, targets, self._rays(request.target_size)) if request.target_views else None,
            points_of(scenes, [sample_generator(seed, index, 3) for index in indices], request),
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
        scenes = self._objects.scenes([index])
        cameras = self._cameras.draw(0, POOL, (size, size), sample_generator(self._family, index, 5))[1]
        return scenes, pictures_of(scenes, [cameras], self._rays(size))

    def _rays(self, size: int) -> int:
        return self._supersample or max(_RAYS_ALONG // size, 1)


def pictures_of(scenes: Scenes, cameras: Sequence[Cameras], supersample: int = 1) -> PosedPictures:
    """Pictures of S objects, each from V cameras of its own.

    Colour and mask are averaged over a square of rays per pixel; depth and normal are those of the pixel's centre.
    """
    shape = (len(scenes), len(cameras[0]), cameras[0].height, cameras[0].width)
    hits, along = _trace(scenes, cameras, colors=supersample == 1)
    depth = (hits.distance * along).view(shape)
    normal = hits.normal.view(*shape, 3)
    if supersample > 1:
        fine = [part.resized(part.height * supersample, part.width * supersample) for part in cameras]
        hits, _ = _trace(scenes, fine, colors=True)
    assert hits.color is not None
    layers = torch.cat([hits.color, hits.mask[..., None].float()], dim=-1)
    rows, columns = (side * supersample for side in shape[2:])
    square = layers.view(-1, rows, columns, 4).movedim(-1, 1)
    mean = torch.nn.functional.avg_pool2d(square, supersample).movedim(1, -1).reshape(*shape, 4)
    rgba = torch.cat([mean[..., :3] / mean[..., 3:].clamp(min=1e-6), mean[..., 3:]], dim=-1).clamp(0, 1)
    c2w, intrinsics = (torch.stack([getattr(part, name) for part in cameras]) for name in ("c2w", "intrinsics"))
    return PosedPictures(rgba, c2w, intrinsics, depth, normal)


def points_of(scenes: Scenes, generators: Sequence[torch.Generator], request: BatchRequest) -> Points | None:
    """Points with distances and colours of S objects, each from a generator of its own; None when none are wanted."""
    on_surface = request.surface_points + request.lifted_points
    wanted = max(request.near_points, on_surface)
    if not wanted + request.uniform_points:
        return None
    surface, normal = _surface_points(scenes, generators, max(wanted, 1))
    near = surface[:, : request.near_points] + torch.stack([_spread(g, request.near_points) for g in generators])
    anywhere = torch.stack([torch.rand((request.uniform_points, 3), generator=g) * 2 - 1 for g in generators])
    at = torch.cat([near.clamp(-1, 1), anywhere], dim=1)
    height = torch.stack([torch.rand((on_surface, 1), generator=g) * 2 - 1 for g in generators]) * _LIFT
    height[:, : request.surface_points] = 0
    base = surface[:, :on_surface]
    return Points(at, scenes.distance(at), base + height * normal[:, :on_surface], scenes.color(base))


def _trace(scenes: Scenes, cameras: Sequence[Cameras], *, colors: bool) -> tuple[Hits, Tensor]:
    """First hits (S, V H W) through all pixels, and the camera z of one unit along each ray."""
    rays = [pixel_rays(part) for part in cameras]
    origins, directions = (torch.stack([pair[k].reshape(-1, 3) for pair in rays]) for k in (0, 1))
    forward = torch.stack([part.c2w[:, None, :3, 2].expand(-1, part.height * part.width, -1) for part in cameras])
    along = (directions * forward.reshape(directions.shape)).sum(-1)
    return scenes.trace(origins.contiguous(), directions.contiguous(), colors=colors), along


def _surface_points(scenes: Scenes, generators: Sequence[torch.Generator], count: int) -> tuple[Tensor, Tensor]:
    """(S, count, 3) points on the surfaces that can be seen from outside, and the normals there.

    Rays from all sides at random places of the box; those that miss are made up for by repeating others.
    """
    shot = torch.stack([torch.randn((count * _RAYS_PER_POINT, 2, 3), generator=g) for g in generators])
    origins = 2 * torch.nn.functional.normalize(shot[:, :, 0], dim=-1)
    aims = (shot[:, :, 1] * 0.5).clamp(-1, 1)
    directions = torch.nn.functional.normalize(aims - origins, dim=-1)
    hits = scenes.trace(origins, directions, colors=False)
    chosen = torch.stack([_repeated(row, count) for row in hits.mask])[..., None].expand(-1, -1, 3)
    points = origins + hits.distance[..., None] * directions
    return points.gather(1, chosen), hits.normal.gather(1, chosen)


def _repeated(mask: Tensor, count: int) -> Tensor:
    """(count,) indices of the set places of a mask (N,), over and over; 0 where none is set."""
    places = mask.nonzero().squeeze(1)
    if not len(places):
        return torch.zeros(count, dtype=torch.long)
    return places[torch.arange(count) % len(places)]


def _spread(generator: torch.Generator, count: int) -> Tensor:
    """(count, 3) offsets from the surface: half of them small."""
    sigma = torch.tensor(_SPREADS)[torch.arange(count) % 2]
    return torch.randn((count, 3), generator=generator) * sigma[:, None]
