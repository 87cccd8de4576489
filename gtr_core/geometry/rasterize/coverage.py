"""Which face each pixel sees: (face, pixel) pairs of the bounding boxes, then a scatter-min of (depth, id)."""

from __future__ import annotations

import torch
from torch import Tensor

_PAIRS = {"cpu": 1 << 16, "cuda": 1 << 22}
"""(face, pixel) pairs looked at in one go: what fits into the cache of a CPU core, some 500 MB on a GPU."""
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
    index = corners.t().contiguous()
    xs, ys = ([values.index_select(0, i) for i in index] for values in (x, y))
    left, columns = _pixel_span(xs, width)
    top, rows = _pixel_span(ys, height)
    kept = (columns * rows).nonzero().squeeze(1)
    if len(kept) == 0:
        return torch.full_like(nearest, -1)
    z = clip[:, 2] / w
    zs = [z.index_select(0, i.index_select(0, kept)) for i in index]
    triangles = [*(values.index_select(0, kept) for values in (*xs, *ys)), *zs]
    box = [values.index_select(0, kept) for values in (left, columns, top, rows)]
    _scatter_nearest(nearest, triangles, box, owner[kept], width)
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


def _pixel_span(corners: list[Tensor], size: int) -> tuple[Tensor, Tensor]:
    """First pixel centre between the smallest and the largest of three coordinates (K,), and how many there are."""
    a, b, c = corners
    first = torch.minimum(torch.minimum(a, b), c).clamp_(0, size).ceil_()
    last = torch.maximum(torch.maximum(a, b), c).clamp_(-1, size - 1).floor_()
    return first.long(), (last - first + 1).clamp_(min=0).long()


def _scatter_nearest(nearest: Tensor, triangles: list[Tensor], box: list[Tensor], owner: Tensor, width: int) -> None:
    """Lower ``nearest`` (H * W,) to the packed (depth, id) of every covered (face, pixel) pair, chunk by chunk.

    Args:
        nearest: changed in place.
        triangles: x, y and z/w of the three corners, nine times (K,).
        box: first column, columns, first row, rows of the bounding boxes, each (K,).
        owner: (K,) face ids.
        width: of the image.
    """
    count = box[1] * box[3]
    at_once = _PAIRS.get(count.device.type, 1 << 16)
    ends = count.cumsum(0)
    start = 0
    while start < len(count):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(torch.searchsorted(ends, before + at_once, right=True)), start + 1)
        face = torch.repeat_interleave(torch.arange(start, stop, device=count.device), count[start:stop])
        local = torch.arange(before, before + len(face), device=count.device) - (ends - count).index_select(0, face)
        left, columns, top, _ = (values.index_select(0, face) for values in box)
        row = local // columns
        column = left + local - row * columns
        row += top
        hit, depth = _covered(triangles, face, column.double(), row.double())
        level = ((depth + 1) * (0.5 * _DEPTH_LEVELS)).long()
        key = (level << _ID_BITS) | owner.index_select(0, face[hit])
        nearest.scatter_reduce_(0, row[hit] * width + column[hit], key, "amin")
        start = stop


def _covered(triangles: list[Tensor], face: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the pairs whose pixel centre lies inside the face and between the clip planes, and their z/w.

    The edge function a x b of the corners relative to the centre is exactly opposite for the two faces that share
    the edge, whatever is rounded, so no centre is lost or counted twice.
    """
    ax, bx, cx = (triangles[k].index_select(0, face).sub_(column) for k in range(3))
    ay, by, cy = (triangles[k].index_select(0, face).sub_(row) for k in range(3, 6))
    ea, eb, ec = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
    lowest, highest = torch.minimum(torch.minimum(ea, eb), ec), torch.maximum(torch.maximum(ea, eb), ec)
    hit = ((lowest >= 0) | (highest <= 0)).nonzero().squeeze(1)
    ea, eb, ec = (edge.index_select(0, hit) for edge in (ea, eb, ec))
    area = ea + eb + ec
    keep = area != 0
    on_edge = ((ea == 0) | (eb == 0) | (ec == 0)).nonzero().squeeze(1)
    if len(on_edge):
        at = face[hit[on_edge]]
        corners = torch.stack([values[at] for values in triangles[:6]])
        edges = torch.stack([ea, eb, ec])[:, on_edge]
        keep[on_edge] &= _owns_edges(corners, edges, area[on_edge])
    face = face.index_select(0, hit)
    za, zb, zc = (triangles[k].index_select(0, face) for k in range(6, 9))
    depth = (ea * za + eb * zb + ec * zc) / (area + (area == 0))
    keep &= (depth >= -1) & (depth <= 1)
    if not bool(keep.all()):
        hit, depth = hit[keep], depth[keep]
    return hit, depth


def _owns_edges(corners: Tensor, edges: Tensor, area: Tensor) -> Tensor:
    """Whether centres that lie exactly on edges belong to the face: it owns its left and its horizontal top edges.

    Args:
        corners: (6, K) x and y of the three corners.
        edges: (3, K) edge functions, 0 for the edge that the centre lies on.
        area: (K,) whose sign tells which way round the face lies.
    """
    owns = torch.ones_like(area, dtype=torch.bool)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        dx, dy = (corners[j] - corners[i]) * area.sign(), (corners[3 + j] - corners[3 + i]) * area.sign()
        owns &= (edges[k] != 0) | (dy < 0) | ((dy == 0) & (dx > 0))
    return owns
