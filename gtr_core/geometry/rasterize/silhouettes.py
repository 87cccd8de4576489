"""Blending of pixel pairs across silhouette edges (analytic antialiasing; Laine et al. 2020, section 3.6).

Two neighbouring pixels that show different faces are a pair. The nearer face's edges are tried: if one of them is a
silhouette edge and passes between the two pixel centres, then the colour of one pixel leaks into the other, linearly
in where the edge passes: nothing when it passes half way, half of it when it passes through a centre. The crossing
depends smoothly on the vertices, and that is the gradient of visibility.
"""

from __future__ import annotations

import torch
from torch import Tensor


def blend_silhouettes(image: Tensor, raster: Tensor, pos_clip: Tensor, faces: Tensor) -> Tensor:
    """Antialias ``image`` (V, H, W, C); see :meth:`gtr_core.geometry.rasterize.interface.Rasterizer.antialias`."""
    height, width = raster.shape[1:3]
    ids = raster[..., 3].long() - 1
    opposite = opposite_corners(faces)
    flat = image.reshape(-1, image.shape[-1])
    result = flat
    for step, axis in ((1, 2), (width, 1)):
        first = _pairs(ids, axis)
        near_is_first = _nearer(ids, raster[..., 2], first, first + step)
        near = torch.where(near_is_first, first, first + step)
        far = torch.where(near_is_first, first + step, first)
        blend = _crossings(near, far, ids.flatten(), pos_clip, faces, opposite, (height, width), axis)
        if blend is None:
            continue
        chosen, position = blend
        near, far = near[chosen], far[chosen]
        grows = position > 0.5
        target, source = torch.where(grows, far, near), torch.where(grows, near, far)
        weight = (position - 0.5).abs()[:, None]
        result = result.index_add(0, target, weight.to(flat.dtype) * (flat[source] - flat[target]))
    return result.view(image.shape)


def opposite_corners(faces: Tensor) -> Tensor:
    """(M, 3) int64: across the edge opposite each corner, the far corner of the adjacent face.

    -1 where the edge has no neighbour, or more than one (then it always counts as a silhouette).
    """
    ends = torch.stack([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]], dim=1).view(-1, 2).sort(dim=1).values
    key = ends[:, 0] * (int(faces.max()) + 1 if len(faces) else 1) + ends[:, 1]
    key, order = key.sort()
    corner = faces.reshape(-1)[order]
    same = key[1:] == key[:-1]
    starts = torch.cat([same.new_ones(1), ~same]) if len(key) else same
    run = starts.long().cumsum(0) - 1
    length = torch.bincount(run)
    is_pair = length[run] == 2
    other = torch.where(starts, corner.roll(-1), corner.roll(1))
    result = torch.full_like(corner, -1)
    result[order] = torch.where(is_pair, other, -1)
    return result.view(-1, 3)


def _pairs(ids: Tensor, axis: int) -> Tensor:
    """Flat indices of the pixels whose right (axis 2) or lower (axis 1) neighbour shows another face."""
    count = ids.shape[axis] - 1
    differ = torch.zeros_like(ids, dtype=torch.bool)
    differ.narrow(axis, 0, count).copy_(ids.narrow(axis, 0, count) != ids.narrow(axis, 1, count))
    return differ.flatten().nonzero().squeeze(1)


def _nearer(ids: Tensor, depth: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Whether the first pixel of each pair shows the nearer surface."""
    depth = torch.where(ids >= 0, depth, torch.inf).flatten()
    return depth[first] <= depth[second]


def _crossings(
    near: Tensor,
    far: Tensor,
    ids: Tensor,
    pos_clip: Tensor,
    faces: Tensor,
    opposite: Tensor,
    size: tuple[int, int],
    axis: int,
) -> tuple[Tensor, Tensor] | None:
    """Where silhouette edges of the near face cut the pairs.

    Only edges steeper than 45 degrees against the pair are used, so that every stretch of a silhouette is blended
    along one axis.

    Returns:
        (K',) indices of the pairs that are cut and (K',) the position of the cut, 0 = near centre, 1 = far centre.
    """
    height, width = size
    face = ids[near]
    view, within = near // (height * width), near % (height * width)
    column, row = (within % width).double(), (within // width).double()
    offset = view[:, None] * pos_clip.shape[1]
    corners = _pixel_positions(pos_clip, faces[face] + offset, size)
    beyond = opposite[face]
    across = _pixel_positions(pos_clip, beyond.clamp(min=0) + offset, size)
    usable = (corners[..., 2] > 0).all(1)
    # along: the pair's own axis; beside: the other one
    along, beside = (0, 1) if axis == 2 else (1, 0)
    origin = (column, row) if axis == 2 else (row, column)
    direction = torch.sign((far - near).double())
    best, found = torch.zeros_like(column), torch.zeros_like(near, dtype=torch.bool)
    for k in range(3):
        a, b, inner = corners[:, (k + 1) % 3], corners[:, (k + 2) % 3], corners[:, k]
        outer = across[:, k]
        boundary = (beyond[:, k] < 0) | (outer[:, 2] <= 0) | (_side(a, b, inner) * _side(a, b, outer) >= 0)
        span = b[:, beside] - a[:, beside]
        steep = span.abs() >= (b[:, along] - a[:, along]).abs()
        fraction = (origin[1] - a[:, beside]) / torch.where(span == 0, torch.ones_like(span), span)
        cut = (a[:, along] + fraction * (b[:, along] - a[:, along]) - origin[0]) * direction
        hit = usable & boundary & steep & (span != 0) & (fraction >= 0) & (fraction <= 1) & (cut >= 0) & (cut <= 1)
        best = torch.where(hit & ~found, cut, best)
        found |= hit
    chosen = found.nonzero().squeeze(1)
    return (chosen, best[chosen]) if len(chosen) else None


def _pixel_positions(pos_clip: Tensor, index: Tensor, size: tuple[int, int]) -> Tensor:
    """(K, 3, 3) float64 x, y (pixel centres at whole numbers) and w of the vertices ``index`` (K, 3) of all views."""
    height, width = size
    clip = pos_clip.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, 4).double()
    w = clip[..., 3]
    safe = torch.where(w > 0, w, torch.ones_like(w))
    return torch.stack(
        [(clip[..., 0] / safe + 1) * (width / 2) - 0.5, (clip[..., 1] / safe + 1) * (height / 2) - 0.5, w], dim=-1
    )


def _side(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Sign of the turn a -> b -> c in the image."""
    return ((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])).sign()
