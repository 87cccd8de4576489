"""Rasterisation of one view against a loop over the faces in double precision."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtr_core.fields.render_mesh import clip_positions
from gtr_core.fields.surface import extract_mesh
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.rasterize import get_rasterizer
from pipeline_rows.bench_field import bench_field
from pipeline_rows.row import Row, Scale, row, timed

_GRID_SHARE = 0.7
"""Of the nodes a side: gives the 140k faces that the promise is about."""


def measure(scale: Scale) -> Row:
    """``rasterize``: the nearest face of every pixel of one view and its barycentrics."""
    mesh = extract_mesh(bench_field(scale), round(scale.grid * _GRID_SHARE), colors=False)
    size = (scale.image_size, scale.image_size)
    camera = orbit([30.0], [20.0], height=size[0], width=size[1]).to(scale.device)
    position = clip_positions(mesh.vertices, camera)
    rasterizer = get_rasterizer(scale.device)
    pictures: list[Tensor] = []
    fast = timed(
        lambda: pictures.append(rasterizer.rasterize(position, mesh.faces, size)), scale.device, 4 * scale.repeats
    )
    plain, faces = position[0].double().cpu().numpy(), mesh.faces.cpu().numpy()
    reference: list[NDArray[np.int64]] = []
    slow = timed(lambda: reference.append(reference_faces(plain, faces, size)), torch.device("cpu"))
    same = float((pictures[0][0, ..., 3].cpu().numpy() == reference[0] + 1).mean())
    note = f"{len(faces) / 1000:.0f}k faces at {size[0]}^2, {100 * same:.4f} % of the ids equal to float64"
    return row("rasterize", fast, slow, note=note)


def reference_faces(
    position: NDArray[np.float64], faces: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.int64]:
    """The nearest face of every pixel, face by face in double precision.

    Args:
        position: (N, 4) clip-space positions, all in front of the near plane.
        faces: (M, 3).
        size: (height, width).

    Returns:
        (H, W) face ids, -1 where nothing is seen.
    """
    height, width = size
    x = (position[:, 0] / position[:, 3] + 1) * (width / 2) - 0.5
    y = (position[:, 1] / position[:, 3] + 1) * (height / 2) - 0.5
    z = position[:, 2] / position[:, 3]
    corners = np.stack([x, y, z], axis=1)[faces]
    nearest = np.full((height, width), np.inf)
    ids = np.full((height, width), -1, dtype=np.int64)
    for face, ((ax, ay, az), (bx, by, bz), (cx, cy, cz)) in enumerate(corners.tolist()):
        left, right = max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), width - 1)
        top, bottom = max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), height - 1)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if left > right or top > bottom or area == 0:
            continue
        u, v = np.arange(left, right + 1), np.arange(top, bottom + 1)[:, None]
        wa = ((bx - u) * (cy - v) - (by - v) * (cx - u)) / area
        wb = ((cx - u) * (ay - v) - (cy - v) * (ax - u)) / area
        wc = 1 - wa - wb
        depth = wa * az + wb * bz + wc * cz
        part = (slice(top, bottom + 1), slice(left, right + 1))
        hit = (wa >= 0) & (wb >= 0) & (wc >= 0) & (depth < nearest[part])
        nearest[part][hit] = depth[hit]
        ids[part][hit] = face
    return ids
