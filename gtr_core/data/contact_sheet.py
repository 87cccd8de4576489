"""A picture to check a data set by: some objects, each with colour, depth and normals."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gtr_core.data.shards import read_index, read_object
from gtr_core.io.atomic import write_atomic
from gtr_core.io.images import encode_png
from gtr_core.views import Views

_SIDE = 128
"""Pixels of a small picture."""
_COLUMNS, _ROWS = 3, 8
"""Objects beside and below each other."""


def draw_contact_sheet(folder: Path) -> Path:
    """Write ``contact_sheet.png`` beside the shards: some objects, two views of each in colour, depth, normals.

    Raises:
        GtrError: ``bad_input`` for a damaged shard.
    """
    listed = [(path, entry) for path in sorted(folder.glob("*.tar")) for entry in read_index(path)]
    count = min(len(listed), _COLUMNS * _ROWS)
    chosen = [listed[k * len(listed) // count] for k in range(count)]
    strips = [_strip(read_object(path, entry, [0, 1])) for path, entry in chosen]
    columns = min(_COLUMNS, count)
    strips += [torch.ones_like(strips[0])] * (-count % columns)
    rows = [torch.cat(strips[k : k + columns], dim=1) for k in range(0, len(strips), columns)]
    path = folder / "contact_sheet.png"
    write_atomic(path, encode_png(torch.cat(rows)))
    return path


def _strip(views: Views) -> Tensor:
    """(side, 6 side + 1, 3) colour, depth and normals of two views."""
    assert views.depth is not None
    assert views.normal is not None
    there = views.depth > 0
    low = views.depth.where(there, torch.inf).amin()
    near = (1 - (views.depth - low) / (views.depth.amax() - low).clamp(min=1e-6)) * 0.9 + 0.1
    depth = torch.where(there, near, 0)[..., None].expand(-1, -1, -1, 3)
    normal = torch.where(there[..., None], (views.normal + 1) / 2, 1)
    pictures = torch.cat([views.composite(), depth, normal]).movedim(-1, 1)
    small = torch.nn.functional.interpolate(pictures, size=(_SIDE, _SIDE), mode="area").movedim(1, -1)
    order = (0, 2, 4, 1, 3, 5)
    return torch.cat([small[k] for k in order], dim=1)
