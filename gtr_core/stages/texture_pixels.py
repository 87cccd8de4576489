"""The pixels of one refinement step, and how their colours come about."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    """Pixels of one step. Their loss is ``scale`` times the difference summed over them, plus ``constant``.

    Args:
        chosen: (P,) indices of the pixels among the samples.
        scale: factor of the sum.
        constant: what pixels without surface add.
        subset: number of this batch; the same number means the same pixels.
    """

    chosen: Tensor = field(repr=False)
    scale: float
    constant: float = 0.0
    subset: int = 0


@dataclass(frozen=True)
class PixelSites:
    """Where a field is asked for the colours of P pixels with S samples each, and how its answers are mixed.

    Args:
        points: (N, 3) world positions.
        base: (N, 3) colours known there without the texture; None if nothing is.
        hit: (P, S) which samples meet the surface, K in all.
        background: grey value of the others.
        place: (K, 3) the corners of each sample's face among the N points; None when the points are the samples.
        weights: (K, 3) of these corners; None likewise.
    """

    points: Tensor
    base: Tensor | None
    hit: Tensor
    background: float
    place: Tensor | None = None
    weights: Tensor | None = None

    def mix(self, colors: Tensor) -> Tensor:
        """Colours at the points (N, 3) -> colours of the pixels (P, 3): means over their samples."""
        if self.place is not None and self.weights is not None:
            corners = colors.index_select(0, self.place.flatten()).view(*self.place.shape, 3)
            colors = (corners * self.weights[..., None]).sum(1)
        if self.hit.shape[1] == 1 and len(colors) == len(self.hit):
            return colors
        filled = colors.new_full((*self.hit.shape, 3), self.background)
        return filled.index_put((self.hit,), colors).mean(1)


class TexturedSurface:
    """The surface samples with the colours that a field gives them.

    Args:
        field: its ``base_color`` and ``shade`` are used, its planes and network are not.
        samples: where the pixels meet the surface.
        config: ``colors_at`` and ``background`` are used.
    """

    def __init__(self, field: Field, samples: SurfaceSamples, config: TextureConfig) -> None:
        self.samples = samples
        self.shade = field.shade
        self.asks_vertices = config.colors_at == "vertices"
        self._field, self._background = field, config.background
        self._vertex_base: tuple[Tensor | None] | None = None

    def sites(self, chosen: Tensor) -> PixelSites:
        """Where the chosen pixels ask the field: at their surface points, or once at every vertex of their faces."""
        hit = self.samples.face[chosen] >= 0
        if not self.asks_vertices:
            points = self.samples.points(chosen)
            with torch.no_grad():
                return PixelSites(points, self._field.base_color(points), hit, self._background)
        corners, weights = self.samples.corners(chosen)
        asked = torch.zeros(len(self.samples.mesh.vertices), dtype=torch.bool, device=corners.device)
        asked[corners.flatten()] = True
        used, place = asked.nonzero().squeeze(1), (asked.cumsum(0) - 1)[corners]
        base = self._base_of_vertices()
        return PixelSites(
            self.samples.mesh.vertices[used],
            None if base is None else base[used],
            hit,
            self._background,
            place,
            weights,
        )

    def all_points(self) -> Tensor:
        """(N, 3) every point that any pixel asks the field at."""
        if not self.asks_vertices:
            return self.samples.points(torch.arange(len(self.samples), device=self.samples.face.device))
        used = torch.zeros(len(self.samples.mesh.vertices), dtype=torch.bool, device=self.samples.face.device)
        used[self.samples.mesh.faces[self.samples.face[self.samples.face >= 0]]] = True
        return self.samples.mesh.vertices[used]

    def pixel_colors(self, planes: Tensor, color_mlp: nn.Module, sites: PixelSites) -> Tensor:
        """(P, 3) colours of the pixels that ask at these sites: means over their samples, background where one misses.

        Not clamped; differentiable in ``planes`` and in the network.
        """
        return sites.mix(self.shade(color_mlp(sample_planes(planes, sites.points)), sites.base))

    def vertex_colors(self, planes: Tensor, color_mlp: nn.Module) -> Tensor:
        """(N, 3) colours of the vertices in [0, 1], without gradient."""
        vertices, base = self.samples.mesh.vertices, self._base_of_vertices()
        parts = []
        with torch.no_grad():
            for start in range(0, len(vertices), PIXELS_AT_ONCE):
                part = slice(start, start + PIXELS_AT_ONCE)
                raw = color_mlp(sample_planes(planes, vertices[part]))
                parts.append(self.shade(raw, None if base is None else base[part]))
        return torch.cat(parts).clamp(0, 1)

    def _base_of_vertices(self) -> Tensor | None:
        """What is known of the vertices' colours without the texture (N, 3); computed once."""
        if self._vertex_base is None:
            with torch.no_grad():
                self._vertex_base = (self._field.base_color(self.samples.mesh.vertices),)
        return self._vertex_base[0]
