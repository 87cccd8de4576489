"""Bounds of a wide network over blocks of cells: its value at the centre, its slope there, and what is left."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.fields.separable import SeparableDensity
from gtr_core.fields.triplane import PLANE_AXES

GELU_STEEPEST = 1.129
"""Not less than the largest abs(GELU'), at sqrt(2)."""
GELU_BEND_UP, GELU_BEND_DOWN = 0.398943, 0.053991
"""GELU(x + d) lies between its tangent at x minus DOWN d^2 and plus UP d^2: half of the extremes of GELU''."""
_CHUNK_VALUES = {"cpu": 1 << 19, "cuda": 1 << 26}


class CenterBounds:
    """Bounds by a tangent with a proved remainder, for networks of three layers; see :class:`BlockBounds`.

    With h the output of the first layer, D its change from the block's centre to a node, the raw density there is
    ``f + g D + v e + w e'``: f its value at the centre, g and v its gradients there by h and by the first
    activations, w the last layer, and e, e' how far GELU bends away from its tangents, which is between -DOWN and UP
    times the square of what goes in. So

    * ``g D`` is a sum of three functions of two coordinates: exact at every node of the block;
    * ``v e`` is at most max(v) UP abs(D)^2;
    * ``w e'`` is at most s^2 (steepest abs(D))^2, with s the spectral norm of the second layer's rows, each times the
      root of its weight's share of UP or DOWN;
    * ``abs(D)^2`` is exact too: inner products of the planes' changes, with the Gram matrix of the first layer.

    Interval arithmetic would add up the absolute weights of all units, and the more units there are the more these
    exceed what the units do together.

    Args:
        density: of a network of three layers.
    """

    def __init__(self, density: SeparableDensity) -> None:
        self._density = density
        self._features = [density.feature_map(p) if density.projected else density.maps[p] for p in range(3)]
        first, middle, last = density.weights
        parts = [first[:, plane::3] for plane in range(3)]
        self._gram = [[parts[p].t() @ parts[q] for q in range(3)] for p in range(3)]
        up, down = last.squeeze(0).clamp(min=0), (-last.squeeze(0)).clamp(min=0)
        self._bend = tuple(
            float(torch.linalg.matrix_norm(share.sqrt()[:, None] * middle, 2)) ** 2 * GELU_STEEPEST**2
            for share in (GELU_BEND_DOWN * up + GELU_BEND_UP * down, GELU_BEND_UP * up + GELU_BEND_DOWN * down)
        )

    def __call__(self, blocks: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """See :class:`BlockBounds`."""
        rows = max(self._density.hidden, (side + 1) ** 2 * self._features[0].shape[2])
        chunk = max(_CHUNK_VALUES.get(blocks.device.type, 1 << 19) // rows, 64)
        parts = [self._bound(part, side) for part in torch.split(blocks, chunk)]
        low, high = (torch.cat(values) for values in zip(*parts, strict=True))
        return low, high

    def _bound(self, blocks: Tensor, side: int) -> tuple[Tensor, Tensor]:
        value, slope, inner = self._tangent(self._inside(blocks * side + side // 2))
        changes = [self._changes(plane, blocks[:, u], blocks[:, v], side) for plane, (u, v) in enumerate(PLANE_AXES)]
        along = [torch.matmul(changes[p], slope[:, None, :, p, None]).squeeze(-1) for p in range(3)]
        tangent = value[:, None, None, None] + _over_block(along)
        square = self._squared_change(changes)
        largest, smallest = inner.amax(1), inner.amin(1)
        low = self._bend[0] + torch.maximum(GELU_BEND_DOWN * largest, GELU_BEND_UP * -smallest)
        high = self._bend[1] + torch.maximum(GELU_BEND_UP * largest, GELU_BEND_DOWN * -smallest)
        low, high = tangent - low[:, None, None, None] * square, tangent + high[:, None, None, None] * square
        return low.flatten(1).amin(1), high.flatten(1).amax(1)

    def _squared_change(self, changes: list[Tensor]) -> Tensor:
        """(K, S, S, S) abs(D)^2 at all nodes of K blocks from the changes of the three planes."""
        xy, xz, yz = changes
        own = [((c @ self._gram[p][p]) * c).sum(-1) for p, c in enumerate(changes)]
        xy_xz = (xy @ self._gram[0][1]) @ xz.transpose(2, 3)  # [x, y, z]
        xy_yz = (xy @ self._gram[0][2]).transpose(1, 2) @ yz.transpose(2, 3)  # [y, x, z]
        xz_yz = (xz @ self._gram[1][2]).transpose(1, 2) @ yz.permute(0, 2, 3, 1)  # [z, x, y]
        cross = xy_xz + xy_yz.transpose(1, 2) + xz_yz.permute(0, 2, 3, 1)
        return (_over_block(own) + 2 * cross).clamp(min=0)

    def _changes(self, plane: int, u: Tensor, v: Tensor, side: int) -> Tensor:
        """(K, S, S, C) how one plane's features change from the blocks' centres to their S = side + 1 nodes a side."""
        steps = torch.arange(side + 1, device=u.device)
        rows, columns = (self._inside(index[:, None] * side + steps) for index in (u, v))
        at = rows[:, :, None] * self._density.resolution + columns[:, None, :]
        features = self._features[plane].flatten(0, 1).index_select(0, at.flatten()).view(*at.shape, -1)
        middle = side // 2
        return features - features[:, middle : middle + 1, middle : middle + 1]

    def _tangent(self, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """At nodes (K, 3): raw density (K,), its gradient by the features (K, C, 3) and by the activations (K, H)."""
        (first, middle, last), (bias, middle_bias, last_bias) = self._density.weights, self._density.biases
        x, y, z = nodes.unbind(1)
        f = [m[a, b] for m, (a, b) in zip(self._features, ((x, y), (x, z), (y, z)), strict=True)]
        hidden = functional.linear(torch.stack(f, dim=-1).flatten(1), first, bias)
        outer = functional.linear(functional.gelu(hidden), middle, middle_bias)
        value = functional.linear(functional.gelu(outer), last, last_bias).squeeze(1)
        inner = torch.ops.aten.gelu_backward(last.expand_as(outer), outer) @ middle
        slope = torch.ops.aten.gelu_backward(inner, hidden) @ first
        return value, slope.view(len(nodes), -1, 3), inner

    def _inside(self, padded: Tensor) -> Tensor:
        """Nodes of the padded grid -> the nearest nodes of the grid."""
        return (padded - 1).clamp(0, self._density.resolution - 1)


def _over_block(planes: list[Tensor]) -> Tensor:
    """(K, S, S, S) sum of functions (K, S, S) of (x, y), of (x, z) and of (y, z)."""
    xy, xz, yz = planes
    return xy[:, :, :, None] + xz[:, :, None, :] + yz[:, None, :, :]
