"""A signed distance on a regular grid of the object box, and how to fill one from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, max_pool3d

from gtr_core.geometry.marching_cubes import marching_cubes
from gtr_core.geometry.mesh import Mesh

Distance = Callable[[Tensor], Tensor]
"""(N, 3) world points -> (N,) signed distance in world units, negative inside."""

_CLOSING_PASSES = 4


@dataclass(frozen=True)
class SdfGrid:
    """Signed distances at the nodes of a cube, trilinear in between.

    Args:
        values: (R, R, R) float32 in world units, negative inside, index [ix, iy, iz]; node i stands at
            ``linspace(-1, 1, R)[i]`` on its axis.
    """

    values: Tensor

    @property
    def resolution(self) -> int:
        """Number of nodes along an edge."""
        return self.values.shape[0]

    @property
    def spacing(self) -> float:
        """Distance of neighbouring nodes in world units."""
        return spacing_of(self.resolution)

    def sample(self, points: Tensor) -> Tensor:
        """Trilinear distance at world points (N, 3): (N,); beyond the box, its border plus the way to it."""
        inside = points.clamp(-1, 1)
        grid = inside.flip(-1).reshape(1, 1, 1, -1, 3)
        values: Tensor = grid_sample(self.values[None, None], grid, mode="bilinear", align_corners=True)
        beyond = torch.linalg.vector_norm(points - inside, dim=-1)
        distance: Tensor = values.reshape(-1) + beyond
        return distance

    def gradient(self, points: Tensor) -> Tensor:
        """Central differences of :meth:`sample` over one cell at (N, 3) points: (N, 3), outward, about unit length."""
        offsets = torch.eye(3, dtype=points.dtype, device=points.device) * (self.spacing / 2)
        ends = torch.stack([points[:, None] + offsets, points[:, None] - offsets])
        ahead, behind = self.sample(ends.reshape(-1, 3)).reshape(2, -1, 3)
        gradient: Tensor = (ahead - behind) / self.spacing
        return gradient

    def resampled(self, resolution: int) -> SdfGrid:
        """The same trilinear function at the nodes of another grid."""
        if resolution == self.resolution:
            return self
        size = (resolution,) * 3
        return SdfGrid(interpolate(self.values[None, None], size, mode="trilinear", align_corners=True)[0, 0])

    def extract(self) -> Mesh:
        """The level 0 as a closed mesh.

        Raises:
            GtrError: ``empty_reconstruction`` when the grid has no inside.
        """
        vertices, faces = marching_cubes(self.values)
        return Mesh(vertices, faces)


def spacing_of(resolution: int) -> float:
    """Distance of neighbouring nodes of a grid over [-1, 1] with this many nodes along an edge."""
    return 2 / (resolution - 1)


def node_positions(indices: Tensor, resolution: int) -> Tensor:
    """World positions (N, 3) of the nodes with these flat indices (N,) in a grid of this resolution."""
    x = torch.div(indices, resolution * resolution, rounding_mode="floor")
    y = torch.div(indices, resolution, rounding_mode="floor") % resolution
    z = indices % resolution
    return torch.stack([x, y, z], dim=-1).to(torch.float32) * spacing_of(resolution) - 1


def dense_grid(distance: Distance, resolution: int, *, device: torch.device | str = "cpu") -> SdfGrid:
    """Evaluate a distance at every node."""
    nodes = torch.arange(resolution**3, device=device)
    return SdfGrid(distance(node_positions(nodes, resolution)).reshape((resolution,) * 3))


def cells_of(points: Tensor, resolution: int) -> Tensor:
    """Cells that touch the node nearest to any of the points (N, 3): (R - 1, R - 1, R - 1) bool.

    So every cell within half a cell of a point is marked.
    """
    nearest = ((points.clamp(-1, 1) + 1) / spacing_of(resolution)).round().long()
    nodes = torch.zeros((resolution,) * 3, dtype=torch.bool, device=points.device)
    nodes[nearest[:, 0], nearest[:, 1], nearest[:, 2]] = True
    return _cells_with_any(nodes)


def crossing_cells(values: Tensor) -> Tensor:
    """Cells (R - 1, R - 1, R - 1) whose corners lie on both sides of the level 0."""
    inside = values < 0
    return _cells_with_any(inside) & _cells_with_any(~inside)


def dilate(cells: Tensor, steps: int = 1) -> Tensor:
    """Cells within this many cells (along and across the axes) of a marked one."""
    size = 2 * steps + 1
    return max_pool3d(cells[None, None].float(), size, stride=1, padding=steps)[0, 0] > 0


def refine_grid(coarse: SdfGrid, distance: Distance, resolution: int, active: Tensor) -> SdfGrid:
    """A finer grid: interpolated from the coarse one, evaluated anew in the active cells and wherever the level runs.

    Args:
        coarse: where to start from; its sign is kept outside the evaluated nodes.
        distance: evaluated at the fine nodes in and on the active cells, then again around the level until every
            cell that the level crosses has been evaluated.
        resolution: of the fine grid; need not be a multiple of the coarse one.
        active: (r - 1, r - 1, r - 1) bool, cells of the coarse grid to refine.
    """
    values = coarse.resampled(resolution).values.clone()
    wanted = _nodes_in(active, resolution)
    known = torch.zeros_like(wanted)
    for _ in range(_CLOSING_PASSES):
        nodes = (wanted & ~known).reshape(-1).nonzero().squeeze(-1)
        if len(nodes) == 0:
            break
        values.view(-1)[nodes] = distance(node_positions(nodes, resolution))
        known |= wanted
        wanted = _corners_of(crossing_cells(values))
    return SdfGrid(values)


def _cells_with_any(nodes: Tensor) -> Tensor:
    for axis in range(3):
        count = nodes.shape[axis] - 1
        nodes = nodes.narrow(axis, 0, count) | nodes.narrow(axis, 1, count)
    return nodes


def _corners_of(cells: Tensor) -> Tensor:
    for axis in range(3):
        shape = list(cells.shape)
        shape[axis] += 1
        nodes = torch.zeros(shape, dtype=torch.bool, device=cells.device)
        nodes.narrow(axis, 0, shape[axis] - 1).copy_(cells)
        nodes.narrow(axis, 1, shape[axis] - 1).logical_or_(cells)
        cells = nodes
    return cells


def _nodes_in(cells: Tensor, resolution: int) -> Tensor:
    """Fine nodes (R, R, R) bool that lie in or on the marked cells of a coarser grid."""
    count = cells.shape[0]
    place = torch.arange(resolution, dtype=torch.float64, device=cells.device) * (count / (resolution - 1))
    lower = (place + 1e-6).floor().clamp(max=count - 1).long()
    upper = (place - 1e-6).floor().clamp(min=0).long()
    for axis in range(3):
        cells = cells.index_select(axis, lower) | cells.index_select(axis, upper)
    return cells
