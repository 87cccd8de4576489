"""The pixels of one refinement step and their colours under a texture that is being learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gtr_core.fields.field import Field
from gtr_core.fields.triplane import sample_planes
from gtr_core.stages.surface_samples import SurfaceSamples
from gtr_core.stages.texture_config import TextureConfig

PIXELS_AT_ONCE = 1 << 15
"""Pixels, or vertices, whose colour is computed in one go; bounds the memory."""


@dataclass(frozen=True)
class PixelBatch:
    """Pixels of one step.

    Args:
        chosen: (P,) indices of the pixels among the samples.
        count: how many pixels the loss is a mean over.
        constant: what pixels without surface add to the summed loss.
    """

    chosen: Tensor
    count: int
    constant: float = 0.0


class TexturedSurface:
    """The surface samples with the colours that a field gives them.

    Args:
        field: its ``base_color`` and ``shade`` are used, its planes and network are not.
        samples: where the pixels meet the surface.
        config: ``colors_at`` and ``background`` are used.
    """

    def __init__(self, field: Field, samples: SurfaceSamples, config: TextureConfig) -> None:
        self.samples = samples
        self._field, self._config = field, config
        self._vertex_base: tuple[Tensor | None] | None = None

    def pixel_colors(self, planes: Tensor, color_mlp: nn.Module, chosen: Tensor) -> Tensor:
        """(P, 3) colours of the chosen pixels: means over their samples, background where one meets nothing.

        Not clamped; differentiable in ``planes`` and in the network.
        """
        if self._config.colors_at == "vertices":
            colors = self._mixed_colors(planes, color_mlp, chosen)
        else:
            points = self.samples.points(chosen)
            with torch.no_grad():
                base = self._field.base_color(points)
            colors = self._field.shade(color_mlp(sample_planes(planes, points)), base)
        hit = self.samples.face[chosen] >= 0
        if hit.shape[1] == 1 and bool(hit.all()):
            return colors
        filled = colors.new_full((*hit.shape, 3), self._config.background)
        return filled.index_put((hit,), colors).mean(1)

    def vertex_colors(self, planes: Tensor, color_mlp: nn.Module) -> Tensor:
        """(N, 3) colours of the vertices in [0, 1], without gradient."""
        vertices, base = self.samples.mesh.vertices, self._base_of_vertices()
        parts = []
        with torch.no_grad():
            for start in range(0, len(vertices), PIXELS_AT_ONCE):
                part = slice(start, start + PIXELS_AT_ONCE)
                raw = color_mlp(sample_planes(planes, vertices[part]))
                parts.append(self._field.shade(raw, None if base is None else base[part]))
        return torch.cat(parts).clamp(0, 1)

    def _mixed_colors(self, planes: Tensor, color_mlp: nn.Module, chosen: Tensor) -> Tensor:
        """(K, 3) mixtures of the vertex colours at the samples; every vertex is asked once."""
        corners, weights = self.samples.corners(chosen)
        used, place = torch.unique(corners, return_inverse=True)
        base = self._base_of_vertices()
        raw = color_mlp(sample_planes(planes, self.samples.mesh.vertices[used]))
        colors = self._field.shade(raw, None if base is None else base[used])
        return (colors.index_select(0, place.flatten()).view(*corners.shape, 3) * weights[..., None]).sum(1)

    def _base_of_vertices(self) -> Tensor | None:
        """What is known of the vertices' colours without the texture (N, 3); computed once."""
        if self._vertex_base is None:
            with torch.no_grad():
                self._vertex_base = (self._field.base_color(self.samples.mesh.vertices),)
        return self._vertex_base[0]


class PixelSource:
    """Chooses the pixels of each step; the choice depends on the seed and the step alone, so it can be continued."""

    def __init__(self, samples: SurfaceSamples, config: TextureConfig, seed: int) -> None:
        self._config, self._seed = config, seed
        self._learned = (~samples.held_out).nonzero().squeeze(1)
        whole = not config.pixels_per_step and not config.inner_pixels_only
        count = samples.num_pixels if whole else len(self._learned)
        self._all = PixelBatch(self._learned, count, samples.missed(config.loss) if whole else 0.0)

    def draw(self, step: int) -> PixelBatch:
        """The pixels of step ``step``, counted from 0."""
        count = self._config.pixels_per_step
        if count == 0 or count >= len(self._learned):
            return self._all
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + step) % (1 << 62))
        chosen = torch.randint(len(self._learned), (count,), generator=generator)
        return PixelBatch(self._learned[chosen.to(self._learned.device)], count)
