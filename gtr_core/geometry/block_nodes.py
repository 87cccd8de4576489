"""The nodes of scattered blocks of grid cells, each node held once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.geometry.active_cells import ActiveCells, active, corner_cases

_BLOCKS = 1 << 12
"""Blocks looked at in one go."""


@dataclass(frozen=True)
class GridNodes:
    """N nodes of a grid of R nodes a side, by their places in the three coordinate planes.

    Args:
        xy: (N,) int64, x R + y.
        xz: (N,) x R + z.
        yz: (N,) y R + z.
        resolution: R.
    """

    xy: Tensor
    xz: Tensor
    yz: Tensor
    resolution: int

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, index: Tensor) -> GridNodes:
        return GridNodes(self.xy[index], self.xz[index], self.yz[index], self.resolution)

    @property
    def coordinates(self) -> Tensor:
        """(N, 3) indices along x, y and z."""
        return torch.stack([self.xy // self.resolution, self.yz // self.resolution, self.yz % self.resolution], dim=1)


class BlockNodes:
    """Where the nodes of some blocks of cells are kept.

    Block b of side s holds the s^3 cells that start at the padded nodes s b to s b + s - 1 (see
    :class:`gtr_core.geometry.active_cells.ActiveCells`). It needs those nodes and the next layer of nodes along each
    axis, which belong to its neighbours. So there are s^3 slots for each of the blocks and of their upper neighbours.

    Args:
        blocks: (K, 3) int64, distinct.
        side: s, a power of 2.
        resolution: nodes per side of the grid without its padding.
    """

    def __init__(self, blocks: Tensor, side: int, resolution: int) -> None:
        self.blocks, self.side, self.resolution = blocks, side, resolution
        self._bits = 3 * (side.bit_length() - 1)
        # one empty layer in front, so that every block has lower neighbours, and one behind for the upper ones
        self._size = -(-(resolution + 1) // side) + 2
        self._corner = _cube(2, blocks.device)
        self._step = _flat(self._corner, self._size)
        self._own = _flat(blocks + 1, self._size)
        holds = torch.zeros(self._size**3, dtype=torch.bool, device=blocks.device)
        for step in self._step:
            holds[self._own + step] = True
        self._holder = holds.nonzero().squeeze(1)
        self._slot = torch.empty(len(holds), dtype=torch.int32, device=blocks.device)
        self._slot[self._holder] = torch.arange(len(self._holder), dtype=torch.int32, device=blocks.device)

    def __len__(self) -> int:
        """Number of slots."""
        return len(self._holder) << self._bits

    def needed(self, portions: int) -> Iterator[tuple[Tensor, GridNodes]]:
        """The blocks' nodes that lie in the grid, in this many portions: their slots (N,) and their places."""
        side, size = self.side, self.resolution
        local = _cube(side, self.blocks.device)
        # a node is also on the last layer of the lower neighbour in direction d where its own coordinate is 0 along d
        shared = ((local[None] == 0) | (self._corner[:, None] == 0)).all(2).float()
        kept = torch.zeros(self._size**3, device=local.device)
        kept[self._own] = 1.0
        line = torch.arange(side, device=local.device)
        start = 0
        for holder in self._holder.tensor_split(portions):
            lower = torch.stack([kept.index_select(0, holder - step) for step in self._step], dim=1)
            row = holder // self._size
            # index of the holder's first node, without padding
            first = [(i - 1) * side - 1 for i in (row // self._size, row % self._size, holder % self._size)]
            x, y, z = ((f[:, None] + line >= 0) & (f[:, None] + line < size) for f in first)
            inside = x[:, :, None, None] & y[:, None, :, None] & z[:, None, None, :]
            slots = (((lower @ shared) > 0) & inside.flatten(1)).flatten().nonzero().squeeze(1)
            at, inner = slots >> self._bits, slots & ((1 << self._bits) - 1)
            xy, xz, yz = (
                (first[u] * size + first[v]).index_select(0, at) + (local[:, u] * size + local[:, v])[inner]
                for u, v in ((0, 1), (0, 2), (1, 2))
            )
            yield slots + start, GridNodes(xy, xz, yz, size)
            start += len(holder) << self._bits

    def active_cells(self, values: Tensor) -> ActiveCells:
        """The active cells of the blocks.

        Args:
            values: signed distance of every slot; below 0 is inside. Slots that are not needed, among them those of
                the padding, have to hold 1.
        """
        parts = [self._active(part, values) for part in torch.split(self.blocks, _BLOCKS)]
        key, case, near = (torch.cat(columns) for columns in zip(*parts, strict=True))
        key, order = key.sort()
        return ActiveCells(key, case[order], near[order], self.resolution)

    def _active(self, blocks: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, cases and values of the active cells of some of the blocks."""
        side, nodes = self.side, self.side + 1
        local = _cube(nodes, blocks.device)
        holder = _flat(blocks + 1, self._size)[:, None] + self._step
        # which of the 8 holders a node belongs to, and where in it
        which, within = _flat(local // side, 2), _flat(local % side, side)
        slot = (self._slot[holder] << self._bits)[:, which] + within
        near = values[slot]
        cases = corner_cases((near < 0).to(torch.uint8).view(-1, nodes, nodes, nodes))
        at = active(cases)
        block, cell = at >> self._bits, _cube(side, blocks.device)[at & ((1 << self._bits) - 1)]
        first = block * nodes**3 + _flat(cell, nodes)
        corners = torch.stack([near.view(-1)[first + step] for step in (0, nodes * nodes, nodes, 1)], dim=1)
        return _flat(blocks[block] * side + cell, self.resolution + 2), cases.view(-1)[at], corners


def _cube(side: int, device: torch.device) -> Tensor:
    """(side^3, 3) coordinates in a cube, x slowest."""
    return torch.cartesian_prod(*[torch.arange(side, device=device)] * 3)


def _flat(index: Tensor, size: int) -> Tensor:
    """(..., 3) indices into a cube of this size -> flat indices."""
    x, y, z = index.unbind(-1)
    return (x * size + y) * size + z
