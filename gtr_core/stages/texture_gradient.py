"""Loss and gradient of texture refinement, in a fraction of the time of the straightforward way.

What makes it fast, without changing the result: the points do not move, so reading the planes is a constant sparse
matrix (:mod:`gtr_core.stages.texel_rows`); the first layer is applied before the reading
(:mod:`gtr_core.stages.texel_network`); the rest of the network runs over parts that stay in the cache.
:mod:`gtr_core.stages.straightforward` is the plain version that this one is held against.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.stages.texel_network import TexelNetwork
from gtr_core.stages.texel_rows import TexelRows
from gtr_core.stages.texture_config import TextureConfig
from gtr_core.stages.texture_pixels import PIXELS_AT_ONCE, PixelBatch, PixelSites, TexturedSurface
from gtr_core.stages.texture_state import TextureOptimizer

_SITES_AT_ONCE = 1 << 13
"""Points that go through the network together: their activations stay in the cache."""
_BLOCK_SITES = 1 << 18
"""Points whose gradient is brought to the texels together; bounds the memory for it."""


@dataclass(frozen=True)
class _Block:
    """Pixels whose gradient is brought to the texels together.

    Args:
        rows: the matrix of all their sites.
        parts: they go through the network one part after the other: sites and true colours (P, 3).
    """

    rows: TexelRows
    parts: tuple[tuple[PixelSites, Tensor], ...]


class TextureGradient:
    """Fills in the gradients of a texture.

    Args:
        surface: where the pixels ask the field.
        optimizer: whose texels and network get the gradients.
        config: ``loss`` is used.
    """

    def __init__(self, surface: TexturedSurface, optimizer: TextureOptimizer, config: TextureConfig) -> None:
        self._surface, self._optimizer = surface, optimizer
        self._absolute = config.loss == "l1"
        self._network = TexelNetwork(optimizer.color_mlp, optimizer.texels.shape[1])
        self._prepared: dict[int, list[_Block]] = {}
        self._buffer: Tensor | None = None

    def accumulate(self, batch: PixelBatch) -> float:
        """Set the gradient of the batch's loss on the texels, add it on the network; returns the loss.

        Whichever of the two does not learn gets none.
        """
        texels, per_plane = self._optimizer.texels, self._optimizer.active.per_plane
        table = self._network.table(texels, per_plane)
        table_gradient: Tensor | None = None
        total = torch.zeros((), dtype=torch.float64, device=table.device)
        for block in self._blocks(batch):
            gradient = self._gradient_of_read(table, block, batch.scale, total)
            if self._network.wants_table_gradient(texels):
                part = block.rows.transposed_times(gradient)
                table_gradient = part if table_gradient is None else table_gradient.add_(part)
        if table_gradient is not None:
            self._network.add_gradient(texels, per_plane, table_gradient)
        return float(total) + batch.constant

    def _gradient_of_read(self, table: Tensor, block: _Block, scale: float, total: Tensor) -> Tensor:
        """The loss's gradient (N, W) with respect to what the block's N rows read; adds the loss to ``total``."""
        if self._buffer is None or len(self._buffer) < len(block.rows):
            self._buffer = table.new_empty(len(block.rows), table.shape[1])
        start, rows_at_once = 0, _SITES_AT_ONCE * self._network.rows_per_point
        for sites, target in block.parts:
            part = slice(start, start + len(sites.points) * self._network.rows_per_point)
            read = block.rows.times(table, part).requires_grad_()
            colors = torch.cat([self._network.raw(rows) for rows in torch.split(read, rows_at_once)])
            difference = sites.mix(self._surface.shade(colors, sites.base)) - target
            loss = (difference.abs().sum() if self._absolute else difference.square().sum()) * scale
            torch.autograd.backward(loss)
            assert read.grad is not None
            self._buffer[part], start = read.grad, part.stop
            total += loss.detach()
        return self._buffer[:start]

    def _blocks(self, batch: PixelBatch) -> list[_Block]:
        """What does not change from step to step; computed when a subset of the pixels comes for the first time."""
        if batch.subset not in self._prepared:
            samples = self._surface.samples.face.shape[1]
            at_once = PIXELS_AT_ONCE if self._surface.asks_vertices else max(_SITES_AT_ONCE // samples, 1)
            blocks = torch.split(batch.chosen, max(_BLOCK_SITES // samples, 1))
            self._prepared[batch.subset] = [self._block(chosen, at_once) for chosen in blocks]
        return self._prepared[batch.subset]

    def _block(self, chosen: Tensor, at_once: int) -> _Block:
        parts = torch.split(chosen, at_once)
        sites = [self._surface.sites(part) for part in parts]
        points = torch.cat([part.points for part in sites])
        rows = self._optimizer.active.rows(points, summed=self._network.summed)
        targets = [self._surface.samples.target[part] for part in parts]
        return _Block(rows, tuple(zip(sites, targets, strict=True)))
