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
_LEAST_COSINE = 0.05
_LEAST_SHARE = 0.1
"""A pixel of the four with less than this bilinear weight is no reason to call a point inside."""
_LEAST_COVERAGE = 0.6
"""Coverage of a pixel whose centre is on the surface: what is thinner than a pixel is kept."""
_OPPOSITE = -0.5
"""Cosine below which two planes are the two sides of a wall."""
_OUTLINE_WEIGHT = 1.0
"""Weight of a distance that is not to a plane: these only count among themselves."""
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
        pixels: (V, H * W, 6) float32: plane normal, plane offset, cosine to the viewing ray (-1 where there is no
            surface), and coverage: at least :data:`_LEAST_COVERAGE` on the surface, at most 0.5 off it.
        blocks: (V, (H - 1) * (W - 1), 4) float32 of every 2 x 2 pixels: smallest and largest depth, smallest cosine,
            and pixels to the outline where all four are background, 0 where some are, -1 where none is.
        complete: for each view, whether the object ends inside the image: then all that it does not frame is outside.
    """

    cameras: Cameras
    pixels: Tensor
    blocks: Tensor
    complete: tuple[bool, ...]

    @classmethod
    def build(cls, cameras: Cameras, depth: Tensor, normal: Tensor | None, mask: Tensor) -> DepthSurface:
        """Prepare depth (V, H, W), normals (V, H, W, 3) or None, and the soft mask (V, H, W)."""
        points = backproject(cameras, depth)
        rays = normalize(cameras.positions[:, None, None] - points, dim=-1)
        normal = facing_normals(cameras, depth, normal, points)
        seen = depth > 0
        to_surface = distance_to(seen)
        offset = (normal * points).sum(-1)
        cosine = (normal * rays).sum(-1).clamp(min=0)
        coverage = torch.where(seen, mask.clamp(min=_LEAST_COVERAGE), mask.clamp(max=0.5))
        pixels = [*normal.unbind(-1), offset, torch.where(seen, cosine, -1.0), coverage]
        unknown = (mask > 0.5) & (to_surface > 1.5)
        nearest = _over_blocks(torch.where(seen, depth, torch.inf).masked_fill(unknown, 0), torch.minimum)
        steepest = _over_blocks(torch.where(seen, cosine.clamp(min=_LEAST_COSINE), 1.0), torch.minimum)
        outline = _over_blocks((to_surface - 0.5).clamp(min=0), torch.minimum)
        full = _over_blocks(seen, torch.logical_and) | _over_blocks(unknown, torch.logical_or)
        outline.masked_fill_(full, -1)
        blocks = [nearest, _over_blocks(depth, torch.maximum), steepest, outline]
        shown = seen | (mask > 0.5)
        border = torch.cat([shown[:, [0, -1]].flatten(1), shown[:, :, [0, -1]].flatten(1)], dim=1)
        pixel_table, block_table = (torch.stack(parts, dim=-1).flatten(1, 2) for parts in (pixels, blocks))
        return cls(cameras, pixel_table, block_table, tuple((~border.any(1)).tolist()))

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
        nearest, farthest, cosine, outline = self.blocks[view].index_select(0, block).unbind(-1)
        # The way along the ray is 1 / cosine times as long as the way to the plane.
        reach = truncation / cosine
        pixel_size = z / self.cameras.intrinsics[view, 0]
        told = torch.where(z > farthest + reach, _UNSEEN * truncation, nearest - z)
        told = torch.where(outline > 0, outline * pixel_size, told).clamp(max=truncation)
        beside = torch.where((z > 0) & self.complete[view], truncation, _UNSEEN * truncation)
        distance = torch.where(square.framed, told, beside)
        weight, normal = torch.zeros_like(distance), torch.zeros_like(points)
        between = (z > nearest - reach) & (z < farthest + reach)
        close = (square.framed & (outline <= 0) & (between | (outline == 0))).nonzero().squeeze(-1)
        planes = self._planes(view, points[close], square.select(close), pixel_size[close], truncation)
        distance[close], weight[close], normal[close] = planes
        # Far along the ray a plane still tells on which side a point lies, but no more how far the surface is.
        ahead = close[nearest[close] - z[close] > truncation]
        beyond = distance[ahead] > truncation / 4
        distance[ahead] = torch.where(beyond, truncation, distance[ahead])
        weight[ahead] = 0
        return distance, weight, normal

    def _planes(
        self, view: int, points: Tensor, square: PixelSquare, pixel_size: Tensor, truncation: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Distance (N,) of points (N, 3) to the planes of their four pixels, cos^2 (N,) and one normal (N, 3).

        Bilinear where the four agree; else the most inside, so that nothing is lost beside an edge. Where the pixels
        are less than half covered, the distance to the outline, with weight 0.
        """
        pixels, shares = square.gather(self.pixels[view], self.cameras.width), square.shares
        cosine = pixels[..., 4]
        solid = cosine >= 0
        coverage = (shares * pixels[..., 5]).sum(-1)
        planes = (pixels[..., :3] @ points[:, :, None]).squeeze(-1) - pixels[..., 3]
        lowest, which = torch.where(solid & (shares > _LEAST_SHARE), planes, torch.inf).min(-1)
        highest = torch.where(solid, planes, -torch.inf).amax(-1)
        agree = highest - torch.where(solid, planes, torch.inf).amin(-1) < truncation / 4
        shares = shares * solid
        total = shares.sum(-1).clamp(min=1e-6)
        distance = torch.where(agree, (shares * planes).sum(-1) / total, lowest).clamp(-truncation, truncation)
        pixel = torch.where(agree, shares.argmax(-1), which)
        row = torch.arange(len(pixel), device=pixel.device)
        weight = cosine[row, pixel].clamp(min=0).square() + 1e-3
        past = coverage < 0.5
        distance = torch.where(past, (0.5 - coverage) * pixel_size, distance)
        normal = pixels[row, pixel, :3] * ~past[:, None]
        return distance, weight.masked_fill(past, 0), normal


