"""How the marching-cubes case table is derived; :mod:`gtr_core.geometry.marching_cubes_table` holds the result.

Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2 & 1); case = sum of 2^c over the corners that are inside.
Edge e = 4 * axis + k runs along ``axis`` from the corner given by :data:`EDGE_CORNERS`.

On each side of the cell, the crossed edges are joined by segments that keep the inside on their right as seen from
outside the cell. Where two diagonal corners are inside, the segments cut off each inside corner by itself. That choice
depends on the side's four corners alone, so the cells on both sides of it agree and the surface closes. The segments
chain up into loops; each loop is cut into triangles without a diagonal that lies in a side of the cell, because the
neighbour could place the same diagonal there and the edge would have four faces.
"""

from __future__ import annotations

from collections.abc import Iterator

Loop = tuple[int, ...]
Triangle = tuple[int, int, int]


def _edge_corners() -> tuple[tuple[int, int], ...]:
    edges = []
    for axis in range(3):
        bit = 1 << axis
        edges += [(c, c | bit) for c in range(8) if not c & bit]
    return tuple(edges)


EDGE_CORNERS = _edge_corners()
"""(12) pairs of corners; the first is the one with the smaller coordinate."""
_EDGE = {frozenset(corners): edge for edge, corners in enumerate(EDGE_CORNERS)}


def _sides() -> tuple[tuple[int, ...], ...]:
    """The corners of the six sides, counter-clockwise seen from outside."""
    sides = []
    for axis in range(3):
        u, v = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        sides.append(tuple(corner | 1 << axis for corner in (0, u, u | v, v)))
        sides.append((0, v, u | v, u))
    return tuple(sides)


_SIDES = _sides()


def _segments(case: int) -> dict[int, int]:
    """Directed segments from edge to edge on all sides; each crossed edge starts one and ends one."""
    segments = {}
    for side in _SIDES:
        inside = [bool(case >> corner & 1) for corner in side]
        crossed = [_EDGE[frozenset((side[k], side[(k + 1) % 4]))] for k in range(4)]
        for k in range(4):
            # going around the side, the surface is entered at edge k and left at the next crossed edge
            if inside[(k + 1) % 4] and not inside[k]:
                last = k
                while inside[(last + 1) % 4]:
                    last = (last + 1) % 4
                segments[crossed[k]] = crossed[last]
    return segments


def _loops(segments: dict[int, int]) -> list[Loop]:
    loops, left = [], dict(segments)
    while left:
        start = min(left)
        loop, edge = [start], left.pop(start)
        while edge != start:
            loop.append(edge)
            edge = left.pop(edge)
        loops.append(tuple(loop))
    return loops


def _share_side(a: int, b: int) -> bool:
    """Whether two edges lie in one side of the cell."""
    corners = {*EDGE_CORNERS[a], *EDGE_CORNERS[b]}
    return any(corners <= set(side) for side in _SIDES)


def _triangulations(loop: Loop) -> Iterator[tuple[tuple[Triangle, ...], int]]:
    """All ways to cut the loop into triangles, with the number of diagonals that lie in a side of the cell."""
    if len(loop) < 3:
        yield (), 0
        return
    first, last = loop[0], loop[-1]
    for k in range(1, len(loop) - 1):
        own = int(k > 1 and _share_side(first, loop[k]))
        own += int(k < len(loop) - 2 and _share_side(loop[k], last))
        for left, bad_left in _triangulations(loop[: k + 1]):
            for right, bad_right in _triangulations(loop[k:]):
                yield (*left, (first, loop[k], last), *right), own + bad_left + bad_right


def build_case_table() -> tuple[str, ...]:
    """(256) strings of hexadecimal edge numbers, three to a triangle, counter-clockwise seen from outside."""
    table = []
    for case in range(256):
        text = ""
        for loop in _loops(_segments(case)):
            triangles, _ = min(_triangulations(loop), key=lambda found: found[1])
            text += "".join(f"{edge:x}" for triangle in triangles for edge in triangle)
        table.append(text)
    return tuple(table)


def format_case_table() -> str:
    """The source text of :mod:`gtr_core.geometry.marching_cubes_table`."""
    lines = [
        '"""The 256 marching-cubes cases, written by :func:`gtr_core.geometry.case_table.format_case_table`."""',
        "",
    ]
    lines += ["# fmt: off", "CASES: tuple[str, ...] = ("]
    table = build_case_table()
    lines += ["    " + " ".join(f'"{text}",' for text in table[k : k + 4]) for k in range(0, 256, 4)]
    lines += [")", '"""Edges of the triangles of each case, one hexadecimal digit each, three to a triangle."""', ""]
    return "\n".join(lines)
