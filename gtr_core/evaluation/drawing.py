"""The pictures of a result in the novel views, rasterised once per shape and coloured once per variant."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gtr_core.fields.field import Field
from gtr_core.fields.output import RenderOutput
from gtr_core.fields.render_mesh import GREY, clip_positions, render_mesh, sample_texture
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rasterize import get_rasterizer
from gtr_core.progress import Progress, no_progress

_POINTS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class _Samples:
    """The samples of one view that hit the surface.

    Args:
        pixel: (K,) index of the pixel that each belongs to.
        corners: (K, 3) vertices of the face.
        weights: (K, 3) barycentric coordinates.
    """

    pixel: Tensor
    corners: Tensor
    weights: Tensor

    def mix(self, values: Tensor) -> Tensor:
        """(K, C) of values (N, C) at the vertices."""
        return sum(self.weights[:, k : k + 1] * values.index_select(0, self.corners[:, k]) for k in range(3))  # type: ignore[return-value]


class Drawing:
    """A shape as the cameras see it.

    Colours are averaged over the samples of a pixel, as :func:`gtr_core.fields.render_mesh.render_mesh` does; depth,
    normal and mask are those of the pixel's centre, and normals face the camera: as in the true views.

    Args:
        mesh: the shape; its colours do not matter yet.
        cameras: of the novel views.
        supersample: side of the square of colour samples per pixel.
        background: grey value behind the object.
        progress: stage ``draw``, once per view.
    """

    def __init__(
        self,
        mesh: Mesh,
        cameras: Cameras,
        *,
        supersample: int,
        background: float,
        progress: Progress = no_progress,
    ) -> None:
        self._cameras, self._per_pixel, self._background = cameras, supersample**2, background
        self._samples = []
        for view in range(len(cameras)):
            progress("draw", view, len(cameras))
            self._samples.append(_samples(mesh, cameras[[view]], supersample))
        centre = render_mesh(Mesh(mesh.vertices, mesh.faces), cameras)
        self.centre = replace(centre, normal=facing(centre, cameras))

    def colors(self, mesh: Mesh, field: Field | None, progress: Progress = no_progress) -> Tensor:
        """(V, H, W, 3) sRGB over the background.

        Args:
            mesh: the same shape, with colours or a texture, if it has any.
            field: asked for the colour of every sample instead, when given.
            progress: stage ``draw``, once per view.
        """
        height, width = self._cameras.height, self._cameras.width
        pictures = []
        for view, samples in enumerate(self._samples):
            progress("draw", view, len(self._samples))
            total = mesh.vertices.new_zeros(height * width, 3)
            total.index_add_(0, samples.pixel, _colors(samples, mesh, field))
            hits = torch.bincount(samples.pixel, minlength=height * width)[:, None]
            share = hits / self._per_pixel
            pictures.append((total / self._per_pixel + self._background * (1 - share)).view(height, width, 3))
        return torch.stack(pictures)


def facing(output: RenderOutput, cameras: Cameras) -> Tensor:
    """(V, H, W, 3) the normals of a picture, turned towards the camera where they point away from it."""
    rows, columns = torch.meshgrid(
        torch.arange(cameras.height, device=output.normal.device) + 0.5,
        torch.arange(cameras.width, device=output.normal.device) + 0.5,
        indexing="ij",
    )
    fx, fy, cx, cy = (value[:, None, None] for value in cameras.intrinsics.unbind(-1))
    ray = torch.stack([(columns - cx) / fx, (rows - cy) / fy, torch.ones_like(rows).expand(len(cameras), -1, -1)], -1)
    direction = ray @ cameras.c2w[:, None, :3, :3].transpose(-1, -2)
    away = (output.normal * direction).sum(-1, keepdim=True) > 0
    return torch.where(away, -output.normal, output.normal)


def _samples(mesh: Mesh, camera: Cameras, supersample: int) -> _Samples:
    rasterizer = get_rasterizer(mesh.vertices.device)
    height, width = camera.height * supersample, camera.width * supersample
    clip = clip_positions(mesh.vertices, camera.resized(height, width))
    raster = rasterizer.rasterize(clip, mesh.faces, (height, width)).view(-1, 4)
    hit = (raster[:, 3] > 0).nonzero().squeeze(1)
    u, v, _, face = raster[hit].unbind(1)
    pixel = (hit // width // supersample) * camera.width + hit % width // supersample
    return _Samples(pixel, mesh.faces[face.long() - 1], torch.stack([u, v, 1 - u - v], dim=1))


def _colors(samples: _Samples, mesh: Mesh, field: Field | None) -> Tensor:
    """(K, 3) sRGB of the samples."""
    if field is not None:
        points = samples.mix(mesh.vertices)
        with torch.no_grad():
            parts = [field.color(part) for part in torch.split(points, _POINTS_AT_ONCE)]
        return torch.cat(parts).clamp(0, 1)
    if mesh.texture is not None and mesh.uv is not None:
        return sample_texture(mesh.texture, samples.mix(mesh.uv))
    if mesh.colors is not None:
        return samples.mix(mesh.colors)
    return torch.full_like(samples.weights, GREY)
