"""Which face each pixel sees: every face is cut into the pixel rows it crosses, then a scatter-min of (depth, id)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 22}
"""Rows of faces, or pixels, looked at in one go: what fits into the cache of a CPU core, some 500 MB on a GPU."""
_ID_BITS = 25
_DEPTH_LEVELS = (1 << (63 - _ID_BITS)) - 1
_EMPTY = torch.iinfo(torch.int64).max


def visible_faces(pos_clip: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """The nearest face of every pixel of one view.

    A face covers the pixel centres inside it, and those on its left and on its horizontal top edges. So of two faces
    that share an edge exactly one covers a centre on it.

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
    at_once = _AT_ONCE.get(faces.device.type, 1 << 16)
    for some_corners, some_owner in zip(torch.split(corners, at_once), torch.split(owner, at_once), strict=True):
        edges, first, rows = _edges(x, y, z, some_corners, height)
        for face, place in _spread(rows, at_once):
            row = first.index_select(0, face) + place
            spans = edges.spans(face, row.double(), width)
            _scatter_nearest(nearest, spans, row * width, some_owner.index_select(0, face), at_once)
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


@dataclass(frozen=True)
class _Spans:
    """Runs of pixels (R,): the first column, how many, and the depth at ``x`` with its slope along the row."""

    first: Tensor
    count: Tensor
    x: Tensor
    depth: Tensor
    slope: Tensor


@dataclass(frozen=True)
class _Edges:
    """The edges of K faces, each from its upper to its lower corner: so two faces that share one compute the same.

    Args:
        long: x, y, z of the top corner, and the change of x and z along a row, of the edge from top to bottom; (K,).
        short: the same of the edges top to middle, then middle to bottom; (2 K,).
        middle: y of the middle corner (K,).
    """

    long: tuple[Tensor, ...]
    short: tuple[Tensor, ...]
    middle: Tensor

    def spans(self, face: Tensor, row: Tensor, width: int) -> _Spans:
        """What the faces (R,) cover of the rows (R,)."""
        x, z = _crossing(self.long, face, row)
        lower = row >= self.middle.index_select(0, face)
        other_x, other_z = _crossing(self.short, face + lower * len(self.middle), row)
        first, count = _whole_numbers(torch.minimum(x, other_x), torch.maximum(x, other_x), width)
        return _Spans(first, count, x, z, (other_z - z) / (other_x - x))


def _crossing(edge: tuple[Tensor, ...], index: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """x and z where edges meet rows."""
    x, y, z, x_slope, z_slope = (values.index_select(0, index) for values in edge)
    down = row - y
    return x.addcmul_(down, x_slope), z.addcmul_(down, z_slope)


def _edges(x: Tensor, y: Tensor, z: Tensor, faces: Tensor, height: int) -> tuple[_Edges, Tensor, Tensor]:
    """Edges of the faces (K, 3), the first row of the picture that each reaches, and how many."""
    a, b, c = faces.t().contiguous()
    ya, yb, yc = (y.index_select(0, corner) for corner in (a, b, c))
    a, ya, b, yb = _sorted(a, ya, b, yb)
    b, yb, c, yc = _sorted(b, yb, c, yc)
    a, ya, b, yb = _sorted(a, ya, b, yb)
    corner = torch.cat([a, b, c])
    points = x.index_select(0, corner), torch.cat([ya, yb, yc]), z.index_select(0, corner)
    count = len(faces)
    edges = _Edges(_edge(points, 0, 2 * count, count), _edge(points, 0, count, 2 * count), yb)
    return edges, *_whole_numbers(ya, yc, height)


def _whole_numbers(low: Tensor, high: Tensor, stop: int) -> tuple[Tensor, Tensor]:
    """The first of the numbers 0 ... stop - 1 in low <= n < high, and how many there are: none for nan."""
    first = low.ceil().clamp_(0, stop)
    count = high.ceil().clamp_(0, stop).sub_(first).nan_to_num_(nan=0.0)
    return first.long(), count.long()


def _sorted(a: Tensor, ya: Tensor, b: Tensor, yb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two corners and their heights, the upper one first."""
    swap = yb < ya
    return torch.where(swap, b, a), torch.minimum(ya, yb), torch.where(swap, a, b), torch.maximum(ya, yb)


def _edge(points: tuple[Tensor, ...], upper: int, lower: int, count: int) -> tuple[Tensor, ...]:
    """x, y, z where edges begin, and how x and z change from row to row; no row crosses a horizontal one.

    Args:
        points: x, y, z.
        upper: where the upper ends begin among them.
        lower: where the lower ends begin.
        count: of edges.
    """
    x, y, z = (values[upper : upper + count] for values in points)
    to_x, to_y, to_z = (values[lower : lower + count] for values in points)
    down = to_y - y
    return x, y, z, (to_x - x).div_(down), (to_z - z).div_(down)


def _spread(count: Tensor, at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every item i as often as count[i] (K,) says, with its running number, some ``at_once`` together."""
    ends = count.cumsum(0)
    begins = ends - count
    start = before = 0
    while start < len(count):
        stop = max(int(torch.searchsorted(ends, before + at_once, right=True)), start + 1)
        item = torch.repeat_interleave(torch.arange(start, stop, device=count.device), count[start:stop])
        yield item, torch.arange(before, before + len(item), device=count.device) - begins.index_select(0, item)
        start, before = stop, before + len(item)


def _scatter_nearest(nearest: Tensor, spans: _Spans, row_start: Tensor, owner: Tensor, at_once: int) -> None:
    """Lower ``nearest`` (H * W,) to the packed (depth, id) of every pixel of the spans.

    Args:
        nearest: changed in place.
        spans: of R faces in one row each.
        row_start: (R,) index of that row's first pixel.
        owner: (R,) face ids.
        at_once: pixels.
    """
    for span, place in _spread(spans.count, at_once):
        column = spans.first.index_select(0, span) + place
        x, depth, slope = (values.index_select(0, span) for values in (spans.x, spans.depth, spans.slope))
        depth.addcmul_(column - x, slope)
        level = ((depth + 1) * (0.5 * _DEPTH_LEVELS)).long()
        key = (level << _ID_BITS) | owner.index_select(0, span)
        key.masked_fill_(~((depth >= -1) & (depth <= 1)), _EMPTY)  # beyond the near or the far plane, or no number
        nearest.scatter_reduce_(0, row_start.index_select(0, span) + column, key, "amin")
