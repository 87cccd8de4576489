"""The surface of a triplane field on a regular grid, looking only where it can be.

The straightforward way asks the field at every node (:func:`gtr_core.fields.surface.density_grid`). Here blocks of
cells whose bounds exclude the surface are skipped, large blocks first, and what is left is evaluated through
:class:`gtr_core.fields.separable.SeparableDensity`. The result is that of the dense grid: bounds are proofs, not
samples, and nodes whose density is within rounding of the level are asked in the straightforward way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.fields.block_bounds import BlockBounds, IntervalBounds
from gtr_core.fields.center_bounds import CenterBounds
from gtr_core.fields.separable import SeparableDensity
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.active_cells import ActiveCells, join_cells, slab_cells
from gtr_core.geometry.block_nodes import BlockNodes, GridNodes
from gtr_core.progress import Progress, no_progress

DENSE_SHARE = 0.3
"""When more than this share of the nodes is left, evaluating all of them is faster."""
HOPELESS_SHARE = 0.9
"""When more than this share of the last but one size of blocks is left, the last one would not save enough."""
NARROW = 64
"""Widest network whose bounds come from interval arithmetic."""
SIDES = {"narrow": (16, 8, 4), "wide": (8, 4, 2)}
"""Sides of the blocks in cells, largest first: the dearer a node, the closer the search."""
_TIE = 1e-5
"""Rounding of a raw density, as a share of the largest bound of the raw density."""
_SLICES = 16
_PORTIONS = 16
_STAGE = "extract"


def surface_cells(
    field: TriplaneField, resolution: int, level: float, *, progress: Progress = no_progress
) -> ActiveCells:
    """The grid cells that the surface passes.

    Args:
        field: whose density MLP is an :class:`gtr_core.fields.decoder.Mlp`.
        resolution: nodes per side of the grid over [-1, 1]^3.
        level: density of the surface.
        progress: called as ``("extract", done, resolution)``.

    Returns:
        The cells with the signed distances ``level - density``, the surface being where these are 0.
    """
    with torch.no_grad():
        decoder = GridDecoder(field, resolution, level, progress)
        return decoder.cells()


class GridDecoder:
    """One extraction; see :func:`surface_cells`.

    Attributes:
        sides: of the blocks, in cells, largest first; finest the last of them.
        tie: raw densities that are nearer to the level's are asked in the straightforward way.
    """

    def __init__(self, field: TriplaneField, resolution: int, level: float, progress: Progress = no_progress) -> None:
        progress(_STAGE, 0, resolution)
        self.field, self.resolution, self.level, self.progress = field, resolution, level, progress
        self.density = SeparableDensity(field, resolution)
        self.raw_level = field.density_head.raw_at(level)
        self.sides = SIDES["narrow" if self.density.hidden <= NARROW else "wide"]
        self.finest = self.sides[-1]
        self.tie = 0.0

    def cells(self) -> ActiveCells:
        """The active cells, by whichever way is faster."""
        blocks = self.surviving_blocks()
        cells = self.dense_cells() if blocks is None else self.sparse_cells(blocks)
        self.progress(_STAGE, self.resolution, self.resolution)
        return cells

    def surviving_blocks(self) -> Tensor | None:
        """(K, 3) blocks of side :attr:`finest` that the surface may pass; None when the bounds exclude too little."""
        side = self.sides[0]
        line = torch.arange(-(-(self.resolution + 1) // side), device=self.density.device)
        blocks = torch.cartesian_prod(line, line, line)
        bounds = self._bounds()
        limits = [1.0] * (len(self.sides) - 2) + [HOPELESS_SHARE, DENSE_SHARE]
        for step, side in enumerate(self.sides):
            if step:
                children = torch.cartesian_prod(*[torch.arange(2, device=blocks.device)] * 3)
                blocks = (2 * blocks[:, None] + children).view(-1, 3)
                blocks = blocks[(blocks * side <= self.resolution).all(1)]
            self.progress(_STAGE, self.resolution * step // (4 * len(self.sides)), self.resolution)
            blocks = blocks[self._may_pass(bounds, blocks, side)]
            share = len(blocks) / (-(-(self.resolution + 1) // side)) ** 3
            if share > limits[step]:
                return None
        return blocks

    def _bounds(self) -> BlockBounds:
        if self.density.hidden > NARROW and len(self.density.weights) == 3:
            return CenterBounds(self.density)
        return IntervalBounds(self.density, self.finest, len(self.sides))

    def _may_pass(self, bounds: BlockBounds, blocks: Tensor, side: int) -> Tensor:
        """(K,) whether the surface may pass the blocks (K, 3)."""
        if not len(blocks):
            return torch.zeros(0, dtype=torch.bool, device=blocks.device)
        low, high = bounds(blocks, side)
        self.tie = _TIE * float(torch.maximum(low.abs(), high.abs()).max())
        # written so that a bound that is not a number keeps its block
        above = (low > self.raw_level + self.tie) & ~self._touches_padding(blocks, side)
        return ~above & ~(high < self.raw_level - self.tie)

    def _touches_padding(self, blocks: Tensor, side: int) -> Tensor:
        """(K,) whether a node of the block lies outside the grid."""
        return ((blocks == 0) | ((blocks + 1) * side > self.resolution)).any(1)

    def sparse_cells(self, blocks: Tensor) -> ActiveCells:
        """The active cells inside blocks (K, 3) of side :attr:`finest`."""
        nodes = BlockNodes(blocks, self.finest, self.resolution)
        values = torch.full((len(nodes),), 1.0, device=blocks.device)
        for k, (slots, places) in enumerate(nodes.needed(_PORTIONS)):
            self.progress(_STAGE, self.resolution * (_PORTIONS + 3 * k) // (4 * _PORTIONS), self.resolution)
            values[slots] = self.signed_distance(places)
        return nodes.active_cells(values)

    def dense_cells(self) -> ActiveCells:
        """The active cells of the whole grid, some slices at a time."""
        size = self.resolution
        padding = torch.full((1, size, size), 1.0, device=self.density.device)
        parts, last = [], padding
        for first in range(0, size, _SLICES):
            self.progress(_STAGE, (size + 3 * first) // 4, size)
            slices = [self.slice_distance(x) for x in range(first, min(first + _SLICES, size))]
            values = torch.cat([last, torch.stack(slices)])
            parts.append(slab_cells(values, first, 0.0))
            last = values[-1:]
        parts.append(slab_cells(torch.cat([last, padding]), size, 0.0))
        return join_cells(parts)

    def signed_distance(self, nodes: GridNodes) -> Tensor:
        """(N,) level - density at N nodes."""
        raw = self.density.raw_at(nodes)
        tie = self._ties(raw)
        return self._distance(raw, tie, nodes[tie].coordinates)

    def slice_distance(self, x: int) -> Tensor:
        """(R, R) level - density at the nodes with this x."""
        raw = self.density.raw_slice(x).flatten()
        tie = self._ties(raw)
        nodes = torch.stack([torch.full_like(tie, x), tie // self.resolution, tie % self.resolution], dim=1)
        return self._distance(raw, tie, nodes).view(self.resolution, self.resolution)

    def _ties(self, raw: Tensor) -> Tensor:
        return ((raw - self.raw_level).abs() <= self.tie).nonzero().squeeze(1)

    def _distance(self, raw: Tensor, tie: Tensor, nodes: Tensor) -> Tensor:
        """Level - density of raw values (N,); at ``tie`` (T,), which are the ``nodes`` (T, 3), the field decides."""
        distance = self.level - self.field.density_head.density(raw)
        if len(tie):
            line = torch.linspace(-1, 1, self.resolution, device=raw.device)
            distance[tie] = self.level - self.field.density(line[nodes])[:, 0]
        return distance
