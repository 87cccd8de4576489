"""Exact views of procedural objects: colour, mask, depth, normal for any camera."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.data.procedural.scenes import Scene
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.rays import pixel_rays
from gtr_core.views import Views


def render(scene: Scene, cameras: Cameras, *, supersample: int = 1) -> Views:
    """Views of one object.

    Colour and mask are averaged over the pixel; depth and normal are those of its centre.

    Args:
        scene: the object.
        cameras: from where, and the size of the pictures; on the device of the scene's tracer.
        supersample: side of the square of colour samples per pixel.

    Raises:
        GtrError: ``empty_mask`` when a camera does not see the object.
    """
    rgb, mask, depth, normal = _trace(scene, cameras)
    if supersample > 1:
        fine = cameras.resized(cameras.height * supersample, cameras.width * supersample)
        rgb, mask, *_ = _trace(scene, fine)
        mask = _averaged(mask[..., None], supersample)[..., 0]
        rgb = _averaged(rgb, supersample) / mask[..., None].clamp(min=1e-6)
    rgba = torch.cat([rgb, mask[..., None]], dim=-1).clamp(0, 1)
    return Views(rgba, cameras, depth, normal)


def _trace(scene: Scene, cameras: Cameras) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    origins, directions = pixel_rays(cameras)
    hits = scene.trace(origins.reshape(-1, 3), directions.reshape(-1, 3))
    assert hits.color is not None
    forward = cameras.c2w[:, None, None, :3, 2]
    shape = origins.shape[:3]
    depth = hits.distance[0].view(shape) * (directions * forward).sum(-1)
    mask = hits.mask[0].view(shape).to(depth.dtype)
    return hits.color[0].view(*shape, 3), mask, depth, hits.normal[0].view(*shape, 3)


def _averaged(image: Tensor, factor: int) -> Tensor:
    """Mean over squares of pixels: (V, H f, W f, C) to (V, H, W, C); colours are 0 where the mask is."""
    return torch.nn.functional.avg_pool2d(image.movedim(-1, 1), factor).movedim(1, -1)
