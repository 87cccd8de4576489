"""Pictures of a moving surface: colour, coverage, depth and normals with gradients (paper section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.fields.output import RenderOutput
from gtr_core.fields.render_mesh import clip_positions
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rasterize import Rasterizer


def draw_surface(
    field: TriplaneField,
    vertices: Tensor,
    faces: Tensor,
    cameras: Cameras,
    rasterizer: Rasterizer,
    *,
    normals: bool,
    background: float = 1.0,
) -> RenderOutput:
    """Rasterise the surface and ask the field for the colour of every pixel.

    Colour and mask are blended across silhouettes, through which the outline has gradients; depth and normals are
    those of the pixel centre.

    Args:
        field: of the object.
        vertices: (N, 3), differentiable.
        faces: (M, 3).
        cameras: V of them.
        rasterizer: the backend.
        normals: whether they are wanted; otherwise they are 0.
        background: grey value behind the object.
    """
    size = (cameras.height, cameras.width)
    positions = clip_positions(vertices, cameras)
    raster = rasterizer.rasterize(positions, faces, size)
    points = rasterizer.interpolate(vertices, raster, faces)
    covered = raster[..., 3].detach() > 0
    seen = field.radiance(points[covered])
    color = torch.full_like(points, background).masked_scatter(covered[..., None], seen)
    layers = torch.cat([color, covered[..., None].float()], dim=-1)
    layers = rasterizer.antialias(layers, raster, positions, faces)
    forward = cameras.w2c[:, 2]
    depth = (points * forward[:, None, None, :3]).sum(-1) + forward[:, None, None, 3]
    normal = torch.zeros_like(points)
    if normals:
        spread = rasterizer.interpolate(Mesh(vertices, faces).vertex_normals, raster, faces)
        normal = functional.normalize(spread, dim=-1)
    return RenderOutput(layers[..., :3], layers[..., 3], depth * covered, normal)


def draw_nothing(cameras: Cameras, background: float = 1.0) -> RenderOutput:
    """Pictures of an object without a surface."""
    shape = (len(cameras), cameras.height, cameras.width)
    empty = cameras.c2w.new_zeros(shape)
    return RenderOutput(empty.new_full((*shape, 3), background), empty, empty, empty.new_zeros((*shape, 3)))
