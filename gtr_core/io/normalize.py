"""Cameras from elsewhere may put the object anywhere; the reconstructors want it inside [-1, 1]^3."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.mesh import Mesh
from gtr_core.views import Views

TARGET = 0.9
"""Half of the longest edge of a moved object's bounding box, in world units."""
SMALL_RADIUS = 0.25
"""An object below this radius uses too little of the grid and is enlarged."""
_INSIDE_SHARE = 0.98
_HULL_NODES = 64
_SAMPLES = 2000
"""Mask pixels of each view that are looked at."""


@dataclass(frozen=True)
class Similarity:
    """World of the reconstruction = ``scale`` * (user's world - ``center``)."""

    scale: float = 1.0
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def apply(self, views: Views) -> Views:
        """Views of the user's world as views of the reconstruction's world."""
        c2w = views.cameras.c2w.clone()
        c2w[:, :3, 3] = self.scale * (c2w[:, :3, 3] - c2w.new_tensor(self.center))
        cameras = Cameras(c2w, views.cameras.intrinsics, views.cameras.height, views.cameras.width)
        depth = None if views.depth is None else views.depth * self.scale
        return Views(views.rgba, cameras, depth, views.normal)

    def after(self, first: Similarity) -> Similarity:
        """Both, ``first`` being applied first."""
        x, y, z = (c + own / first.scale for c, own in zip(first.center, self.center, strict=True))
        return Similarity(self.scale * first.scale, (x, y, z))

    def invert(self, mesh: Mesh) -> Mesh:
        """A mesh of the reconstruction in the user's world; unchanged, to the bit, for the identity."""
        if self == Similarity():
            return mesh
        return replace(mesh, vertices=mesh.vertices / self.scale + mesh.vertices.new_tensor(self.center))


def normalize_views(views: Views) -> tuple[Views, Similarity]:
    """Move and scale the world so that the object lies inside [-1, 1]^3.

    An object that already lies there is left untouched. Its bounding box is known from depth. Without depth a sphere
    is found first, around the point nearest to the rays through the centroids of the masks and as large as the
    largest distance of a mask ray from there; then the bounding box of a coarse visual hull in it.

    Args:
        views: of any world with Y up.

    Returns:
        The views in the new world, and how to get meshes back.

    Raises:
        GtrError: ``camera_invalid`` when the cameras do not look at one place.
    """
    if views.depth is not None:
        return _normalize_by_points(views, _surface_points(views, views.depth))
    rays = [_mask_rays(views, index) for index in range(len(views))]
    if len(views) < 2 or _fits(views, rays):
        return views, Similarity()
    center = _nearest_point(views.cameras.positions.double(), torch.stack([r.mean(0) for r in rays]))
    if _is_behind(views.cameras, center):
        raise GtrError(
            ErrorCode.CAMERA_INVALID,
            "The cameras do not look at one place, so the object cannot be found.",
            "Check the axes of the cameras: -z forward in transforms.json, +z forward in cam_*.txt.",
        )
    origins = views.cameras.positions.double()
    radius = max(
        float(_ray_distance(center - origin, r).quantile(0.999)) for origin, r in zip(origins, rays, strict=True)
    )
    rough = _centered(center, radius)
    moved = rough.apply(views)
    corners = _hull_corners(moved)
    if corners is None:
        return moved, rough
    low, high = corners
    similarity = _centered((low + high) / 2, float((high - low).amax() / 2)).after(rough)
    return similarity.apply(views), similarity


def _normalize_by_points(views: Views, points: Tensor) -> tuple[Views, Similarity]:
    if not len(points):
        return views, Similarity()
    low, high = points.amin(0), points.amax(0)
    half = float((high - low).amax() / 2)
    if float(points.abs().max()) <= 1.01 and half >= SMALL_RADIUS:
        return views, Similarity()
    similarity = _centered((low + high) / 2, half)
    return similarity.apply(views), similarity


def _centered(center: Tensor, half: float) -> Similarity:
    """Moves ``center`` to the origin and makes the length ``half`` the target."""
    return Similarity(TARGET / max(half, 1e-9), (float(center[0]), float(center[1]), float(center[2])))


