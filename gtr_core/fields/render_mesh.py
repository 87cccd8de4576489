"""Pictures of a mesh: vertex colours, a texture, or a field asked at every pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.fields.field import Field
from gtr_core.fields.output import RenderOutput
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rasterize import Rasterizer, get_rasterizer

GREY = 0.8
"""sRGB value of a mesh without any colour."""


def render_mesh(
    mesh: Mesh,
    cameras: Cameras,
    *,
    field: Field | None = None,
    background: float = 1.0,
    supersample: int = 1,
    rasterizer: Rasterizer | None = None,
) -> RenderOutput:
    """Draw the mesh from every camera.

    The colour of a pixel comes from ``field`` at its surface point if one is given, else from the texture, else from
    the vertex colours, else it is a light grey.

    Args:
        mesh: what to draw.
        cameras: from where; height and width of the pictures.
        field: asked for the colour at (P, 3) surface points.
        background: grey value behind the object.
        supersample: side of the square of samples per pixel; 1 samples the pixel centre only. Colour and coverage are
            averaged over the samples, depth and normal over those that hit.
        rasterizer: the backend; None chooses it by the mesh's device.

    Returns:
        The pictures; normals are those of the triangles.
    """
    rasterizer = rasterizer or get_rasterizer(mesh.vertices.device)
    fine = cameras.resized(cameras.height * supersample, cameras.width * supersample)
    views = [_render_view(mesh, fine[[k]], field, rasterizer) for k in range(len(cameras))]
    rgb, mask, depth, normal = (torch.stack(parts) for parts in zip(*views, strict=True))
    rgb, share = _mean(rgb, supersample), _mean(mask, supersample)
    covered = share.clamp(min=1e-12)
    return RenderOutput(
        rgb=rgb + background * (1 - share),
        mask=share.squeeze(-1),
        depth=(_mean(depth, supersample) / covered).squeeze(-1),
        normal=torch.nn.functional.normalize(_mean(normal, supersample), dim=-1),
    )


def clip_positions(vertices: Tensor, cameras: Cameras) -> Tensor:
    """(V, N, 4) clip-space positions of world points (N, 3)."""
    matrix = cameras.clip_from_world
    return vertices @ matrix[:, :, :3].transpose(1, 2) + matrix[:, None, :, 3]


def _render_view(
    mesh: Mesh, camera: Cameras, field: Field | None, rasterizer: Rasterizer
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colour (H, W, 3) and depth (H, W, 1) times coverage, coverage (H, W, 1) and normal (H, W, 3) of one view."""
    size = (camera.height, camera.width)
    raster = rasterizer.rasterize(clip_positions(mesh.vertices, camera), mesh.faces, size)
    mask = (raster[..., 3:] > 0).float()
    points = rasterizer.interpolate(mesh.vertices, raster, mesh.faces)
    forward = camera.w2c[0, 2]
    depth = (points @ forward[:3, None] + forward[3]) * mask
    face = raster[..., 3].long() - 1
    normal = mesh.face_normals[face.clamp(min=0)] * mask
    rgb = _colors(mesh, raster, points, field, rasterizer) * mask
    return rgb[0], mask[0], depth[0], normal[0]


def _colors(mesh: Mesh, raster: Tensor, points: Tensor, field: Field | None, rasterizer: Rasterizer) -> Tensor:
    if field is not None:
        rgb = torch.zeros_like(points)
        covered = raster[..., 3] > 0
        rgb[covered] = field.color(points[covered])
        return rgb
    if mesh.texture is not None and mesh.uv is not None:
        return sample_texture(mesh.texture, rasterizer.interpolate(mesh.uv, raster, mesh.faces))
    if mesh.colors is not None:
        return rasterizer.interpolate(mesh.colors, raster, mesh.faces)
    return torch.full_like(points, GREY)


def sample_texture(texture: Tensor, uv: Tensor) -> Tensor:
    """Bilinear lookup with repetition, as glTF has it.

    Args:
        texture: (H, W, C), row 0 at the top.
        uv: (..., 2), v up; texel centres at half texels.

    Returns:
        (..., C).
    """
    height, width = texture.shape[:2]
    x, y = uv[..., 0] * width - 0.5, (1 - uv[..., 1]) * height - 0.5
    left, top = x.floor(), y.floor()
    right_share, low_share = (x - left)[..., None], (y - top)[..., None]
    columns = (left.long() % width, (left.long() + 1) % width)
    rows = (top.long() % height, (top.long() + 1) % height)
    upper = texture[rows[0], columns[0]] * (1 - right_share) + texture[rows[0], columns[1]] * right_share
    lower = texture[rows[1], columns[0]] * (1 - right_share) + texture[rows[1], columns[1]] * right_share
    return upper * (1 - low_share) + lower * low_share


def _mean(images: Tensor, factor: int) -> Tensor:
    """(V, H f, W f, C) -> (V, H, W, C) means over squares of ``factor`` pixels."""
    if factor == 1:
        return images
    views, height, width, channels = images.shape
    split = images.view(views, height // factor, factor, width // factor, factor, channels)
    return split.mean(dim=(2, 4))
