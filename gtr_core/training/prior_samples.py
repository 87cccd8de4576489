"""What the shape prior learns from: masked views of procedural objects, and their exact distances at its nodes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch
from torch import Tensor

from gtr_core.data.procedural import ProceduralObjects
from gtr_core.data.procedural_source import pictures_of
from gtr_core.data.training_cameras import sample_generator
from gtr_core.errors import GtrError
from gtr_core.fit.sdf_grid import node_positions
from gtr_core.fit.shape_prior import RESOLUTION
from gtr_core.fit.visual_hull import HullDistance
from gtr_core.geometry.cameras import DISTANCE, FOV_DEGREES, Cameras, camera_set, orbit
from gtr_core.views import Views

Sample = tuple[Views, Tensor]
"""Masked views of an object, and its signed distance (R, R, R) at the nodes of the prior's grid, world units."""

_IMAGE_SIZE = 128
_RAYS_PER_SIDE = 2
_CUT_SHARE = 0.15
"""Most things are solid, while procedural objects are cut and hollowed out more often than not."""
_SOLID = (0.3, 0.7)
"""Objects that fill less of their hull than the first are seldom learned from, those that fill the second always."""
_SELDOM = 0.1
_USES = 4
"""How often an object is learned from: turned and mirrored otherwise each time, which costs less than to draw it."""
_POSES = 8
_WAITING = 4
"""Batches of objects that wait for their next use, so that the uses of one object lie apart."""


def prior_sample(seed: int, index: int) -> Sample:
    """A random object, in a pose of its own, from random cameras.

    Raises:
        GtrError: ``empty_mask`` when a view shows nothing of it.
    """
    scenes = ProceduralObjects(seed, cut_share=_CUT_SHARE).scenes([index])
    cameras = _cameras(sample_generator(seed, index, 11))
    pictures = pictures_of(scenes, cameras, _RAYS_PER_SIDE)
    nodes = node_positions(torch.arange(RESOLUTION**3), RESOLUTION)
    distance = scenes.distance(nodes[None])[0]
    return Views(pictures.rgba[0], cameras), distance.reshape((RESOLUTION,) * 3)


def prior_batches(size: int, seed: int, threads: int) -> Iterator[list[Sample]]:
    """Batches without end, the same for the same seed.

    Args:
        size: samples in a batch.
        seed: of the objects and of the order.
        threads: that draw objects ahead.
    """
    order = sample_generator(seed, 0, 13)
    waiting: list[tuple[Sample, list[int]]] = []
    batch: list[Sample] = []
    for sample in _wanted_samples(seed, threads):
        waiting.append((sample, torch.randperm(_POSES, generator=order)[:_USES].tolist()))
        while len(waiting) >= _WAITING * size:
            chosen = int(torch.randint(len(waiting), (), generator=order))
            (views, distance), poses = waiting[chosen]
            batch.append(posed(views, distance, poses.pop()))
            if not poses:
                waiting.pop(chosen)
            if len(batch) == size:
                yield batch
                batch = []


def posed(views: Views, distance: Tensor, pose: int) -> Sample:
    """The same object and cameras, turned about the vertical axis and mirrored.

    Args:
        views: of the object.
        distance: (R, R, R) at the nodes.
        pose: 0 to 7: quarter turns, and 4 for a mirror across the plane x = 0 after them.
    """
    turns, mirrored = pose % 4, pose >= 4
    c, s = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
    turn = torch.tensor([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]], dtype=torch.float32)
    cameras = views.cameras
    c2w, intrinsics, rgba = turn @ cameras.c2w, cameras.intrinsics, views.rgba
    distance = distance.rot90(turns, (2, 0))
    if mirrored:
        flip = torch.diag(torch.tensor([-1.0, 1, 1, 1]))
        c2w, rgba, distance = flip @ c2w @ flip, rgba.flip(2), distance.flip(0)
        fx, fy, cx, cy = intrinsics.unbind(-1)
        intrinsics = torch.stack([fx, fy, cameras.width - cx, cy], dim=-1)
    return Views(rgba, Cameras(c2w, intrinsics, cameras.height, cameras.width)), distance


def _wanted_samples(seed: int, threads: int) -> Iterator[Sample]:
    """Samples without end; objects that a view does not show, or that are not wanted, are left out."""

    def make(index: int) -> Sample | None:
        try:
            sample = prior_sample(seed, index)
        except GtrError:
            return None
        return sample if _is_wanted(*sample, sample_generator(seed, index, 12)) else None

    indices = count()
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        ahead = deque(pool.submit(make, next(indices)) for _ in range(8))
        try:
            while True:
                sample = ahead.popleft().result()
                ahead.append(pool.submit(make, next(indices)))
                if sample is not None:
                    yield sample
        finally:
            pool.shutdown(cancel_futures=True)


def _is_wanted(views: Views, distance: Tensor, generator: torch.Generator) -> bool:
    nodes = node_positions(torch.arange(distance.numel()), len(distance))
    hull = HullDistance(views)(nodes)
    filled = float((distance < 0).sum()) / max(int((hull < 0).sum()), 1)
    low, high = _SOLID
    return float(torch.rand((), generator=generator)) < max((filled - low) / (high - low), _SELDOM)


def _cameras(generator: torch.Generator) -> Cameras:
    """As users take their pictures: four sides, the six of a multi-view generator, or 2 to 12 around an object."""

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    kind = uniform(0, 1)
    if kind < 0.25:
        return camera_set("zero123plus", height=_IMAGE_SIZE, width=_IMAGE_SIZE)
    exact = uniform(0, 1) < 0.75
    if kind < 0.7:
        first, elevation = (0.0, 0.0) if exact else (uniform(-45, 45), uniform(-10, 30))
        return _orbit([first + 90 * k for k in range(4)], [elevation] * 4, DISTANCE, FOV_DEGREES)
    number = int(uniform(2, 9)) if uniform(0, 1) < 0.8 else int(uniform(9, 13))
    first, shift = uniform(0, 360), 90 / number
    azimuths = [first + 360 * k / number + uniform(-shift, shift) for k in range(number)]
    fov = FOV_DEGREES if exact else uniform(20, 50)
    distance = DISTANCE * math.tan(math.radians(FOV_DEGREES / 2)) / math.tan(math.radians(fov / 2))
    return _orbit(azimuths, [uniform(-30, 50) for _ in azimuths], max(distance, 2.0), fov)


def _orbit(azimuths: list[float], elevations: list[float], distance: float, fov: float) -> Cameras:
    return orbit(azimuths, elevations, height=_IMAGE_SIZE, width=_IMAGE_SIZE, distance=distance, fov_degrees=fov)