def combine(distances: Tensor, weights: Tensor, normals: Tensor, truncation: float) -> Tensor:
    """One distance out of what V views tell.

    The weighted mean of the views within truncation / 4 of the smallest size; outside whenever a view sees through.
    Views of the other side of a thin wall are kept apart: they tell its thickness, and a wall thinner than
    :data:`THINNEST` cells (a sheet has none at all) is made that thick, because the grid could not hold it.

    Args:
        distances: (V, N), below -truncation where a view knows nothing.
        weights: (V, N), 0 where the distance is not to a plane but to an outline or along the ray.
        normals: (V, N, 3) of the planes that the distances are to, 0 where there is none.
        truncation: cut-off of the distances, world units.

    Returns:
        (N,).
    """
    knows = distances >= -truncation
    is_plane = weights > 0
    size = torch.where(knows, distances.abs() + ~is_plane * truncation, 3 * truncation)
    thinnest = THINNEST / TRUNCATION * truncation
    # Off a sheet its two sides are equally far; the one that sees the point decides.
    which = torch.where(distances > 0, size - thinnest / 8, size).argmin(0)[None]
    smallest = size.gather(0, which).squeeze(0)
    reference = normals.gather(0, which[..., None].expand(1, -1, 3))
    opposite = is_plane & ((normals * reference).sum(-1) < _OPPOSITE)
    near = knows & ~opposite & (size <= smallest + truncation / 4)
    share = torch.where(is_plane, weights, _OUTLINE_WEIGHT) * near
    mean = (share * distances).sum(0) / share.sum(0).clamp(min=1e-12)
    behind = torch.where(opposite & (distances < thinnest / 8 - mean), distances, -torch.inf).amax(0)
    thickness = (-mean - behind).clamp(min=0)
    # A view along a sheet sees through the thickness that the sheet is given, so that comes last.
    thickened = mean - (thinnest - thickness).clamp(min=0) / 2
    past = torch.minimum(mean.abs(), _least_positive(distances))
    mean = torch.where(_seen_through(distances, is_plane, mean, truncation), past, thickened)
    return torch.where(knows.any(0), mean, -truncation)


def _seen_through(distances: Tensor, is_plane: Tensor, mean: Tensor, truncation: float) -> Tensor:
    """Points (N,) inside by the mean that a view sees clearly past, or at all when they lie deep."""
    clearly = distances.amax(0) > truncation / 4
    past_outline = torch.where(is_plane, -torch.inf, distances).amax(0) > truncation / 32
    return (mean <= 0) & (clearly | past_outline)


def _least_positive(distances: Tensor) -> Tensor:
    """Smallest distance > 0 of the views (V, N): (N,); inf where there is none."""
    return torch.where(distances > 0, distances, torch.inf).amin(0)


def _over_blocks(image: Tensor, combine_two: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Combine every 2 x 2 pixels of images (V, H, W): (V, H - 1, W - 1)."""
    rows = combine_two(image[:, 1:], image[:, :-1])
    return combine_two(rows[:, :, 1:], rows[:, :, :-1])
