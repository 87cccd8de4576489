"""The raw density of a triplane field at the nodes of a regular grid, without sampling the planes point by point."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtr_core.fields.decoder import Mlp
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.block_nodes import GridNodes

_CHUNK_VALUES = {"cpu": 1 << 18, "cuda": 1 << 26}
"""Hidden values held at a time: what the cache of a CPU core holds, 256 MB on a GPU."""

_MAP_BYTES = 1 << 28
"""Largest size of the three projected maps together."""


class SeparableDensity:
    """Raw density at grid nodes (paper section 3.1; the grid is that of section 3.2).

    A plane's bilinear feature depends on two coordinates only, and the first layer is linear:
    ``W1 f(x, y, z) = W1_xy f_xy(x, y) + W1_xz f_xz(x, z) + W1_yz f_yz(y, z)``. Each plane is brought to the grid's
    nodes once; what is left per node is a sum of three rows and the layers after the first. Exact up to rounding.

    For wide networks on fine grids such maps would be too large: there the features themselves are brought to the
    nodes, and the first layer is applied to each.

    Args:
        field: whose density MLP is an :class:`gtr_core.fields.decoder.Mlp`.
        resolution: nodes per side, at linspace(-1, 1, resolution).

    Attributes:
        projected: whether the maps hold the first layer's output (H values a node) or features (C values).
        maps: three of (R, R, H or C): index [x, y], [x, z] and [y, z].
    """

    def __init__(self, field: TriplaneField, resolution: int) -> None:
        if not isinstance(field.density_mlp, Mlp):
            raise TypeError(f"the density comes from {type(field.density_mlp).__name__}, not from an Mlp")
        first, *rest = (layer for layer in field.density_mlp.layers if isinstance(layer, nn.Linear))
        self.resolution = resolution
        self.planes = field.planes if field.geometry_planes is None else field.geometry_planes
        self.weights = [first.weight.detach(), *(layer.weight.detach() for layer in rest)]
        self.biases = [first.bias.detach(), *(layer.bias.detach() for layer in rest)]
        self.hidden = len(self.weights[0])
        self.projected = 12 * self.hidden * resolution**2 <= _MAP_BYTES
        self.maps = [self.plane_map(p) if self.projected else self.feature_map(p) for p in range(3)]

    @property
    def device(self) -> torch.device:
        """Where the planes lie."""
        return self.planes.device

    @property
    def chunk(self) -> int:
        """Nodes evaluated at a time."""
        return max(_CHUNK_VALUES.get(self.device.type, 1 << 18) // self.hidden, 64)

    def plane_map(self, plane: int, rows: slice = slice(None)) -> Tensor:
        """One plane's part of the first layer's output at all nodes.

        Args:
            plane: 0 = XY, 1 = XZ, 2 = YZ.
            rows: which outputs of the layer.

        Returns:
            (R, R, H), index [u, v]; without the bias.
        """
        weight = self.weights[0][rows, plane::3]  # feature = channel * 3 + plane
        return resample(self._texels(plane) @ weight.t(), self.resolution)

    def feature_map(self, plane: int) -> Tensor:
        """(R, R, C) features of one plane at all nodes, index [u, v]."""
        return resample(self._texels(plane), self.resolution)

    def _texels(self, plane: int) -> Tensor:
        """(T, T, C): index [u, v]; the planes are stored as (C, v, u)."""
        return self.planes[plane].detach().permute(2, 1, 0).contiguous()

    def raw_at(self, nodes: GridNodes) -> Tensor:
        """(N,) raw density at N nodes."""
        if len(nodes) == 0:
            return torch.zeros(0, device=self.device)
        parts = zip(*(torch.split(index, self.chunk) for index in (nodes.xy, nodes.xz, nodes.yz)), strict=True)
        return torch.cat([self.head(self.first_layer(GridNodes(xy, xz, yz, self.resolution))) for xy, xz, yz in parts])

    def raw_slice(self, x: int) -> Tensor:
        """(R, R) raw density at all nodes with this x, index [y, z]."""
        size = self.resolution
        rows = max(self.chunk // size, 1)
        parts = []
        for first in range(0, size, rows):
            y = slice(first, min(first + rows, size))
            xy, xz, yz = self.maps[0][x, y, None], self.maps[1][x][None], self.maps[2][y]
            if self.projected:
                hidden = (yz + xz).add_(xy + self.biases[0])
            else:
                shape = yz.shape
                features = torch.stack([xy.expand(shape), xz.expand(shape), yz], dim=-1)
                hidden = functional.linear(features.flatten(2), self.weights[0], self.biases[0])
            parts.append(self.head(hidden.view(-1, self.hidden)))
        return torch.cat(parts).view(size, size)

    def first_layer(self, nodes: GridNodes) -> Tensor:
        """(N, H) output of the first layer at N nodes."""
        pairs = zip(self.maps, (nodes.xy, nodes.xz, nodes.yz), strict=True)
        xy, xz, yz = (values.flatten(0, 1).index_select(0, at) for values, at in pairs)
        if self.projected:
            return xy.add_(xz).add_(yz).add_(self.biases[0])
        features = torch.stack([xy, xz, yz], dim=-1).flatten(1)
        return functional.linear(features, self.weights[0], self.biases[0])

    def head(self, hidden: Tensor) -> Tensor:
        """(N, H) output of the first layer -> (N,) raw density."""
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden = functional.linear(functional.gelu(hidden), weight, bias)
        return hidden.squeeze(1)


def resample(texels: Tensor, resolution: int) -> Tensor:
    """Bilinear values at grid nodes, as :func:`gtr_core.fields.triplane.sample_planes` reads them.

    Args:
        texels: (T, T, K); centres at (2 (i + 0.5) / T) - 1.
        resolution: nodes per side, at linspace(-1, 1, resolution).

    Returns:
        (resolution, resolution, K).
    """
    size = len(texels)
    line = torch.linspace(-1, 1, resolution, device=texels.device).double()
    position = (((line + 1) * size - 1) / 2).clamp(0, size - 1)
    left = position.floor().long().clamp(max=max(size - 2, 0))
    right = (left + 1).clamp(max=size - 1)
    share = (position - left).to(texels.dtype)
    across = torch.lerp(texels[left], texels[right], share[:, None, None])
    return torch.lerp(across[:, left], across[:, right], share[:, None])
