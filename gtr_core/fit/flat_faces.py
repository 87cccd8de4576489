"""Flat faces that views see edge-on, where an outline says nothing but that they end there.

A view that looks along a face sees a line: the face's nearest edge. In perspective every ray over that edge goes on
rising behind it, so the visual hull carries a flat roof, which no outline asks for. It is cut as deep as every ray of
the masks still meets something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gtr_core.fit.mask_rays import RAY_REACH, MaskRays, trace
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.geometry.cameras import Cameras
from gtr_core.views import Views

_IMAGE_SIZE = 128
_LEVEL = 0.5
"""Sine of the steepest angle at which views still count as standing around an object."""
_SPREAD = 0.1
"""Mean square by which viewing directions have to differ for their plane to be known."""
_EDGE_ON = 0.1
"""Sine of the angle at which a face is still seen edge-on."""
_FLATNESS = 0.03
"""How far the rays that end at a flat side may end below it, world units."""
_STRAIGHT = 0.7
"""Share of an object's height over which rays end at a side that is flat."""


@dataclass(frozen=True)
class Face:
    """A plane with all of the object behind it.

    Args:
        normal: (3,) of unit length, pointing out.
        offset: of the plane along it, world units.
    """

    normal: Tensor
    offset: float


@torch.no_grad()
def ends(views: Views, hull: SdfGrid) -> tuple[Face, ...]:
    """Top and bottom of an object that the views stand around.

    On a ball the cut is a few percent of the radius too deep; on anything that stands or has a lid it is right.

    Args:
        views: masked views.
        hull: distance of their visual hull.

    Returns:
        Two faces, or none where the views do not stand around an axis, within 30 degrees.
    """
    axis = _axis(views.cameras)
    return () if axis is None else _deepest_cuts(views, hull, torch.stack([axis, -axis]))


@torch.no_grad()
def sides(views: Views, hull: SdfGrid) -> tuple[Face, ...]:
    """Faces that one view looks straight at and another sees edge-on.

    They are those of a box that stands square to the views. Its outlines are straight there: a side where they are
    not is left as it is, so that a round object keeps its belly.

    Args:
        views: masked views.
        hull: distance of their visual hull.

    Returns:
        Up to one face for each view; none where the views do not stand around an axis.
    """
    axis, directions = _axis(views.cameras), views.cameras.c2w[:, :3, 2]
    across = ((directions @ directions.T).abs() < _EDGE_ON).any(1)
    return () if axis is None else _deepest_cuts(views, hull, -directions[across], straight_along=axis)


def cut(grid: SdfGrid, faces: tuple[Face, ...]) -> SdfGrid:
    """A distance with all that lies before the faces made outside."""
    values = grid.values
    nodes = torch.linspace(-1, 1, grid.resolution, device=values.device)
    for face in faces:
        x, y, z = face.normal[:, None] * nodes
        values = torch.maximum(values, (x - face.offset)[:, None, None] + (y[:, None] + z))
    return SdfGrid(values)


def _axis(cameras: Cameras) -> Tensor | None:
    directions = cameras.c2w[:, :3, 2]
    spread, axes = torch.linalg.eigh(directions.T @ directions / len(directions))
    level = float((directions @ axes[:, 0]).abs().max()) <= _LEVEL
    return axes[:, 0] if level and float(spread[1]) > _SPREAD else None


def _deepest_cuts(
    views: Views, hull: SdfGrid, normals: Tensor, *, straight_along: Tensor | None = None
) -> tuple[Face, ...]:
    """One face after the other, each as deep as the rays allow after those before it."""
    rays = MaskRays.of(views, _IMAGE_SIZE)
    chords = _Chords.of(hull, rays)
    faces: list[Face] = []
    for normal in normals if len(chords.first) else ():
        lowest = chords.lowest(normal)
        height = lowest @ normal
        if straight_along is not None:
            place = lowest @ straight_along
            if _length(place[height > height.max() - _FLATNESS]) < _STRAIGHT * _length(place):
                continue
        face = Face(normal, float(height.max()) + _half_a_pixel(rays.cameras))
        chords = chords.behind(face)
        faces.append(face)
    return tuple(faces)


def _length(places: Tensor) -> float:
    return float(places.max() - places.min())


def _half_a_pixel(cameras: Cameras) -> float:
    """How far an outline runs outside the centres of its outermost pixels, on average at the origin, world units."""
    return float((cameras.positions.norm(dim=-1) / cameras.intrinsics[:, :2].amax(-1)).mean()) / 2


@dataclass(frozen=True)
class _Chords:
    """Where rays enter the hull, and where they finally leave it: two (N, 3)."""

    first: Tensor
    last: Tensor

    @classmethod
    def of(cls, hull: SdfGrid, rays: MaskRays) -> _Chords:
        ahead, hit = trace(hull, rays)
        beyond = rays.origins + rays.directions * (rays.origins.norm(dim=-1, keepdim=True) + RAY_REACH)
        back, hit_back = trace(hull, replace(rays, origins=beyond, directions=-rays.directions))
        first, last = rays.origins + rays.directions * ahead[:, None], beyond - rays.directions * back[:, None]
        met = hit & hit_back
        return cls(first[met], last[met])

    def lowest(self, normal: Tensor) -> Tensor:
        """The end (N, 3) of each that lies least far along a direction."""
        return torch.where((self.first @ normal < self.last @ normal)[:, None], self.first, self.last)

    def behind(self, face: Face) -> _Chords:
        """What the face leaves of them."""
        return _Chords(_shortened(self.first, self.last, face), _shortened(self.last, self.first, face))


def _shortened(end: Tensor, other: Tensor, face: Face) -> Tensor:
    """Ends (N, 3) of chords that lie before a face moved along the chord to where it crosses the face."""
    height, height_of_other = (points @ face.normal - face.offset for points in (end, other))
    along = (height / (height - height_of_other).clamp(min=1e-9)).clamp(0, 1)
    return torch.where((height > 0)[:, None], end + (other - end) * along[:, None], end)
