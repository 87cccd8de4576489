"""The colour network, cut behind the part that is linear in the texels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtr_core.fields.decoder import Mlp
from gtr_core.fields.triplane import PLANE_AXES


class TexelNetwork:
    """Colours from texels instead of points.

    Bilinear reading is linear and so is the network's first layer, so they may change places: with the weights W_p of
    plane p, ``sum_p W_p (S_p texels_p) = sum_p S_p (texels_p W_p^T)``. Each texel is multiplied once, however many
    points read it, and a point reads rows as wide as the hidden layer. Where those would be much wider than the
    texels themselves (small planes, wide networks), the texels are read and the network is applied as it is.

    Args:
        color_mlp: (N, 3C) features -> (N, 3) raw colour; feature = channel * 3 + plane.
        num_channels: C.
    """

    def __init__(self, color_mlp: nn.Module, num_channels: int) -> None:
        self._mlp = color_mlp
        self._num_channels = num_channels
        self._first: nn.Linear | None = None
        if isinstance(color_mlp, Mlp) and len(color_mlp.layers) > 1:
            first = cast(nn.Linear, color_mlp.layers[0])
            self._first = first if first.out_features <= 2 * num_channels else None
        self._buffers: tuple[Tensor, Tensor] | None = None

    @property
    def summed(self) -> bool:
        """Whether a point reads the sum over the planes; otherwise it reads each plane."""
        return self._first is not None

    @property
    def rows_per_point(self) -> int:
        """How many rows a point reads."""
        return 1 if self.summed else len(PLANE_AXES)

    def table(self, texels: Tensor, per_plane: list[int]) -> Tensor:
        """What points read (T, W) of texels (T, C), of which ``per_plane`` belong to each of the planes.

        Without gradient, and valid until the next call; :meth:`add_gradient` is its derivative.
        """
        if self._first is None:
            return texels.detach()
        if self._buffers is None:
            # The same memory in every step: to get fresh pages from the system would cost more than to fill them.
            self._buffers = texels.new_empty(len(texels), self._first.out_features), torch.empty_like(texels)
        with torch.no_grad():
            for weight, part, result in self._by_plane(per_plane, texels, self._buffers[0]):
                torch.mm(part, weight.T, out=result)
        return self._buffers[0]

    def wants_table_gradient(self, texels: Tensor) -> bool:
        """Whether anything that learns stands before the reading: the texels (T, C), or the first layer."""
        return texels.requires_grad or (self._first is not None and self._first.weight.requires_grad)

    def add_gradient(self, texels: Tensor, per_plane: list[int], table_gradient: Tensor) -> None:
        """Set the gradient of the texels and add that of the first layer's weights, given that of the table (T, W).

        Whichever of the two does not learn gets none.
        """
        if self._first is None or self._buffers is None:
            texels.grad = table_gradient
            return
        with torch.no_grad():
            if texels.requires_grad:
                texels.grad = self._buffers[1]
                for weight, result, gradient in self._by_plane(per_plane, texels.grad, table_gradient):
                    torch.mm(gradient, weight, out=result)
            if self._first.weight.requires_grad:
                by_plane = [
                    gradient.T @ part for _, part, gradient in self._by_plane(per_plane, texels, table_gradient)
                ]
                total = torch.stack(by_plane, dim=-1).flatten(1)
                known = self._first.weight.grad
                self._first.weight.grad = total if known is None else known.add_(total)

    def _by_plane(self, per_plane: list[int], *values: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """For each plane its weights (W, C) and its rows of every value (T, ...)."""
        assert self._first is not None
        weight = self._first.weight.detach().view(-1, self._num_channels, len(PLANE_AXES))
        yield from zip(weight.unbind(-1), *(torch.split(value.detach(), per_plane) for value in values), strict=True)

    def raw(self, read: Tensor) -> Tensor:
        """Raw colours (N, 3) for what N points read: (N, W) summed over the planes, or else (3 N, C) plane by plane."""
        if self._first is None:
            features = read.view(-1, len(PLANE_AXES), self._num_channels).transpose(1, 2).flatten(1)
            result: Tensor = self._mlp(features)
            return result
        hidden = read + self._first.bias
        for layer in cast(Mlp, self._mlp).layers[1:]:
            hidden = layer(functional.gelu(hidden))
        return hidden
