"""The field of the learned model: three planes and two small networks."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from gtr_core.fields.decoder import RELEASED_HEAD, DensityHead, color_from_raw
from gtr_core.fields.triplane import sample_planes

CHUNK = 1 << 16
"""Points evaluated at a time when no gradient is wanted; bounds the memory for the features."""


@dataclass(frozen=True)
class TriplaneField:
    """Implements :class:`gtr_core.fields.field.Field` (paper section 3.1).

    Density and colour read planes of their own once the texture was refined: geometry always comes from the planes
    that the model made.

    Args:
        planes: (3, C, R, R) float32 that the colour reads.
        density_mlp: (N, 3C) -> (N, 1) raw density.
        color_mlp: (N, 3C) -> (N, 3) raw colour.
        geometry_planes: (3, C, R, R) that the density reads; None while they are the same as ``planes``.
        density_head: raw density to density.
    """

    planes: Tensor
    density_mlp: nn.Module
    color_mlp: nn.Module
    geometry_planes: Tensor | None = None
    density_head: DensityHead = RELEASED_HEAD

    def density(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, 1) density >= 0."""
        planes = self.planes if self.geometry_planes is None else self.geometry_planes
        return _in_chunks(lambda part: self.density_head.density(self.density_mlp(sample_planes(planes, part))), points)

    def color(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, 3) sRGB in [0, 1]."""
        return self.radiance(points).clamp(0, 1)

    def radiance(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, 3) sRGB as the decoder gives it, from -0.001 to 1.001: what rays add up."""
        return _in_chunks(lambda part: self.shade(self.color_mlp(sample_planes(self.planes, part)), None), points)

    def base_color(self, points: Tensor) -> Tensor | None:
        """Nothing is known of the colour without the planes."""
        del points
        return None

    def shade(self, raw: Tensor, base: Tensor | None) -> Tensor:
        """Raw colour (N, 3) -> (N, 3) sRGB, not clamped."""
        del base
        return color_from_raw(raw)

    def with_texture(self, planes: Tensor, color_mlp: nn.Module) -> TriplaneField:
        """The same geometry with other colours."""
        geometry = self.planes if self.geometry_planes is None else self.geometry_planes
        return replace(self, planes=planes, color_mlp=color_mlp, geometry_planes=geometry)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything to write to disk: named tensors, and a config for JSON.

        While the texture is not refined, ``planes`` and ``geometry_planes`` are the same tensor. Its inverse is
        :func:`gtr_core.io.triplane_state.triplane_from_state`.
        """
        planes = self.planes.detach()
        tensors = {
            "planes": planes,
            "geometry_planes": planes if self.geometry_planes is None else self.geometry_planes.detach(),
            **{f"density_mlp.{name}": value for name, value in self.density_mlp.state_dict().items()},
            **{f"color_mlp.{name}": value for name, value in self.color_mlp.state_dict().items()},
        }
        return {name: value.detach().cpu() for name, value in tensors.items()}, {"head": asdict(self.density_head)}

    def to(self, device: torch.device | str) -> TriplaneField:
        """The same field on another device."""
        geometry = None if self.geometry_planes is None else self.geometry_planes.to(device)
        density, color = (deepcopy(mlp).to(device) for mlp in (self.density_mlp, self.color_mlp))
        return replace(
            self, planes=self.planes.to(device), geometry_planes=geometry, density_mlp=density, color_mlp=color
        )


def _in_chunks(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    if len(points) == 0 or torch.is_grad_enabled():
        return function(points)
    return torch.cat([function(part) for part in torch.split(points, CHUNK)])
