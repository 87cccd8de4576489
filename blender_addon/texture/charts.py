"""A surface cut into charts: connected pieces that can be seen from one side, each drawn flat. No bpy.

Faces go to that side of a box which their smoothed surroundings look at, small pieces join their neighbours, and a
piece that would lie over itself is peeled apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..packages import numpy
from .raster import covered_texels

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMOOTHING_ROUNDS = 8
"""Rounds of averaging with the neighbours before a face chooses its side: fine relief makes no charts of its own."""
LEAST_SLOPE = 0.3
"""Cosine between a face and the direction in which it is projected; less would stretch the texture too much."""
SMALL_CHART, LEAST_SLOPE_OF_SMALL = 48, 0.05
"""Pieces with fewer faces join a neighbour: a few stretched faces are better than thousands of crumbs."""
FOLD = 3.0
"""Texels by which a face may lie under another one and still share its texels: there both have the same colour."""
_ANGLES = 12
_MOST_LAYERS, _MOST_JOINS, _RINGS = 64, 6, 4


def cut_into_charts(points: NDArray[Any], faces: NDArray[Any], texels: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Charts of a triangle mesh.

    Args:
        points: (N,3) float64.
        faces: (M,3) int.
        texels: how many texels the whole surface will get, about; overlaps are looked for at this fineness.

    Returns:
        chart: (M,) int, 0 to K-1. flat: (M,3,2) float64: the corners of each face in the plane of its chart, in the
        units of ``points``, equal for equal vertices of a chart, never mirrored, lowest coordinate of a chart 0.
    """
    np = numpy()
    corners = points[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    normals = cross / np.maximum(length, 1e-30)
    pairs = _neighbours(faces)
    side = _sides(cross, normals, pairs)
    chart = _components(len(faces), pairs[side[pairs[:, 0]] == side[pairs[:, 1]]])
    scale = np.sqrt(texels / max(float(length.sum()) / 2, 1e-30))
    axes = _axes(cross, normals, chart, side)[chart]
    flat = np.einsum("mkc,mdc->mkd", corners, axes[:, :2])
    height = np.einsum("mkc,mc->m", corners, axes[:, 2])
    chart = _peeled(flat * scale, height * scale, chart, pairs)
    return chart, _laid_down(flat, chart)


def _neighbours(faces: NDArray[Any]) -> NDArray[Any]:
    """(E,2) pairs of faces that share an edge."""
    np = numpy()
    ends = np.sort(faces[:, ((0, 1), (1, 2), (2, 0))].reshape(-1, 2), axis=1)
    key = ends[:, 0] * (int(faces.max()) + 1) + ends[:, 1]
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    return np.stack([order[:-1][same] // 3, order[1:][same] // 3], axis=1)  # type: ignore[no-any-return]


def _sides(cross: NDArray[Any], normals: NDArray[Any], pairs: NDArray[Any]) -> NDArray[Any]:
    """(M,) side of the box, 0 to 5 = +x +y +z -x -y -z, for each face."""
    np = numpy()
    smooth = cross
    for _ in range(SMOOTHING_ROUNDS):
        smooth = smooth + _gathered(smooth, pairs)
        smooth = smooth / np.maximum(np.abs(smooth).max(), 1e-30)
    possible = np.concatenate([normals, -normals], axis=1) >= LEAST_SLOPE
    possible[~possible.any(axis=1)] = True  # a face without area can go anywhere
    wish = np.where(possible, np.concatenate([smooth, -smooth], axis=1), -np.inf)
    side = wish.argmax(axis=1)
    possible |= np.concatenate([normals, -normals], axis=1) >= LEAST_SLOPE_OF_SMALL
    for _ in range(_MOST_JOINS):
        piece = _components(len(side), pairs[side[pairs[:, 0]] == side[pairs[:, 1]]])
        small = np.bincount(piece)[piece] < SMALL_CHART
        if not small.any():
            break
        votes = _gathered(np.eye(6)[side], pairs)
        changed = np.where(possible & (votes > 0), votes, 0.0)
        changed[np.arange(len(side)), side] *= 0.5  # of two equal neighbours the other one wins
        better = changed.argmax(axis=1)
        side = np.where(small & (changed.max(axis=1) > 0), better, side)
    return side  # type: ignore[no-any-return]


def _gathered(values: NDArray[Any], pairs: NDArray[Any]) -> NDArray[Any]:
    """(M,C) sums of the neighbours' values."""
    np = numpy()
    both = np.concatenate([pairs, pairs[:, ::-1]])
    columns = [np.bincount(both[:, 0], values[both[:, 1], c], minlength=len(values)) for c in range(values.shape[1])]
    return np.stack(columns, axis=1)  # type: ignore[no-any-return]


def _components(count: int, pairs: NDArray[Any]) -> NDArray[Any]:
    """(count,) number of the connected piece of each item, 0 to K-1, in the order of their first items."""
    np = numpy()
    parent = np.arange(count)
    while True:
        roots = parent[pairs]
        pairs = pairs[roots[:, 0] != roots[:, 1]]
        if not len(pairs):
            return np.unique(parent, return_inverse=True)[1].reshape(-1)  # type: ignore[no-any-return]
        roots = parent[pairs]
        parent[roots.max(axis=1)] = roots.min(axis=1)
        while True:
            further = parent[parent]
            if (further == parent).all():
                break
            parent = further


def _peeled(flat: NDArray[Any], height: NDArray[Any], chart: NDArray[Any], pairs: NDArray[Any]) -> NDArray[Any]:
    """(M,) charts in which no face lies far under another: what does becomes charts of its own. All in texels."""
    np = numpy()
    unsure = np.arange(len(chart))
    for number in range(_MOST_LAYERS):
        under = np.zeros(len(chart), bool)
        under[unsure] = _hidden(flat[unsure], height[unsure], chart[unsure])
        if not under.any():
            return chart
        inside = pairs[chart[pairs[:, 0]] == chart[pairs[:, 1]]]
        for _ in range(_RINGS if number < _RINGS else 0):
            # With some rings of faces around them many crumbs become few pieces.
            under[inside[under[inside].any(axis=1)]] = True
        chart = _components(len(chart), inside[under[inside[:, 0]] == under[inside[:, 1]]])
        unsure = np.flatnonzero(under)
    chart[unsure] = chart.max() + 1 + np.arange(len(unsure))  # a pile of sheets: each face for itself
    return np.unique(chart, return_inverse=True)[1].reshape(-1)  # type: ignore[no-any-return]


def _axes(cross: NDArray[Any], normals: NDArray[Any], chart: NDArray[Any], side: NDArray[Any]) -> NDArray[Any]:
    """(K,3,3) rows right, up and out of each chart: out is its mean normal where no face would be stretched by that."""
    np = numpy()
    count = int(chart.max()) + 1
    box = np.concatenate([np.eye(3), -np.eye(3)])
    first = np.empty(count, np.int64)
    first[chart[::-1]] = np.arange(len(chart))[::-1]
    out = box[side[first]]
    mean = np.stack([np.bincount(chart, cross[:, c], minlength=count) for c in range(3)], axis=1)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    mean /= np.maximum(length, 1e-30)
    slope = (normals * mean[chart]).sum(axis=1)
    slope[np.abs(normals).max(axis=1) < 0.1] = 1.0  # without area
    least = np.full(count, np.inf)
    np.minimum.at(least, chart, slope)
    fits = (least >= LEAST_SLOPE) & (length[:, 0] > 0)
    out = np.where(fits[:, None], mean, out)
    helper = np.eye(3)[np.abs(out).argmin(axis=1)]
    right = np.cross(helper, out)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(out, right), out], axis=1)  # type: ignore[no-any-return]


def _laid_down(flat: NDArray[Any], chart: NDArray[Any]) -> NDArray[Any]:
    """Charts turned so that their boxes are small and lie on their long sides, lowest corner at 0."""
    np = numpy()
    order = np.argsort(chart, kind="stable")
    starts = 3 * np.searchsorted(chart[order], np.arange(int(chart.max()) + 1))
    x, y = (np.ascontiguousarray(flat[order, :, axis]).reshape(-1) for axis in (0, 1))
    smallest, best = np.full(len(starts), np.inf), np.zeros(len(starts))
    for angle in np.arange(_ANGLES) * np.pi / _ANGLES:
        wide = _extent(x * np.cos(angle) - y * np.sin(angle), starts)
        high = _extent(x * np.sin(angle) + y * np.cos(angle), starts)
        # Among equal boxes the flat one: charts are packed from high to low ones.
        area = wide * high * (1 + 1e-3 * (high > wide)) * (1 + 1e-6 * angle)
        better = area < smallest
        smallest, best = np.where(better, area, smallest), np.where(better, angle, best)
    cos, sin = np.cos(best)[chart, None], np.sin(best)[chart, None]
    turned = np.stack([flat[..., 0] * cos - flat[..., 1] * sin, flat[..., 0] * sin + flat[..., 1] * cos], axis=-1)
    low, _ = _boxes(turned, chart, len(starts))
    return turned - low[chart][:, None]  # type: ignore[no-any-return]


def _extent(values: NDArray[Any], starts: NDArray[Any]) -> NDArray[Any]:
    np = numpy()
    return np.maximum.reduceat(values, starts) - np.minimum.reduceat(values, starts)  # type: ignore[no-any-return]


def _boxes(flat: NDArray[Any], chart: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """(K,2) lowest and highest coordinates of each chart."""
    np = numpy()
    order = np.argsort(chart, kind="stable")
    starts = np.searchsorted(chart[order], np.arange(count))
    low = np.minimum(np.minimum(flat[:, 0], flat[:, 1]), flat[:, 2])
    high = np.maximum(np.maximum(flat[:, 0], flat[:, 1]), flat[:, 2])
    return np.minimum.reduceat(low[order], starts), np.maximum.reduceat(high[order], starts)


def _hidden(flat: NDArray[Any], height: NDArray[Any], chart: NDArray[Any]) -> NDArray[Any]:
    """(M,) faces that share a texel of their chart with a face more than FOLD above them."""
    np = numpy()
    chart = np.unique(chart, return_inverse=True)[1].reshape(-1)
    low, high = _boxes(flat, chart, int(chart.max()) + 1)
    box = np.ceil(high - low).astype(np.int64) + 2
    base = np.cumsum(box.prod(axis=1)) - box.prod(axis=1)
    owner = np.full(int(box.prod(axis=1).sum()), -1, np.int64)
    rising = np.argsort(height, kind="stable")
    hits = []
    for rank, column, row in covered_texels((flat - low[chart][:, None])[rising]):
        home = chart[rising[rank]]
        place = base[home] + row * box[home, 0] + column
        owner[place] = rank  # of several the last one stays, which is the highest
        hits.append((rank, place))
    under: NDArray[Any] = np.zeros(len(chart), bool)
    for rank, place in hits:
        face = rising[rank]
        under[face[height[face] < height[rising[owner[place]]] - FOLD]] = True
    return under
