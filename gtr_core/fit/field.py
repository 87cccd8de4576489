"""The field of the preset ``fit``: a fused distance, the projected colours, and a residual texture on top."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gtr_core.fields.decoder import ColorMlp
from gtr_core.fields.triplane import sample_planes
from gtr_core.fit.blend import ProjectionBlend
from gtr_core.fit.sdf_grid import SdfGrid, spacing_of
from gtr_core.geometry.cameras import Cameras

ISO_LEVEL = 10.0
"""Density at the surface, as in the released GTR."""
_BAND_CELLS = 4
_CHUNK = 1 << 17


@dataclass(frozen=True)
class TextureConfig:
    """Size of the residual texture.

    Args:
        channels: features per plane.
        resolution: texels along an edge of a plane.
        hidden: width of the colour MLP.
    """

    channels: int = 8
    resolution: int = 256
    hidden: int = 32


@dataclass(frozen=True)
class FusedField:
    """Implements :class:`gtr_core.fields.field.Field` for a reconstruction without weights.

    The colour is the blend plus what ``color_mlp`` makes of ``planes``. Planes and biases start at zero, so the
    residual starts at zero too and the first gradient already reaches the planes.

    Args:
        grid: signed distance, cut off at 4 cells.
        blend: colours projected from the input views.
        planes: (3, C, R, R).
        color_mlp: (N, 3 C) features -> (N, 3), added to the sRGB of the blend.
    """

    grid: SdfGrid
    blend: ProjectionBlend
    planes: Tensor
    color_mlp: nn.Module

    @classmethod
    def build(
        cls, grid: SdfGrid, blend: ProjectionBlend, *, seed: int = 0, texture: TextureConfig | None = None
    ) -> FusedField:
        """A field whose colour is the blend exactly."""
        texture = texture or TextureConfig()
        generator = torch.Generator().manual_seed(seed)
        mlp = ColorMlp(3 * texture.channels, texture.hidden, generator=generator).to(grid.values.device)
        planes = torch.zeros(3, texture.channels, texture.resolution, texture.resolution, device=grid.values.device)
        band = _band(grid.resolution)
        return cls(SdfGrid(grid.values.clamp(-band, band)), blend, planes, mlp)

    def density(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, 1) density >= 0; 10 at the surface, 0 from 2 cells outside on."""
        slope = ISO_LEVEL / (2 * self.grid.spacing)
        return (ISO_LEVEL - slope * self.grid.sample(points)).clamp(min=0)[:, None]

    def color(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, 3) sRGB in [0, 1]."""
        parts = []
        with torch.no_grad():
            for chunk in torch.split(points, _CHUNK):
                raw = self.color_mlp(sample_planes(self.planes, chunk))
                parts.append(self.shade(raw, self.base_color(chunk)).clamp(0, 1))
        return torch.cat(parts) if parts else torch.zeros_like(points)

    def base_color(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, 3) sRGB of the blended input pixels."""
        return self.blend.color(points, self.grid.gradient(points))

    def shade(self, raw: Tensor, base: Tensor | None) -> Tensor:
        """Residual (N, 3) plus base colour (N, 3), not clamped."""
        return raw if base is None else base + raw

    def with_texture(self, planes: Tensor, color_mlp: nn.Module) -> FusedField:
        """The same geometry and blend with another residual."""
        return replace(self, planes=planes, color_mlp=color_mlp)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything to write to disk: named tensors, and a config for JSON. :meth:`from_state` is its exact inverse.

        Distances at the cut-off are stored as one bit each.
        """
        values = self.grid.values.reshape(-1).cpu()
        index = (values.abs() < _band(self.grid.resolution)).nonzero().squeeze(-1)
        inside = torch.from_numpy(np.packbits((values < 0).numpy()))
        cameras = self.blend.cameras
        tensors = {
            "sdf_inside": inside, "sdf_index": index.to(torch.int32), "sdf_values": values[index],
            "rgba": self.blend.rgba, "depth": self.blend.depth, "normal": self.blend.normal,
            "c2w": cameras.c2w, "intrinsics": cameras.intrinsics, "planes": self.planes.detach(),
            **{f"color_mlp.{name}": value for name, value in self.color_mlp.state_dict().items()},
        }  # fmt: skip
        config = {"grid_resolution": self.grid.resolution, "tolerance": self.blend.tolerance}
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, config

    @classmethod
    def from_state(cls, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> FusedField:
        """Read what :meth:`state` gave."""
        resolution = int(config["grid_resolution"])
        inside = torch.from_numpy(np.unpackbits(tensors["sdf_inside"].numpy(), count=resolution**3)).bool()
        values = torch.where(inside, -_band(resolution), _band(resolution))
        values[tensors["sdf_index"].long()] = tensors["sdf_values"]
        height, width = tensors["depth"].shape[1:]
        cameras = Cameras(tensors["c2w"], tensors["intrinsics"], height, width)
        blend = ProjectionBlend(
            tensors["rgba"], cameras, tensors["depth"], tensors["normal"], float(config["tolerance"])
        )
        planes = tensors["planes"]
        mlp = ColorMlp(3 * planes.shape[1], tensors["color_mlp.layers.0.weight"].shape[0])
        mlp.load_state_dict({name[10:]: value for name, value in tensors.items() if name.startswith("color_mlp.")})
        return cls(SdfGrid(values.reshape((resolution,) * 3)), blend, planes, mlp)

    def to(self, device: torch.device | str) -> FusedField:
        """The same field on another device."""
        blend = replace(
            self.blend, rgba=self.blend.rgba.to(device), cameras=self.blend.cameras.to(device),
            depth=self.blend.depth.to(device), normal=self.blend.normal.to(device),
        )  # fmt: skip
        mlp = deepcopy(self.color_mlp).to(device)
        return FusedField(SdfGrid(self.grid.values.to(device)), blend, self.planes.to(device), mlp)


def _band(resolution: int) -> float:
    """Cut-off of the stored distance, a float32 number."""
    return float(np.float32(_BAND_CELLS * spacing_of(resolution)))
