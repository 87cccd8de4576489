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

    They are those of a box that stands square to the views; a round object would lose a part of its belly.

    Args:
        views: masked views.
        hull: distance of their visual hull.
    """
    directions = views.cameras.c2w[:, :3, 2]
    across = ((directions @ directions.T).abs() < _EDGE_ON).any(1)
    return _deepest_cuts(views, hull, -directions[across])


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


def _deepest_cuts(views: Views, hull: SdfGrid, normals: Tensor) -> tuple[Face, ...]:
    """One face after the other, each as deep as the rays allow after those before it."""
    rays = MaskRays.of(views, _IMAGE_SIZE)
    first, last = _chords(hull, rays)
    faces: list[Face] = []
    for normal in normals if len(first) else ():
        face = Face(normal, float(torch.minimum(first @ normal, last @ normal).max()) + _half_a_pixel(rays.cameras))
        first, last = _shortened(first, last, face), _shortened(last, first, face)
        faces.append(face)
    return tuple(faces)


def _half_a_pixel(cameras: Cameras) -> float:
    """How far an outline runs outside the centres of its outermost pixels, on average at the origin, world units."""
    return float((cameras.positions.norm(dim=-1) / cameras.intrinsics[:, :2].amax(-1)).mean()) / 2


def _chords(hull: SdfGrid, rays: MaskRays) -> tuple[Tensor, Tensor]:
    """Where each ray enters the hull, and where it finally leaves it: two (N, 3)."""
    ahead, hit = trace(hull, rays)
    beyond = rays.origins + rays.directions * (rays.origins.norm(dim=-1, keepdim=True) + RAY_REACH)
    back, hit_back = trace(hull, replace(rays, origins=beyond, directions=-rays.directions))
    first, last = rays.origins + rays.directions * ahead[:, None], beyond - rays.directions * back[:, None]
    met = hit & hit_back
    return first[met], last[met]


def _shortened(end: Tensor, other: Tensor, face: Face) -> Tensor:
    """Ends (N, 3) of chords that lie before a face moved along the chord to where it crosses the face."""
    height, height_of_other = (points @ face.normal - face.offset for points in (end, other))
    along = (height / (height - height_of_other).clamp(min=1e-9)).clamp(0, 1)
    return torch.where((height > 0)[:, None], end + (other - end) * along[:, None], end)
