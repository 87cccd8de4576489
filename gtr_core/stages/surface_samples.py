"""Where the pixels of the input views meet the mesh: what texture refinement learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.fields.render_mesh import clip_positions
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rasterize import Rasterizer, get_rasterizer
from gtr_core.stages.texture_config import TextureConfig
from gtr_core.views import Views

_BLOCK = 16
"""Side of the held-out image blocks in pixels."""
_MIN_COSINE = 0.2
"""Surfaces seen at a flatter angle are left out with ``inner_pixels_only``."""


@dataclass(frozen=True)
class SurfaceSamples:
    """P pixels with S samples each.

    Args:
        points: (P, S, 3) world positions of the surface; anything where ``hit`` is false.
        hit: (P, S) whether the sample meets the surface.
        target: (P, 3) sRGB of the image over the background.
        held_out: (P,) whether the pixel lies in a held-out block.
        num_pixels: all pixels of the views, also those that no sample of which meets the surface.
        missed_l1: sum over those other pixels and channels of |target - background|.
        missed_l2: the same of its square.
    """

    points: Tensor
    hit: Tensor
    target: Tensor
    held_out: Tensor
    num_pixels: int
    missed_l1: float
    missed_l2: float

    def missed(self, loss: str) -> float:
        """What the pixels without surface add to the summed loss."""
        return self.missed_l1 if loss == "l1" else self.missed_l2


def sample_surface(
    mesh: Mesh, views: Views, config: TextureConfig, *, seed: int = 0, rasterizer: Rasterizer | None = None
) -> SurfaceSamples:
    """Rasterise the mesh once into every view.

    Args:
        mesh: the geometry, which refinement does not change.
        views: the input views.
        config: ``supersample``, ``background``, ``inner_pixels_only`` and ``held_out`` are used.
        seed: chooses the held-out blocks.
        rasterizer: the backend; None chooses it by the mesh's device.
    """
    rasterizer = rasterizer or get_rasterizer(mesh.vertices.device)
    generator = torch.Generator().manual_seed(seed)
    images = views.composite(config.background)
    held_out = _held_out_blocks(views, config.held_out, generator)
    parts, missed = [], torch.zeros(2, dtype=torch.float64)
    for view in range(len(views)):
        points, hit, facing = _sample_view(mesh, views[[view]], config.supersample, rasterizer)
        target = images[view].reshape(-1, 3)
        used = hit.any(1)
        outside = (target[~used] - config.background).double()
        missed += torch.stack([outside.abs().sum(), outside.square().sum()]).cpu()
        if config.inner_pixels_only:
            used = used & _inner(views.mask[view]).flatten() & facing
        parts.append((points[used], hit[used], target[used], held_out[view].flatten()[used]))
    points, hit, target, held = (torch.cat(values) for values in zip(*parts, strict=True))
    return SurfaceSamples(points, hit, target, held, images[..., 0].numel(), float(missed[0]), float(missed[1]))


def _sample_view(mesh: Mesh, view: Views, supersample: int, rasterizer: Rasterizer) -> tuple[Tensor, Tensor, Tensor]:
    """Points (H W, S, 3), hits (H W, S) and whether all hits of a pixel face the camera (H W,) of one view."""
    height, width = view.cameras.height, view.cameras.width
    fine = view.cameras.resized(height * supersample, width * supersample)
    raster = rasterizer.rasterize(clip_positions(mesh.vertices, fine), mesh.faces, (fine.height, fine.width))
    points = rasterizer.interpolate(mesh.vertices, raster, mesh.faces)
    hit = raster[..., 3:] > 0
    normal = mesh.face_normals[(raster[..., 3].long() - 1).clamp(min=0)]
    toward = functional.normalize(view.cameras.positions[:, None, None] - points, dim=-1)
    facing = ~hit | ((normal * toward).sum(-1, keepdim=True) > _MIN_COSINE)
    points, hit, facing = (_group(values[0], supersample) for values in (points, hit, facing))
    return points, hit[..., 0], facing[..., 0].all(1)


def _group(image: Tensor, factor: int) -> Tensor:
    """(H f, W f, C) -> (H W, f f, C): the samples of each pixel side by side."""
    height, width, channels = image.shape[0] // factor, image.shape[1] // factor, image.shape[2]
    split = image.view(height, factor, width, factor, channels).transpose(1, 2)
    return split.reshape(height * width, factor * factor, channels)


def _inner(mask: Tensor) -> Tensor:
    """(H, W) pixels that are opaque together with their eight neighbours."""
    return -functional.max_pool2d(-mask[None, None], 3, stride=1, padding=1)[0, 0] > 0.99


def _held_out_blocks(views: Views, share: float, generator: torch.Generator) -> Tensor:
    """(V, H, W) bool: random blocks of ``_BLOCK`` pixels."""
    height, width = views.cameras.height, views.cameras.width
    blocks = torch.rand(len(views), -(-height // _BLOCK), -(-width // _BLOCK), generator=generator) < share
    blocks = blocks.repeat_interleave(_BLOCK, 1).repeat_interleave(_BLOCK, 2)
    return blocks[:, :height, :width].to(views.rgba.device)
