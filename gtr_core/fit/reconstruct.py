"""The preset ``fit`` from views to field and mesh, with or without depth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fit.blend import ProjectionBlend
from gtr_core.fit.depth_fusion import fuse_depth
from gtr_core.fit.depth_maps import facing_normals
from gtr_core.fit.field import FusedField
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.specks import unseen_specks, without_specks, without_vertices
from gtr_core.geometry.depth import backproject
from gtr_core.geometry.mesh import Mesh
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views

_MIN_VIEWS = 2
_TOLERANCE_CELLS = 1.0
_PROBE_CELLS = (2.0, -0.7)
_MIN_AGREEMENT = 0.6
_MAX_OUTSIDE = 0.5
_PROBES = 20_000


def reconstruct_fit(
    views: Views,
    *,
    grid_resolution: int = 256,
    seed: int = 0,
    progress: Progress = no_progress,
    on_preview: Callable[[Mesh], None] | None = None,
) -> tuple[FusedField, Mesh, tuple[str, ...]]:
    """Reconstruct an object without learned weights.

    With depth the depth images are fused; without, the object is fitted to its masks and colours, and the visual
    hull is shown first.

    Args:
        views: at least two.
        grid_resolution: nodes along an edge of the distance grid.
        seed: of everything random.
        progress: stages hull and fit (without depth), fuse, extract, color.
        on_preview: gets the mesh of the visual hull when there is no depth.

    Returns:
        The field, the closed mesh with vertex colours, and sentences about what the views could not tell.

    Raises:
        GtrError: ``too_few_views``; ``empty_reconstruction`` when the views do not belong together.
    """
    views.require(_MIN_VIEWS)
    if views.depth is not None:
        grid, notes = _from_depth(views, views.depth, grid_resolution, progress)
        depth, normal = views.depth, views.normal
        mesh = _extract(grid, progress)
    else:
        from gtr_core.fit.selection import reconstruct_from_masks

        grid, notes = reconstruct_from_masks(
            views, resolution=grid_resolution, seed=seed, progress=progress, on_preview=on_preview
        )
        mesh = _extract(grid, progress)
        drawn = render_mesh(mesh, views.cameras)
        depth, normal = drawn.depth, drawn.normal
    blend = ProjectionBlend.build(views.rgba, views.cameras, depth, normal, _TOLERANCE_CELLS * grid.spacing)
    return _colored(grid, mesh, blend, notes, seed, progress)


def _from_depth(views: Views, depth: Tensor, resolution: int, progress: Progress) -> tuple[SdfGrid, tuple[str, ...]]:
    samples = backproject(views.cameras, depth)[depth > 0]
    if len(samples) == 0:
        raise GtrError(ErrorCode.EMPTY_RECONSTRUCTION, "The depth images are empty.", "Capture the views again.")
    outside = float((samples.abs().amax(-1) > 1).float().mean())
    if outside > _MAX_OUTSIDE:
        raise GtrError(
            ErrorCode.EMPTY_RECONSTRUCTION,
            f"{outside:.0%} of what the depth images show lies outside the box [-1, 1] that is reconstructed.",
            "Scale and centre the scene so that the object lies inside it.",
        )
    grid = fuse_depth(views.cameras, depth, views.normal, views.mask, resolution, progress)
    agreement = _agreement(grid, views, depth)
    if agreement < _MIN_AGREEMENT:
        raise GtrError(
            ErrorCode.EMPTY_RECONSTRUCTION,
            f"The views contradict each other: only {agreement:.0%} of their depth fits to one object.",
            "Check that the images and the cameras belong together and stand in the same order.",
        )
    notes: tuple[str, ...] = ()
    if outside > 0.001:
        notes = (f"{outside:.1%} of the seen surface lies outside the box and was cut off.",)
    return grid, notes


def _agreement(grid: SdfGrid, views: Views, depth: Tensor) -> float:
    """Share of the depth pixels that the fused surface kept: outside just before them, inside just behind."""
    points = backproject(views.cameras, depth)
    normals = facing_normals(views.cameras, depth, views.normal, points)
    seen = (depth > 0).flatten().nonzero().squeeze(-1)
    seen = seen[:: max(1, len(seen) // _PROBES)]
    points, normals = points.reshape(-1, 3)[seen], normals.reshape(-1, 3)[seen]
    before, behind = (grid.sample(points + cells * grid.spacing * normals) for cells in _PROBE_CELLS)
    return float(((before > 0) & (behind < 0.5 * _TOLERANCE_CELLS * grid.spacing)).float().mean())


def _extract(grid: SdfGrid, progress: Progress) -> Mesh:
    progress("extract", 0, 1)
    mesh = grid.extract()
    progress("extract", 1, 1)
    return mesh


def _colored(
    grid: SdfGrid, mesh: Mesh, blend: ProjectionBlend, notes: tuple[str, ...], seed: int, progress: Progress
) -> tuple[FusedField, Mesh, tuple[str, ...]]:
    progress("color", 0, 2)
    field = FusedField.build(grid, blend, seed=seed)
    colors, weight = blend.seen_color(mesh.vertices, field.grid.gradient(mesh.vertices))
    dropped, specks = unseen_specks(mesh, weight > 0)
    if specks:
        field = FusedField.build(without_specks(grid, specks), blend, seed=seed)
        mesh, colors, weight = without_vertices(mesh, dropped), colors[~dropped], weight[~dropped]
    progress("color", 1, 2)
    unseen = _unseen_share(mesh, weight)
    if unseen >= 0.005:
        notes = (*notes, f"{unseen:.0%} of the surface was seen by no view; it was closed and took the nearest colour.")
    mesh = mesh.with_colors(blend.filled(mesh.vertices, colors, weight).clamp(0, 1))
    progress("color", 2, 2)
    return field, mesh, notes


def _unseen_share(mesh: Mesh, weight: Tensor) -> float:
    """Share of the surface's area whose vertices no view sees (weight (N,) = 0)."""
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1)
    unseen = (weight[mesh.faces] == 0).all(1)
    return float(area[unseen].sum() / area.sum().clamp(min=1e-20))
