"""Bilinear reading of three planes at fixed points, written as a sparse matrix over the texels that are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.fields.triplane import PLANE_AXES

CORNERS = 4
"""Texels that a point reads in each plane."""
_POINTS_AT_ONCE = 1 << 16


class ActiveTexels:
    """The texels that refinement has to carry along: only those can ever get a gradient.

    Args:
        mask: (3 R R,) bool, plane-major, then row and column.
        resolution: R, at least 2.
    """

    def __init__(self, mask: Tensor, resolution: int) -> None:
        self.mask, self.resolution = mask, resolution
        self.per_plane = mask.view(len(PLANE_AXES), -1).sum(1).tolist()
        self._place = (mask.cumsum(0) - 1).int()

    @classmethod
    def read_at(cls, points: Tensor, resolution: int, *, also: Tensor | None = None) -> Self:
        """The texels that points (N, 3) read, and those of another mask (3 R R,)."""
        first = torch.zeros(len(PLANE_AXES) * resolution**2, dtype=torch.bool, device=points.device)
        for part in torch.split(points, _POINTS_AT_ONCE):
            first[_first_texel(part, resolution)[0].flatten()] = True
        cells = first.view(-1, resolution, resolution)
        cells = cells | functional.pad(cells, (1, 0))[..., :-1]
        cells = cells | functional.pad(cells, (0, 0, 1, 0))[:, :-1]
        mask = cells.flatten()
        return cls(mask if also is None else mask | also, resolution)

    def __len__(self) -> int:
        return sum(self.per_plane)

    def gather(self, planes: Tensor) -> Tensor:
        """Planes (3, C, R, R) -> their active texels (T, C)."""
        return planes.permute(0, 2, 3, 1).reshape(len(self.mask), -1)[self.mask]

    def scatter(self, texels: Tensor, planes: Tensor) -> Tensor:
        """Copy of planes (3, C, R, R) whose active texels are replaced by (T, C)."""
        count, channels, height, width = planes.shape
        rows = planes.permute(0, 2, 3, 1).reshape(len(self.mask), channels)
        # reshape copies unless the planes are stored with their channels last already
        rows = rows.clone() if rows.data_ptr() == planes.data_ptr() else rows
        rows[self.mask] = texels
        return rows.view(count, height, width, channels).permute(0, 3, 1, 2).contiguous()

    def rows(self, points: Tensor, *, summed: bool) -> TexelRows:
        """The matrix of the lookup at points (N, 3), all of whose texels are active.

        Args:
            points: in world units.
            summed: one row for each point that adds up the three planes; otherwise three rows, XY, XZ, YZ.
        """
        first, u, v = _first_texel(points, self.resolution)
        shift = torch.tensor([0, 1, self.resolution, self.resolution + 1], device=points.device)
        weight = torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], dim=-1)
        entries = CORNERS * len(PLANE_AXES) if summed else CORNERS
        index = self._place[(first[..., None] + shift).flatten()]
        return TexelRows(index.view(-1, entries), weight.view(-1, entries), len(self))


@dataclass(frozen=True)
class TexelRows:
    """A sparse matrix (N, T) with E entries in every row.

    Args:
        index: (N, E) int32 columns: places among the T active texels.
        weight: (N, E) float32 bilinear weights; the four of one plane add up to 1.
        num_texels: T.
    """

    index: Tensor = field(repr=False)
    weight: Tensor = field(repr=False)
    num_texels: int

    def __len__(self) -> int:
        return len(self.index)

    def times(self, table: Tensor, part: slice) -> Tensor:
        """A part of the rows (n, T) times a table (T, W) -> (n, W); without gradient."""
        index, weight = self.index[part], self.weight[part]
        if not len(index):
            return table.new_zeros(0, table.shape[1])
        with torch.no_grad():
            return functional.embedding_bag(index, table, mode="sum", per_sample_weights=weight)

    def transposed_times(self, gradient: Tensor) -> Tensor:
        """The transposed matrix (T, N) times (N, W) -> (T, W): brings the gradient of :meth:`times` to the table."""
        if not len(gradient):
            return gradient.new_zeros(self.num_texels, gradient.shape[1])
        rows, offsets, weight = self._transposed
        return functional.embedding_bag(rows, gradient, offsets, mode="sum", per_sample_weights=weight)

    @cached_property
    def _transposed(self) -> tuple[Tensor, Tensor, Tensor]:
        """Entries sorted by texel: their rows, where each texel's entries begin (T,), and their weights."""
        flat = self.index.flatten()
        order = torch.sort(flat, stable=True)[1]
        counts = torch.bincount(flat, minlength=self.num_texels)
        rows = (order // self.index.shape[1]).int()
        return rows, (counts.cumsum(0) - counts).int(), self.weight.flatten()[order]


def _first_texel(points: Tensor, resolution: int) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 3) flat place of the first of the four texels in each plane, and the shares u, v (N, 3) of the later ones.

    At the border the pair of texels moves inwards, which reads the same value.
    """
    place = (((points + 1) * resolution - 1) / 2).clamp(0, resolution - 1)
    texel = place.floor().clamp(max=resolution - 2)
    share, texel = place - texel, texel.long()
    first, u, v = [], [], []
    for plane, (width_axis, height_axis) in enumerate(PLANE_AXES):
        first.append((plane * resolution + texel[:, height_axis]) * resolution + texel[:, width_axis])
        u.append(share[:, width_axis])
        v.append(share[:, height_axis])
    return torch.stack(first, dim=1), torch.stack(u, dim=1), torch.stack(v, dim=1)
