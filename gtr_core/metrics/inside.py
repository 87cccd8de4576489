"""Which nodes of a grid lie inside a closed mesh: winding numbers along the lines of the grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.watertight import welded

_CHUNK = 2_000_000
"""Pairs of a face and a line that are looked at together: bounds the memory."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def inside_nodes(mesh: Mesh, axes: Sequence[Floats]) -> NDArray[np.bool_]:
    """Inside or outside at every node of a regular grid.

    A line along z runs through every (x, y); each face that it meets changes the winding number above by one, up or
    down as the face is turned. A node is inside where that number is not 0, so parts that overlap are one solid and
    a hollow that is turned inwards is outside. Whether a line meets a face is decided edge by edge, and the two faces
    at an edge decide alike, so no line slips through between them. A line through a pinhole counts as outside.

    Args:
        mesh: closed; its vertices may be doubled at the seams of a texture.
        axes: coordinates of the nodes along x, y and z, each evenly spaced and growing.

    Returns:
        (X, Y, Z) bool.
    """
    shape = welded(mesh)
    vertices = np.asarray(shape.vertices.double())
    faces: Integers = np.asarray(shape.faces)
    x, y, z = axes
    change = np.zeros((len(x), len(y), len(z) + 1), dtype=np.int32)
    first, count = _columns(vertices[faces], x, y)
    ends = np.cumsum(count.prod(1))
    start = 0
    while start < len(faces):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + _CHUNK, side="right")), start + 1)
        some = slice(start, stop)
        _add_crossings(change, vertices, faces[some], first[some], count[some], axes)
        start = stop
    inside: NDArray[np.bool_] = change[..., :-1].cumsum(-1) != 0
    # A line that ends at another number than it began with went through a pinhole: what it says means nothing.
    inside[change.sum(-1) != 0] = False
    return inside


def _columns(corners: Floats, x: Floats, y: Floats) -> tuple[Integers, Integers]:
    """First line (M, 2) and number of lines (M, 2) along x and y under the bounding box of every face (M, 3, 3)."""
    firsts, counts = [], []
    for axis, nodes in enumerate((x, y)):
        low, high = corners[..., axis].min(1), corners[..., axis].max(1)
        first = np.searchsorted(nodes, low, side="left")
        firsts.append(first)
        counts.append(np.searchsorted(nodes, high, side="right") - first)
    return np.stack(firsts, 1), np.stack(counts, 1)


def _add_crossings(
    change: NDArray[np.int32],
    vertices: Floats,
    faces: Integers,
    first: Integers,
    count: Integers,
    axes: Sequence[Floats],
) -> None:
    pairs = count.prod(1)
    face = np.repeat(np.arange(len(faces)), pairs)
    within = np.arange(len(face)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    i = first[face, 0] + within // count[face, 1]
    j = first[face, 1] + within % count[face, 1]
    x, y, z = axes
    sides = np.stack([_side(vertices, faces[face, k], faces[face, (k + 1) % 3], x[i], y[j]) for k in range(3)])
    left = sides >= 0
    # The tie at exactly 0 is broken in `_side` by the order of the vertices, which both faces at an edge share.
    hit = (left == left[0]).all(0)
    face, i, j, sides, up = face[hit], i[hit], j[hit], sides[:, hit], left[0, hit]
    weights = sides / sides.sum(0)
    height = vertices[faces[face], 2]
    crossing = weights[1] * height[:, 0] + weights[2] * height[:, 1] + weights[0] * height[:, 2]
    k = np.searchsorted(z, crossing, side="left")
    # Seen from below, the first face of a solid is turned downwards: clockwise in x and y.
    np.add.at(change, (i, j, k), np.where(up, -1, 1).astype(np.int32))


def _side(vertices: Floats, start: Integers, end: Integers, x: Floats, y: Floats) -> Floats:
    """Twice the signed area of (start, end, point): positive to the left of the edge, never 0.

    It is worked out from the vertex of the lower number for both directions, so that the two faces at an edge get the
    very same number with opposite sign.
    """
    low, high = np.minimum(start, end), np.maximum(start, end)
    (ax, ay), (bx, by) = vertices[low, :2].T, vertices[high, :2].T
    area = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    area = np.where(area == 0, np.finfo(np.float64).tiny, area)
    return np.where(start == low, area, -area)
