"""Depth images fused to one signed distance, without thickening thin walls.

Every view tells the point-to-plane distance of its pixel; of these only the views close to the smallest count, a view
that sees through a point makes it outside, and what no view has seen is inside, so that unseen parts close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gtr_core.fit.depth_maps import PixelSquare, distance_to, facing_normals
from gtr_core.fit.sdf_grid import (
    Distance,
    SdfGrid,
    cells_of,
    crossing_cells,
    dense_grid,
    dilate,
    refine_grid,
    spacing_of,
)
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.depth import backproject
from gtr_core.progress import Progress, no_progress

TRUNCATION = 4.0
"""Distances are cut off here, in cells."""
THINNEST = 1.5
"""Least thickness of a wall, in cells: between 1 and the square root of 3, so that it has no holes in any direction."""
_CHUNK = 1 << 16
_OPPOSITE = -0.5
"""Cosine below which two planes are the two sides of a wall."""
_OUTLINE_WEIGHT = 0.05
"""Weight of a background pixel's distance beside the planes' cos^2."""
_UNSEEN = -2.0
"""Mark, in truncations, of a view that is hidden from a point or does not frame it."""


def fuse_depth(
    cameras: Cameras,
    depth: Tensor,
    normal: Tensor | None,
    mask: Tensor,
    resolution: int = 256,
    progress: Progress = no_progress,
) -> SdfGrid:
    """Fuse V depth images.

    Args:
        cameras: of the images.
        depth: (V, H, W) camera z in world units, 0 = nothing there.
        normal: (V, H, W, 3) unit world normals; None = estimated from the depth.
        mask: (V, H, W) in [0, 1]; where it is > 0.5 but the depth is 0, a view knows nothing.
        resolution: nodes along an edge of the grid.
        progress: called as stage "fuse".
    """
    progress("fuse", 0, 4)
    surface = DepthSurface.build(cameras, depth, normal, mask)
    samples = backproject(cameras, depth)[depth > 0]
    progress("fuse", 1, 4)
    sizes = [max(size, 16) for size in (resolution // 4, resolution // 2, resolution)]
    grid = dense_grid(surface.distance(spacing_of(sizes[0])), sizes[0], device=depth.device)
    for step, size in enumerate(sizes[1:]):
        progress("fuse", 2 + step, 4)
        active = cells_of(samples, grid.resolution)
        active |= dilate(crossing_cells(grid.values)) if step == 0 else crossing_cells(grid.values)
        grid = refine_grid(grid, surface.distance(spacing_of(size)), size, active)
    progress("fuse", 4, 4)
    return grid


@dataclass(frozen=True)
class DepthSurface:
    """V depth images made ready for looking up distances.

    Args:
        cameras: of the images.
        pixels: (V, H * W, 6) float32: plane normal, plane offset, cosine to the viewing ray, and the distance in
            pixels to the nearest foreground pixel (0 on the foreground, where the plane holds).
        blocks: (V, (H - 1) * (W - 1), 3) float32 of every 2 x 2 pixels: smallest and largest depth, outline distance.
    """

    cameras: Cameras
    pixels: Tensor
    blocks: Tensor

    @classmethod
    def build(cls, cameras: Cameras, depth: Tensor, normal: Tensor | None, mask: Tensor) -> DepthSurface:
        """Prepare depth (V, H, W), normals (V, H, W, 3) or None, and the soft mask (V, H, W)."""
        points = backproject(cameras, depth)
        rays = normalize(cameras.positions[:, None, None] - points, dim=-1)
        normal = facing_normals(cameras, depth, normal)
        seen = depth > 0
        outline = distance_to(seen)
        offset = (normal * points).sum(-1)
        cosine = (normal * rays).sum(-1).clamp(min=0)
        pixels = torch.cat([normal, torch.stack([offset, cosine, outline], dim=-1)], dim=-1)
        unknown = (mask > 0.5) & (outline > 1.5)
        known = torch.where(seen, depth, torch.full_like(depth, torch.inf)).masked_fill(unknown, 0)
        nearest, farthest = _over_blocks(known, torch.minimum), _over_blocks(depth, torch.maximum)
        blocks = torch.stack([nearest, farthest, _over_blocks(outline, torch.minimum)], dim=-1)
        blocks[..., 2].masked_fill_(_over_blocks(unknown, torch.logical_or), 0)
        return cls(cameras, pixels.flatten(1, 2), blocks.flatten(1, 2))

    def distance(self, spacing: float) -> Distance:
        """The fused distance for grids of this spacing (world units): (N, 3) points -> (N,)."""
        truncation = TRUNCATION * spacing

        def evaluate(points: Tensor) -> Tensor:
            chunks = [self._fuse(chunk, truncation) for chunk in torch.split(points, _CHUNK)]
            return torch.cat(chunks) if chunks else points.new_zeros(0)

        return evaluate

    def _fuse(self, points: Tensor, truncation: float) -> Tensor:
        projected = self.cameras.project(points)
        told = [self._look_up(view, points, projected[view], truncation) for view in range(len(self.cameras))]
        distances, weights, normals = (torch.stack(parts) for parts in zip(*told, strict=True))
        return combine(distances, weights, normals, truncation)

    def _look_up(
        self, view: int, points: Tensor, projected: Tensor, truncation: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What one view tells about points (N, 3): distance (N,), weight (N,), and the plane's normal (N, 3) or 0."""
        z = projected[:, 2]
        square = PixelSquare.at(projected, self.cameras.height, self.cameras.width)
        block = square.row * (self.cameras.width - 1) + square.column
        nearest, farthest, outline = self.blocks[view].index_select(0, block).unbind(-1)
        pixel_size = z / self.cameras.intrinsics[view, 0]
        hidden = ~square.framed | (z > farthest + truncation)
        empty = outline > 0
        distance = torch.where(hidden, _UNSEEN * truncation, nearest - z)
        distance = torch.where(empty & square.framed, outline * pixel_size, distance).clamp(max=truncation)
        weight = torch.full_like(distance, _OUTLINE_WEIGHT)
        close = (~hidden & ~empty & (z > nearest - truncation)).nonzero().squeeze(-1)
        normal = torch.zeros_like(points)
        planes = self._planes(view, points[close], square.select(close), pixel_size[close], truncation)
        distance[close], weight[close], normal[close] = planes
        return distance, weight, normal

    def _planes(
        self, view: int, points: Tensor, square: PixelSquare, pixel_size: Tensor, truncation: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Distance (N,) of points (N, 3) to the planes of their four pixels, cos^2 (N,) and one normal (N, 3).

        Bilinear where the four agree; else the most inside, so that nothing is lost beside an edge.
        """
        pixels = square.gather(self.pixels[view], self.cameras.width)
        distance = (pixels[..., :3] @ points[:, :, None]).squeeze(-1) - pixels[..., 3]
        cosine, outline = pixels[..., 4], pixels[..., 5]
        distance = torch.where(outline > 0, outline * pixel_size[:, None], distance)
        lowest, which = distance.min(-1)
        agree = distance.amax(-1) - lowest < truncation / 4
        shares = square.shares
        cosine = torch.where(agree, (shares * cosine).sum(-1), cosine.gather(1, which[:, None]).squeeze(1))
        distance = torch.where(agree, (shares * distance).sum(-1), lowest)
        pixel = torch.where(agree, shares.argmax(-1), which)
        normal = pixels[torch.arange(len(pixel), device=pixel.device), pixel, :3]
        return distance.clamp(-truncation, truncation), cosine.square() + 1e-3, normal


def combine(distances: Tensor, weights: Tensor, normals: Tensor, truncation: float) -> Tensor:
    """One distance out of what V views tell.

    The weighted mean of the views within truncation / 4 of the smallest size; outside whenever a view sees through.
    Views of the other side of a thin wall are kept apart: they tell its thickness, and a wall thinner than
    :data:`THINNEST` cells (a sheet has none at all) is made that thick, because the grid could not hold it.

    Args:
        distances: (V, N), below -truncation where a view knows nothing.
        weights: (V, N).
        normals: (V, N, 3) of the planes that the distances are to, 0 where there is none.
        truncation: cut-off of the distances, world units.

    Returns:
        (N,).
    """
    knows = distances >= -truncation
    size = torch.where(knows, distances.abs(), torch.full_like(distances, 2 * truncation))
    smallest, which = size.min(0)
    reference = normals.gather(0, which[None, :, None].expand(1, -1, 3))
    opposite = knows & ((normals * reference).sum(-1) < _OPPOSITE)
    near = knows & ~opposite & (size <= smallest + truncation / 4)
    share = weights * near
    mean = (share * distances).sum(0) / share.sum(0).clamp(min=1e-12)
    thinnest = THINNEST / TRUNCATION * truncation
    behind = torch.where(opposite & (distances < thinnest / 8 - mean), distances, -torch.inf).amax(0)
    thickness = (-mean - behind).clamp(min=0)
    mean = mean - (thinnest - thickness).clamp(min=0) / 2
    sees_through = torch.where(knows, distances, -torch.inf).amax(0) > truncation / 4
    mean = torch.where(sees_through & (mean <= 0), smallest.clamp(min=1e-3 * truncation), mean)
    return torch.where(knows.any(0), mean, -truncation)


def _over_blocks(image: Tensor, combine_two: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Combine every 2 x 2 pixels of images (V, H, W): (V, H - 1, W - 1)."""
    rows = combine_two(image[:, 1:], image[:, :-1])
    return combine_two(rows[:, :, 1:], rows[:, :, :-1])
