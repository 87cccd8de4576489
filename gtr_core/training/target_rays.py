"""The rays of the supervising pictures, and the points in front of the true surface."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.data.dataset import PosedPictures
from gtr_core.data.training_cameras import sample_generator
from gtr_core.geometry.rays import pixel_rays
from gtr_core.geometry.volume import intersect_box
from gtr_core.training.ray_rendering import Rays

BIN = 2 / 256
"""Length over which density becomes opacity: about that of a sample of the first stage, world units."""
_MARGIN = 0.02
"""Points stay this far in front of the true surface: the density has to rise somewhere."""


def rays_of(pictures: PosedPictures) -> Rays:
    """The rays through all pixels of all pictures of each object, picture by picture, row by row."""
    origins, directions = pixel_rays(pictures.cameras())
    objects = len(pictures.rgba)
    if pictures.depth is None:
        surface = torch.zeros_like(directions[..., 0])
    else:
        surface = pictures.depth.flatten(0, 1) / along_axis(pictures, directions)
    return Rays(origins.reshape(objects, -1, 3), directions.reshape(objects, -1, 3), surface.reshape(objects, -1))


def along_axis(pictures: PosedPictures, directions: Tensor) -> Tensor:
    """(B V, H, W) camera z of a step of length 1 along directions (B V, H, W, 3)."""
    forward = pictures.c2w.flatten(0, 1)[:, None, None, :3, 2]
    return (directions * forward).sum(-1)


def points_in_front(rays: Rays, count: int, seed: int, indices: Tensor) -> Tensor:
    """(B, count, 3) one random point on each of some random rays, between the box and the true surface.

    Where a ray meets no surface the point lies anywhere in the box (paper section 3.2, the regularisation of equation
    3, as in the released configuration). A ray that has no room in front of the surface, or passes the box by, gives
    the point at the camera's end of it, where the field is asked outside the box or right at its border.
    """
    flat = [part.flatten(0, 1) for part in (rays.origins, rays.directions)]
    near, far, hit = (part.view(rays.surface.shape) for part in intersect_box(*flat))
    end = torch.where(rays.surface > 0, torch.minimum(rays.surface - _MARGIN, far), far)
    chosen, share = _choices(hit, count, seed, indices)
    origins, directions = (_gathered(part, chosen) for part in (rays.origins, rays.directions))
    near, end = near.gather(1, chosen), end.gather(1, chosen)
    distance = near + (end - near).clamp(min=0) * share
    return origins + distance[..., None] * directions


def points_behind(rays: Rays, index: int, depth: float = 0.03) -> Tensor:
    """(1, N, 3) points just behind the true surface on the rays of one object that meet it."""
    met = rays.surface[index] > 0
    distance = rays.surface[index, met] + depth
    return (rays.origins[index, met] + distance[:, None] * rays.directions[index, met])[None]


def _choices(hit: Tensor, count: int, seed: int, indices: Tensor) -> tuple[Tensor, Tensor]:
    """(B, count) numbers of rays that meet the box, and (B, count) a share of the way, by the samples' generators."""
    device = hit.device
    generators = [sample_generator(seed, index, 2, device=device) for index in indices.tolist()]
    draws = torch.stack([torch.rand((2, count), generator=generator, device=device) for generator in generators])
    # those that meet the box first, in their order; without waiting for the device, as nonzero would
    usable = hit.byte().argsort(dim=1, descending=True, stable=True)
    number = hit.sum(1, keepdim=True)
    number = torch.where(number > 0, number, hit.shape[1])
    place = (draws[:, 0] * number).long().minimum(number - 1)
    return usable.gather(1, place), draws[:, 1]


def _gathered(values: Tensor, chosen: Tensor) -> Tensor:
    return values.gather(1, chosen[..., None].expand(-1, -1, 3))
