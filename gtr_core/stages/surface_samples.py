"""Where the pixels of the input views meet the mesh: what texture refinement learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.fields.render_mesh import clip_positions
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rasterize import Rasterizer, get_rasterizer
from gtr_core.geometry.rays import pixel_rays
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
        mesh: the surface.
        face: (P, S) int64 face that the sample meets, -1 where it meets none.
        uv: (P, S, 2) barycentric coordinates of the face's vertices 0 and 1.
        target: (P, 3) sRGB of the image over the background.
        held_out: (P,) whether the pixel lies in a held-out block.
        num_pixels: all pixels of the views, also those that no sample of which meets the surface.
        missed_l1: sum over those other pixels and channels of |target - background|.
        missed_l2: the same of its square.
    """

    mesh: Mesh
    face: Tensor
    uv: Tensor
    target: Tensor
    held_out: Tensor
    num_pixels: int
    missed_l1: float
    missed_l2: float

    def __len__(self) -> int:
        return len(self.face)

    def missed(self, loss: str) -> float:
        """What the pixels without surface add to the summed loss."""
        return self.missed_l1 if loss == "l1" else self.missed_l2

    def corners(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices (K, 3) and their weights (K, 3) of the K samples of the chosen pixels that meet the surface."""
        hit = self.face[chosen] >= 0
        uv = self.uv[chosen][hit]
        return self.mesh.faces[self.face[chosen][hit]], torch.cat([uv, 1 - uv.sum(1, keepdim=True)], dim=1)

    def points(self, chosen: Tensor) -> Tensor:
        """(K, 3) world positions of the same samples."""
        corners, weights = self.corners(chosen)
        return (self.mesh.vertices[corners] * weights[..., None]).sum(1)

    def first_points(self, chosen: Tensor) -> Tensor:
        """(P, 3) world position of one sample of each of the chosen pixels."""
        face, uv = self.face[chosen], self.uv[chosen]
        first = (face >= 0).int().argmax(1, keepdim=True)
        face, uv = face.gather(1, first).squeeze(1), uv.gather(1, first[..., None].expand(-1, -1, 2)).squeeze(1)
        weights = torch.cat([uv, 1 - uv.sum(1, keepdim=True)], dim=1)
        return (self.mesh.vertices[self.mesh.faces[face]] * weights[..., None]).sum(1)


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
    normals = mesh.face_normals
    parts, missed = [], torch.zeros(2, dtype=torch.float64)
    for view in range(len(views)):
        camera = views.cameras[[view]]
        fine = camera.resized(camera.height * config.supersample, camera.width * config.supersample)
        raster = rasterizer.rasterize(clip_positions(mesh.vertices, fine), mesh.faces, (fine.height, fine.width))
        samples = _group(raster[0], config.supersample)
        face = samples[..., 3].long() - 1
        used = (face >= 0).any(1)
        target = images[view].reshape(-1, 3)
        outside = (target[~used] - config.background).double()
        missed += torch.stack([outside.abs().sum(), outside.square().sum()]).cpu()
        if config.inner_pixels_only:
            used = used & _inner(views.mask[view]).flatten()
        pixels = used.nonzero().squeeze(1)
        if config.inner_pixels_only:
            directions = pixel_rays(camera)[1].view(-1, 3)[pixels]
            pixels = pixels[_facing(normals, face[pixels], directions)]
        parts.append((face[pixels], samples[pixels][..., :2], target[pixels], held_out[view].flatten()[pixels]))
    face, uv, target, held = (torch.cat(values) for values in zip(*parts, strict=True))
    return SurfaceSamples(mesh, face, uv, target, held, images[..., 0].numel(), float(missed[0]), float(missed[1]))


def _facing(normals: Tensor, face: Tensor, directions: Tensor) -> Tensor:
    """(P,) whether all faces (P, S) that a pixel meets are turned towards its ray (P, 3)."""
    cosine = -(normals[face.clamp(min=0)] * directions[:, None]).sum(-1)
    return ((face < 0) | (cosine > _MIN_COSINE)).all(1)


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
