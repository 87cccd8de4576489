"""Which face each pixel sees: (face, pixel) pairs of the bounding boxes, then a scatter-min of (depth, id)."""

from __future__ import annotations

import torch
from torch import Tensor

_PAIRS = 1 << 21
"""(face, pixel) pairs looked at in one go; bounds the memory to about 200 MB."""
_ID_BITS = 25
_DEPTH_LEVELS = (1 << (63 - _ID_BITS)) - 1
_EMPTY = torch.iinfo(torch.int64).max


def visible_faces(pos_clip: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """The nearest face of every pixel of one view.

    Args:
        pos_clip: (N, 4) clip-space positions.
        faces: (M, 3) int64.
        size: (height, width).

    Returns:
        (H * W,) int64 face ids, -1 where nothing is seen. Of faces at exactly the same depth the smaller id wins.
    """
    height, width = size
    clip, corners, owner = _clip_near(pos_clip.double(), faces)
    nearest = torch.full((height * width,), _EMPTY, dtype=torch.int64, device=faces.device)
    w = clip[:, 3]
    # pixel centres at whole numbers
    x = (clip[:, 0] / w + 1) * (width / 2) - 0.5
    y = (clip[:, 1] / w + 1) * (height / 2) - 0.5
    z = clip[:, 2] / w
    xs, ys = x[corners], y[corners]
    box, count = _pixel_boxes(xs, ys, size)
    kept = count.nonzero().squeeze(1)
    if len(kept) == 0:
        return torch.full_like(nearest, -1)
    planes, ties = _edge_planes(xs[kept], ys[kept], z[corners[kept]])
    _scatter_nearest(nearest, planes, ties, box[:, kept], count[kept], owner[kept], width)
    ids = nearest & ((1 << _ID_BITS) - 1)
    return torch.where(nearest == _EMPTY, -1, ids)


def _clip_near(clip: Tensor, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut the faces at the near plane z = -w: positions (N', 4), corners (K, 3), and the face each comes from (K,).

    A face with one corner in front leaves one triangle, with two corners two. Everything that is left has w > 0.
    """
    behind = ~((clip[:, 2] >= -clip[:, 3]) & (clip[:, 3] > 0))
    owner = torch.arange(len(faces), device=faces.device)
    if not bool(behind.any()):
        return clip, faces, owner
    hidden = behind[faces]
    number = hidden.sum(1)
    parts, owners, positions = [faces[number == 0]], [owner[number == 0]], [clip]
    total = len(clip)
    for hidden_corners in (1, 2):
        cut = number == hidden_corners
        if not bool(cut.any()):
            continue
        # turn the face so that the corner that stands alone comes first
        lone = (hidden[cut] if hidden_corners == 1 else ~hidden[cut]).int().argmax(1, keepdim=True)
        turned = faces[cut].gather(1, (lone + torch.arange(3, device=faces.device)) % 3)
        a, b, c = turned.unbind(1)
        ab = total + torch.arange(len(a), device=faces.device)
        ac = ab + len(a)
        total += 2 * len(a)
        positions += [_near_crossing(clip[a], clip[b]), _near_crossing(clip[a], clip[c])]
        if hidden_corners == 1:
            parts += [torch.stack([ab, b, c], 1), torch.stack([ab, c, ac], 1)]
            owners += [owner[cut], owner[cut]]
        else:
            parts.append(torch.stack([a, ab, ac], 1))
            owners.append(owner[cut])
    clip = torch.cat(positions)
    parts_all, owner_all = torch.cat(parts), torch.cat(owners)
    usable = (clip[parts_all][..., 3] > 0).all(1)
    return clip, parts_all[usable], owner_all[usable]


def _near_crossing(a: Tensor, b: Tensor) -> Tensor:
    """Where the segments a-b, one end on either side, meet the plane z + w = 0."""
    da, db = a[:, 2:3] + a[:, 3:4], b[:, 2:3] + b[:, 3:4]
    return a + (da / (da - db)) * (b - a)


def _pixel_boxes(xs: Tensor, ys: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels inside the bounding boxes: (3, K) int64 = first column, first row, columns; and (K,) their number."""
    height, width = size
    left = xs.amin(1).clamp(0, width).ceil().long()
    right = xs.amax(1).clamp(-1, width - 1).floor().long()
    top = ys.amin(1).clamp(0, height).ceil().long()
    bottom = ys.amax(1).clamp(-1, height - 1).floor().long()
    columns, rows = (right - left + 1).clamp(min=0), (bottom - top + 1).clamp(min=0)
    return torch.stack([left, top, columns]), columns * rows


def _edge_planes(xs: Tensor, ys: Tensor, zs: Tensor) -> tuple[Tensor, Tensor]:
    """Linear functions of the pixel position: three edges (positive inside) and the depth.

    Every edge is computed from its two ends in one fixed order (top to bottom), so the two faces that share it get
    exactly opposite numbers and no pixel centre is lost or counted twice. A centre exactly on the edge (0) goes to
    the face on the fixed side.

    Returns:
        planes (4, 3, K) float64, each A, B, C of A x + B y + C; ties (3, K): whether the face owns the edge itself.
    """
    area = (xs[:, 1] - xs[:, 0]) * (ys[:, 2] - ys[:, 0]) - (xs[:, 2] - xs[:, 0]) * (ys[:, 1] - ys[:, 0])
    planes, ties, depth = [], [], xs.new_zeros(3, len(xs))
    safe = torch.where(area == 0, torch.ones_like(area), area)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        x0, y0, x1, y1 = xs[:, i], ys[:, i], xs[:, j], ys[:, j]
        swap = (y0 > y1) | ((y0 == y1) & (x0 > x1))
        x0, x1 = torch.where(swap, x1, x0), torch.where(swap, x0, x1)
        y0, y1 = torch.where(swap, y1, y0), torch.where(swap, y0, y1)
        edge = torch.stack([y0 - y1, x1 - x0, x0 * y1 - x1 * y0])
        turn = torch.where(swap, -1.0, 1.0).to(xs.dtype)
        side = turn * area.sign()
        planes.append(edge * side)
        ties.append(side > 0)
        depth = depth + edge * (turn * zs[:, k] / safe)
    return torch.stack([*planes, depth]), torch.stack(ties)


def _scatter_nearest(
    nearest: Tensor, planes: Tensor, ties: Tensor, box: Tensor, count: Tensor, owner: Tensor, width: int
) -> None:
    """Lower ``nearest`` (H * W,) to the packed (depth, id) of every covered (face, pixel) pair, chunk by chunk."""
    ends = count.cumsum(0)
    start = 0
    while start < len(count):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(torch.searchsorted(ends, before + _PAIRS, right=True)), start + 1)
        part = slice(start, stop)
        face = torch.repeat_interleave(torch.arange(start, stop, device=count.device), count[part])
        local = torch.arange(len(face), device=count.device) - (ends - count - before)[face]
        left, top, columns = (values[face] for values in box)
        row = local // columns
        column = left + local - row * columns
        row = row + top
        x, y = column.double(), row.double()
        inside = torch.ones_like(face, dtype=torch.bool)
        for (a, b, c), tie in zip(planes[:3], ties, strict=True):
            edge = a[face] * x + b[face] * y + c[face]
            inside &= (edge > 0) | ((edge == 0) & tie[face])
        hit = inside.nonzero().squeeze(1)
        face, x, y = face[hit], x[hit], y[hit]
        depth = planes[3, 0][face] * x + planes[3, 1][face] * y + planes[3, 2][face]
        hit, face, depth = _between_planes(hit, face, depth)
        level = ((depth + 1) * (0.5 * _DEPTH_LEVELS)).long()
        key = (level << _ID_BITS) | owner[face]
        nearest.scatter_reduce_(0, row[hit] * width + column[hit], key, "amin")
        start = stop


def _between_planes(hit: Tensor, face: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Drop what lies before the near or behind the far plane."""
    seen = (depth >= -1) & (depth <= 1)
    if bool(seen.all()):
        return hit, face, depth
    return hit[seen], face[seen], depth[seen]