def _hull_corners(views: Views) -> tuple[Tensor, Tensor] | None:
    """Corners (3,), (3,) of the bounding box of all grid nodes in [-1, 1]^3 that lie in every mask; None for none.

    What lies beyond the edge of a picture may belong to the object.
    """
    axis = torch.linspace(-1, 1, _HULL_NODES, device=views.rgba.device)
    nodes = torch.cartesian_prod(axis, axis, axis)
    height, width = views.cameras.height, views.cameras.width
    for index in range(len(views)):
        u, v, z = views.cameras[[index]].project(nodes)[0].unbind(-1)
        framed = (z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        rows, columns = (x.nan_to_num().clamp(0, size - 1).long() for x, size in ((v, height), (u, width)))
        nodes = nodes[~framed | (views.mask[index][rows, columns] > 0.5)]
    if not len(nodes):
        return None
    cell = 2 / (_HULL_NODES - 1)
    return nodes.amin(0) - cell / 2, nodes.amax(0) + cell / 2


def _surface_points(views: Views, depth: Tensor) -> Tensor:
    """(P, 3) back-projected depth samples of the object."""
    parts = []
    for index in range(len(views)):
        rows, columns = _sampled(views.mask[index] * (depth[index] > 0))
        z = depth[index][rows, columns].double()
        direction = _camera_directions(views.cameras, index, rows, columns)
        c2w = views.cameras.c2w[index].double()
        parts.append((direction * z[:, None]) @ c2w[:3, :3].T + c2w[:3, 3])
    return torch.cat(parts)


def _sampled(mask: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (mask > 0.5).nonzero(as_tuple=True)
    step = max(1, len(rows) // _SAMPLES)
    return rows[::step], columns[::step]


def _camera_directions(cameras: Cameras, index: int, rows: Tensor, columns: Tensor) -> Tensor:
    """(P, 3) directions of pixels in camera axes, z = 1."""
    fx, fy, cx, cy = cameras.intrinsics[index].double()
    return torch.stack([(columns + 0.5 - cx) / fx, (rows + 0.5 - cy) / fy, torch.ones_like(rows).double()], dim=-1)


def _mask_rays(views: Views, index: int) -> Tensor:
    """(P, 3) unit world directions through the mask."""
    direction = _camera_directions(views.cameras, index, *_sampled(views.mask[index]))
    world = direction @ views.cameras.c2w[index, :3, :3].double().T
    return torch.nn.functional.normalize(world, dim=-1)


def _fits(views: Views, rays: list[Tensor]) -> bool:
    """Whether an object inside the box, and not too small for it, explains the masks."""
    origins = views.cameras.positions.double()
    for origin, directions in zip(origins, rays, strict=True):
        if float(_hits_box(origin, directions).double().mean()) < _INSIDE_SHARE:
            return False
    center = _nearest_point(origins, torch.stack([r.mean(0) for r in rays]))
    radius = max(float(_ray_distance(center - o, r).max()) for o, r in zip(origins, rays, strict=True))
    return bool(center.abs().max() <= 1) and radius >= SMALL_RADIUS


def _hits_box(origin: Tensor, directions: Tensor, half: float = 1.02) -> Tensor:
    """(P,) whether rays meet the box [-half, half]^3 in front of their origin."""
    safe = torch.where(directions.abs() < 1e-12, torch.full_like(directions, 1e-12), directions)
    near, far = (-half - origin) / safe, (half - origin) / safe
    enter = torch.minimum(near, far).amax(-1)
    leave = torch.maximum(near, far).amin(-1)
    return (leave >= enter) & (leave > 0)


def _nearest_point(origins: Tensor, directions: Tensor) -> Tensor:
    """(3,) point of least squared distance from lines (V, 3), (V, 3)."""
    unit = torch.nn.functional.normalize(directions, dim=-1)
    away = torch.eye(3, dtype=origins.dtype, device=origins.device) - unit[:, :, None] * unit[:, None, :]
    # A little weight at the mean of the cameras keeps parallel lines solvable.
    damping = 1e-6 * torch.eye(3, dtype=origins.dtype, device=origins.device)
    left = away.sum(0) + damping
    right = (away @ origins[:, :, None]).sum(0)[:, 0] + damping @ origins.mean(0)
    center: Tensor = torch.linalg.solve(left, right)
    return center


def _ray_distance(offset: Tensor, directions: Tensor) -> Tensor:
    """(P,) distance of a point, given from the common origin of rays, to these rays."""
    moment = torch.linalg.cross(offset.expand_as(directions), directions)
    distance: Tensor = moment.square().sum(-1).sqrt()
    return distance


def _is_behind(cameras: Cameras, center: Tensor) -> bool:
    forward = cameras.c2w[:, :3, 2].double()
    return bool((((center - cameras.positions.double()) * forward).sum(-1) <= 0).any())
