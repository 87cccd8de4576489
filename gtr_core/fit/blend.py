"""Colour of a surface from the pictures themselves: every point mixes the views that see it best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, normalize

from gtr_core.fit.depth_maps import PixelSquare, facing_normals, jumps
from gtr_core.fit.seen_colors import SeenColors
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.depth import backproject

_COSINE_POWER = 6
_FEATHER_PIXELS = 3
"""Width of the ramp beside outlines and depth jumps, where a pixel may mix two surfaces."""
_FEATHER_FLOOR = 1e-3
"""What is left of a weight at the outline itself: enough to count where nothing better is seen."""
_CHUNK = 1 << 15
_REFERENCES = 200_000
"""Seen surface points among which the nearest colour of an unseen point is looked for."""


@dataclass(frozen=True)
class ProjectionBlend:
    """Colours by projection into V views.

    Args:
        rgba: (V, H, W, 4) uint8 sRGB with straight alpha.
        cameras: of the views.
        depth: (V, H, W) float32 camera z of the surface that is coloured, 0 = nothing; tells what a view sees.
        normal: (V, H, W, 3) int8, unit world normals times 127, towards the cameras.
        tolerance: how far from a view's surface a point may lie to be the one seen, world units.
    """

    rgba: Tensor
    cameras: Cameras
    depth: Tensor
    normal: Tensor
    tolerance: float

    @classmethod
    def build(
        cls, rgba: Tensor, cameras: Cameras, depth: Tensor, normal: Tensor | None, tolerance: float
    ) -> ProjectionBlend:
        """From pictures (V, H, W, 4) in [0, 1], depth (V, H, W) and normals (V, H, W, 3), estimated when None."""
        normal = facing_normals(cameras, depth, normal, backproject(cameras, depth))
        pixels = (rgba * 255).round().clamp(0, 255).to(torch.uint8)
        return cls(pixels, cameras, depth, (normal * 127).round().to(torch.int8), tolerance)

    def color(self, points: Tensor, normals: Tensor | None = None) -> Tensor:
        """sRGB (N, 3) in [0, 1] at surface points (N, 3); what no view sees takes the nearest colour that one does.

        Args:
            points: in world units.
            normals: (N, 3) outward; keep the two sides of a thin wall apart. None when unknown.
        """
        return self.filled(points, *self.seen_color(points, normals))

    def filled(self, points: Tensor, colors: Tensor, weight: Tensor) -> Tensor:
        """Colours (N, 3) with those of weight 0 (N,) replaced by the nearest colour that a view sees."""
        unseen = (weight == 0).nonzero().squeeze(-1)
        if len(unseen) == 0:
            return colors
        return colors.index_copy(0, unseen, self._references.near(points[unseen]))

    def seen_color(self, points: Tensor, normals: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """sRGB (N, 3) and the total weight (N,) of the views that see each point; both 0 where none does."""
        colors, weights = torch.zeros_like(points), torch.zeros_like(points[:, 0])
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            colors[part], weights[part] = self._mix(points[part], None if normals is None else normals[part])
        return colors, weights

    def _mix(self, points: Tensor, normals: Tensor | None) -> tuple[Tensor, Tensor]:
        projected = self.cameras.project(points)
        total, weights = torch.zeros_like(points), torch.zeros_like(points[:, 0])
        for view in range(len(self.cameras)):
            square = PixelSquare.at(projected[view], self.cameras.height, self.cameras.width)
            pixels = square.gather(self._table[view], self.cameras.width)
            premultiplied, alpha = pixels[..., :3], pixels[..., 3]
            plane, offset, feather = pixels[..., 4:7], pixels[..., 7], pixels[..., 8]
            away = ((plane @ points[:, :, None]).squeeze(-1) - offset).abs()
            share = square.shares * (away < self.tolerance) * square.framed[:, None]
            if normals is not None:
                share = share * ((plane @ normals[:, :, None]).squeeze(-1) > 0)
            opacity = (share * alpha).sum(-1)
            towards = normalize(self.cameras.positions[view] - points, dim=-1)
            cosine = ((plane @ towards[:, :, None]).squeeze(-1) * share).sum(-1).clamp(min=0)
            density = self.cameras.intrinsics[view, 0] / projected[view, :, 2]
            strength = cosine**_COSINE_POWER * (share * feather).sum(-1) * density.square() * (opacity > 1e-3)
            total += (share[..., None] * premultiplied).sum(1) * (strength / opacity.clamp(min=1e-3))[:, None]
            weights += strength
        return total / weights.clamp(min=1e-20)[:, None], weights

    @cached_property
    def _table(self) -> Tensor:
        """(V, H * W, 9): premultiplied colour, alpha, plane normal and offset, feather; alpha 0 without a surface."""
        points = backproject(self.cameras, self.depth)
        normal = normalize(self.normal.float(), dim=-1)
        alpha = self.rgba[..., 3:].float() / 255 * (self.depth > 0)[..., None]
        color = self.rgba[..., :3].float() / 255 * alpha
        offset = (normal * points).sum(-1, keepdim=True)
        table = torch.cat([color, alpha, normal, offset, self._feather[..., None]], dim=-1)
        return table.flatten(1, 2)

    @cached_property
    def _feather(self) -> Tensor:
        """(V, H, W) weight that falls towards outlines and depth jumps."""
        near = jumps(self.depth, 4 * self.tolerance).float()
        feather = torch.ones_like(near)
        for step in range(_FEATHER_PIXELS):
            reached = max(step / _FEATHER_PIXELS, _FEATHER_FLOOR)
            feather = torch.where(near > 0, feather.clamp(max=reached), feather)
            near = max_pool2d(near, 3, stride=1, padding=1)
        return feather

    @cached_property
    def _references(self) -> SeenColors:
        good = (self.depth > 0) & (self.rgba[..., 3] > 127) & (self._feather > 0.5)
        if not bool(good.any()):
            good = (self.depth > 0) & (self.rgba[..., 3] > 0)
        index = good.flatten().nonzero().squeeze(-1)
        index = index[:: max(1, len(index) // _REFERENCES)]
        points = backproject(self.cameras, self.depth).reshape(-1, 3)[index]
        return SeenColors(points, self.rgba[..., :3].reshape(-1, 3)[index].float() / 255)
