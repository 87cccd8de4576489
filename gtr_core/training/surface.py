"""The surface of a field as a mesh that knows how it moves with the network (paper section 3.2, equation 2)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gtr_core.fields.decoder import Mlp
from gtr_core.fields.grid_decode import surface_cells
from gtr_core.fields.surface import ISO_LEVEL, density_grid
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.active_cells import ActiveCells, active_cells
from gtr_core.geometry.marching_cubes import triangulate

MOST_CELLS = 40
"""A surface through more than this many times R^2 cells is no surface but noise; a ball has about 5."""
_SMALLEST = 1e-4
"""Signed distances at the ends of crossed edges keep this far from 0, so that no vertex moves without bound."""
_NODES_AT_ONCE = 1 << 18


def differentiable_surface(field: TriplaneField, resolution: int) -> tuple[Tensor, Tensor] | None:
    """The surface sdf = -(d - 10) = 0.

    The cells that it passes are found without gradients, skipping empty space; only the nodes of these are then asked
    again with gradients. No others have any influence on the vertices.

    Args:
        field: whose planes and density network are to be learned.
        resolution: nodes per side of the grid over [-1, 1]^3.

    Returns:
        vertices (N, 3), differentiable, and faces (M, 3); None when there is no surface, or when it fills the grid.
    """
    with torch.no_grad():
        cells = _cells(field, resolution)
    if not 0 < len(cells) <= MOST_CELLS * resolution**2:
        return None
    return triangulate(replace(cells, values=_values(field, cells)))


def _cells(field: TriplaneField, resolution: int) -> ActiveCells:
    field = replace(field, planes=field.planes.detach())
    if isinstance(field.density_mlp, Mlp):
        return surface_cells(field, resolution, ISO_LEVEL)
    return active_cells(ISO_LEVEL - density_grid(field, resolution), 0.0)


def _values(field: TriplaneField, cells: ActiveCells) -> Tensor:
    """(K, 4) signed distances of the cells' first nodes and their neighbours, differentiable; 1 outside the grid."""
    nodes = cells.resolution + 2
    key = cells.key[:, None] + torch.tensor([0, nodes * nodes, nodes, 1], device=cells.key.device)
    distinct, place = torch.unique(key, return_inverse=True)
    row = distinct // nodes
    at = torch.stack([row // nodes, row % nodes, distinct % nodes], dim=1) - 1
    within = ((at >= 0) & (at < cells.resolution)).all(1)
    points = at[within] * (2 / (cells.resolution - 1)) - 1
    sdf = torch.ones(len(distinct), device=points.device)
    sdf = sdf.masked_scatter(within, ISO_LEVEL - _density(field, points))
    return _on_their_side(sdf[place], cells.case)


def _density(field: TriplaneField, points: Tensor) -> Tensor:
    """(N,) density; large numbers of points are computed again in the backward pass."""
    if len(points) <= _NODES_AT_ONCE:
        return field.density(points).squeeze(1)
    parts = [checkpoint(field.density, part, use_reentrant=False) for part in torch.split(points, _NODES_AT_ONCE)]
    return torch.cat(parts).squeeze(1)


def _on_their_side(values: Tensor, case: Tensor) -> Tensor:
    """The same values (K, 4), where the cells' cases say that they are: rounding may see ties differently."""
    corner = torch.tensor([0, 1, 2, 4], device=case.device)
    inside = (case.long()[:, None] >> corner & 1).bool()
    return torch.where(inside, values.clamp(max=-_SMALLEST), values.clamp(min=_SMALLEST))
