"""From a field to its surface."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.fields.decoder import Mlp
from gtr_core.fields.field import Field
from gtr_core.fields.grid_decode import surface_cells
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.marching_cubes import marching_cubes, triangulate
from gtr_core.geometry.mesh import Mesh
from gtr_core.progress import Progress, no_progress

ISO_LEVEL = 10.0
"""Density of the surface (paper section 3.2: s = 10)."""


def extract_mesh(
    field: Field, grid_resolution: int = 256, *, colors: bool = True, progress: Progress = no_progress
) -> Mesh:
    """The surface density = 10 as a closed mesh, by default with the field's colours at its vertices.

    Args:
        field: any field.
        grid_resolution: nodes per side of the grid over [-1, 1]^3.
        colors: whether to colour the vertices.
        progress: called as ``("extract", slice, slices)``.

    Raises:
        GtrError: ``empty_reconstruction`` when nothing is as dense as the surface.
    """
    with torch.no_grad():
        vertices, faces = _surface(field, grid_resolution, progress)
        mesh = Mesh(vertices, faces)
        return mesh.with_colors(field.color(vertices)) if colors else mesh


def _surface(field: Field, grid_resolution: int, progress: Progress) -> tuple[Tensor, Tensor]:
    if isinstance(field, TriplaneField) and isinstance(field.density_mlp, Mlp):
        return triangulate(surface_cells(field, grid_resolution, ISO_LEVEL, progress=progress))
    return marching_cubes(ISO_LEVEL - density_grid(field, grid_resolution, progress=progress))


def density_grid(field: Field, grid_resolution: int, *, progress: Progress = no_progress) -> Tensor:
    """Density (R, R, R) at the nodes linspace(-1, 1, R), index [ix, iy, iz]: every node is asked.

    The straightforward twin of :mod:`gtr_core.fields.grid_decode`, and the way for fields that are no triplanes.
    """
    device = field.planes.device
    line = torch.linspace(-1, 1, grid_resolution, device=device)
    y, z = torch.meshgrid(line, line, indexing="ij")
    values = torch.empty((grid_resolution,) * 3, device=device)
    for index, x in enumerate(line):
        progress("extract", index, grid_resolution)
        points = torch.stack([x.expand_as(y), y, z], dim=-1)
        values[index] = field.density(points.view(-1, 3)).view_as(y)
    progress("extract", grid_resolution, grid_resolution)
    return values
