"""Which pixels each refinement step learns from."""

from __future__ import annotations

import torch

from gtr_core.stages.surface_order import morton_order
from gtr_core.stages.surface_samples import SurfaceSamples
from gtr_core.stages.texture_config import TextureConfig
from gtr_core.stages.texture_pixels import PixelBatch


class PixelSource:
    """Chooses the pixels of each step: all of them, or one after the other of random subsets of equal size.

    Each subset takes one pixel at random out of every group of neighbours on the surface, so that it covers the
    texels evenly. The subsets depend on the seed alone and the choice on the step alone, so a refinement can be
    continued.
    """

    def __init__(self, samples: SurfaceSamples, config: TextureConfig, seed: int) -> None:
        learned = (~samples.held_out).nonzero().squeeze(1)
        count = len(learned)
        self._learned = learned[morton_order(samples.first_points(learned))]
        self._num_subsets = -(-count // config.pixels_per_step) if config.pixels_per_step and count else 1
        groups = -(-count // self._num_subsets)
        generator = torch.Generator().manual_seed(seed)
        rank = torch.rand(groups, self._num_subsets, generator=generator).argsort(1).flatten()[:count]
        self._rank = rank.to(learned.device)
        # Where outlines are left out the mean is over the pixels that are used, else over all pixels of the views.
        self._count = count if config.inner_pixels_only else samples.num_pixels
        self._missed = 0.0 if config.inner_pixels_only else samples.missed(config.loss)

    def draw(self, step: int) -> PixelBatch:
        """The pixels of step ``step``, counted from 0; a subset estimates the loss over all of them."""
        subset, mean = step % self._num_subsets, 1 / (max(self._count, 1) * 3)
        chosen = self._learned if self._num_subsets == 1 else self._learned[self._rank == subset]
        share = len(chosen) / max(len(self._learned), 1)
        return PixelBatch(chosen, mean / max(share, 1e-12), self._missed * mean, subset)
