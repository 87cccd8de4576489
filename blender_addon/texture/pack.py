"""Charts put close together on a square, each sunk into the outline of those before it. No bpy.

The way of Lévy, Petitjean, Ray and Maillot, "Least Squares Conformal Maps" (2002), section 4: from the highest chart to
the lowest, keep the skyline of what is placed and drop each chart where it comes to lie lowest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..packages import numpy
from .raster import expand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GAP = 4
"""Texels between two charts: one on each side for the bilinear filter, one more for the first smaller mip level."""
SKYLINE_CHARTS = 1500
"""The higher charts are fitted into each other; the crumbs after them stand in rows, which takes no time."""
_ATTEMPTS = 7
_FIRST_FILL = 0.62


def pack_charts(flat: NDArray[Any], chart: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Scale all charts alike and place them on a square.

    Args:
        flat: (M,3,2) corners of the faces in their charts, lowest coordinate of each chart 0.
        chart: (M,) chart of each face, 0 to K-1.
        size: texels of a side.

    Returns:
        (M,3,2) float64 corners in texels, at least GAP / 2 from the border.

    Raises:
        ValueError: there are more charts than fit.
    """
    np = numpy()
    one, two = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    area = float(np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).sum()) / 2
    room = size - GAP
    largest = (room - GAP - 1) / max(float(flat.max()), 1e-30)  # the longest chart fits into the width
    scale = min(size * np.sqrt(_FIRST_FILL / max(area, 1e-30)), largest)
    best: tuple[float, Any] | None = None
    low, high = 0.0, np.inf
    for _ in range(_ATTEMPTS):
        places, height = _drop(flat * scale, chart, room)
        if height <= room:
            low, best = scale, (scale, places)
        else:
            high = scale
        # Areas grow with the square of the scale, gaps do not; so this is close, and the bounds make it safe.
        guess = scale * np.sqrt(room / max(height, 1)) * (0.995 if height > room else 0.999)
        guess = min(guess, largest)
        scale = guess if low < guess < high else (low + high) / 2 if high < np.inf else guess
        if best is not None and scale <= low * 1.005:
            break
    while best is None:
        scale /= 2
        if scale * np.sqrt(max(area, 1e-30)) < 1:
            raise ValueError(f"{int(chart.max()) + 1} pieces of surface do not fit on {size} x {size} texels")
        places, height = _drop(flat * scale, chart, room)
        best = (scale, places) if height <= room else None
    return flat * best[0] + best[1][chart][:, None] + GAP / 2  # type: ignore[no-any-return]


def _drop(flat: NDArray[Any], chart: NDArray[Any], room: int) -> tuple[NDArray[np.float64], int]:
    """(K,2) column and row of each chart, and the height of the pile."""
    np = numpy()
    count = int(chart.max()) + 1
    widths, under, over, starts = _outlines(flat, chart, count)
    places = np.zeros((count, 2))
    skyline = np.zeros(room, np.int64)
    tops = np.zeros(count, np.int64)
    np.maximum.at(tops, np.repeat(np.arange(count), widths), over)
    order = np.lexsort((-widths, -tops))
    for k in order[:SKYLINE_CHARTS].tolist():
        width = int(widths[k])
        low, high = under[starts[k] : starts[k] + width], over[starts[k] : starts[k] + width]
        windows = np.lib.stride_tricks.sliding_window_view(skyline, width)
        rows = (windows - low).max(axis=1)
        column = int(rows.argmin())
        row = max(int(rows[column]), 0)
        skyline[column : column + width] = row + high
        places[k] = column, row
    crumbs = order[SKYLINE_CHARTS:]
    return places, _rows(crumbs, widths, tops, places, int(skyline.max()), room)


def _rows(crumbs: Any, widths: Any, tops: Any, places: Any, bottom: int, room: int) -> int:
    """Place charts in rows, the first of each row is its highest; returns where the last row ends."""
    np = numpy()
    ends = np.cumsum(widths[crumbs])
    first = 0
    while first < len(crumbs):
        before = int(ends[first - 1]) if first else 0
        after = max(int(np.searchsorted(ends, before + room, side="right")), first + 1)
        row = crumbs[first:after]
        places[row, 0] = ends[first:after] - before - widths[row]
        places[row, 1] = bottom
        bottom += int(tops[row[0]])
        first = after
    return bottom


def _outlines(flat: NDArray[Any], chart: NDArray[Any], count: int) -> tuple[Any, Any, Any, Any]:
    """Widths of the charts, and column by column where each begins and where the next chart may begin over it."""
    np = numpy()
    first = np.floor(flat[:, :, 0].min(axis=1)).astype(np.int64)
    last = np.floor(flat[:, :, 0].max(axis=1)).astype(np.int64) + GAP
    widths = np.zeros(count, np.int64)
    np.maximum.at(widths, chart, last + 1)
    starts = np.cumsum(widths) - widths
    face, number = expand(last - first + 1)
    column = starts[chart[face]] + first[face] + number
    under = np.full(int(widths.sum()), np.iinfo(np.int64).max)
    over = np.zeros(int(widths.sum()), np.int64)
    np.minimum.at(under, column, np.floor(flat[:, :, 1].min(axis=1)).astype(np.int64)[face])
    np.maximum.at(over, column, np.floor(flat[:, :, 1].max(axis=1)).astype(np.int64)[face] + 1 + GAP)
    return widths, under, over, starts
