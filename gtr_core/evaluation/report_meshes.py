"""Meshes for the 3D view of a report, packed small enough that hundreds of them fit into one page."""

from __future__ import annotations

import gzip
import struct

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from gtr_core.geometry.mesh import Mesh

_POSITION_BITS = 13
_GREY = 204
"""Colour of a mesh without colours, as our pictures draw it."""
_Integers = NDArray[np.int64]


def pack_mesh(mesh: Mesh) -> bytes:
    """Pack vertices, faces and colours; ``report_page/mesh.js`` unpacks them.

    The layout, gzipped: counts of vertices and faces (2 x uint32), the corner of the bounds and the step of the
    positions (4 x float32); then streams: positions as 13-bit differences to the vertex before (x, y, z; low bytes,
    then high bytes), colours as 8-bit differences, and for every corner of a face how far back its vertex lies from the
    newest one (low bytes, then middle, then high). Faces are ordered so that neighbours follow each other, and vertices
    by their first use, so that nearly all of these numbers are small.

    Args:
        mesh: with vertex colours, or without any; at least one face.
    """
    positions, step, corner = _quantized(mesh)
    colors = np.full((len(positions), 3), _GREY, np.int64)
    if mesh.colors is not None:
        colors = np.round(mesh.colors.detach().cpu().clamp(0, 1).numpy() * 255).astype(np.int64)
    faces, order = _by_first_use(_neighbours_together(mesh.faces.cpu().numpy(), len(positions)))
    differences = np.diff(positions[order], axis=0, prepend=0).T
    zigzag = (differences << 1) ^ (differences >> 63)
    hues = np.diff(colors[order], axis=0, prepend=0).T & 255
    flat = faces.ravel()
    newest = np.maximum.accumulate(np.concatenate([[-1], flat[:-1]])) + 1
    streams = [_planes(zigzag, 2), _planes(hues, 1), _planes(newest - flat, 3)]
    head = struct.pack("<2I4f", len(order), len(faces), *corner, step)
    return gzip.compress(head + b"".join(streams), 9, mtime=0)


def _quantized(mesh: Mesh) -> tuple[_Integers, float, NDArray[np.float32]]:
    vertices = mesh.vertices.detach().cpu().double().numpy()
    low, high = vertices.min(0), vertices.max(0)
    step = max(float((high - low).max()), 1e-9) / (2**_POSITION_BITS - 1)
    return np.round((vertices - low) / step).astype(np.int64), step, low.astype(np.float32)


def _neighbours_together(faces: _Integers, count: int) -> _Integers:
    """The faces along a numbering of the vertices in which neighbours have close numbers (Cuthill and McKee 1969)."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = np.concatenate([ends, ends[:, ::-1]])
    graph = coo_array((np.ones(len(both), np.int8), (both[:, 0], both[:, 1])), shape=(count, count)).tocsr()
    rank = np.empty(count, np.int64)
    rank[reverse_cuthill_mckee(graph, symmetric_mode=True)] = np.arange(count)
    ranks = rank[faces]
    ordered: _Integers = faces[np.lexsort((ranks.max(1), ranks.min(1)))]
    return ordered


def _by_first_use(faces: _Integers) -> tuple[_Integers, _Integers]:
    """The faces with vertices numbered by first use, and the old number of every vertex that is used at all."""
    used, first, inverse = np.unique(faces, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    number = np.empty(len(used), np.int64)
    number[order] = np.arange(len(used))
    return number[inverse].reshape(faces.shape), used[order]


def _planes(values: _Integers, count: int) -> bytes:
    """The lowest bytes of all values, then the next, ..."""
    flat = values.ravel()
    return b"".join(((flat >> (8 * plane)) & 255).astype(np.uint8).tobytes() for plane in range(count))
