"""The density grid and the surface cells in it: separable and skipping empty space, against asking every node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gtr_core.fields.grid_decode import surface_cells
from gtr_core.fields.surface import ISO_LEVEL, density_grid
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.active_cells import ActiveCells, active_cells, join_cells, slab_cells
from pipeline_rows.bench_field import bench_field
from pipeline_rows.row import Row, Scale, row, timed

WIDE = 512
"""Width of the paper's networks."""
_LAYERS = 8


def measure_256(scale: Scale) -> Row:
    """``grid_256``: the straightforward version asks every node."""
    field, resolution = bench_field(scale), scale.grid
    found: list[ActiveCells] = []
    grid: list[Tensor] = []
    fast = timed(lambda: found.append(surface_cells(field, resolution, ISO_LEVEL)), scale.device, scale.repeats)
    with torch.no_grad():
        slow = timed(lambda: grid.append(density_grid(field, resolution)), scale.device)
        expected = active_cells(ISO_LEVEL - grid[0], 0.0)
    note = f"{resolution}^3 nodes, {_agreement(found[0], expected)}"
    return row("grid_256", fast, slow, note=note)


def measure_512(scale: Scale) -> Row:
    """``grid_512``: the straightforward version asks some slices, and its seconds are scaled up."""
    return _by_layers("grid_512", bench_field(scale), 2 * scale.grid, scale)


def measure_wide(scale: Scale) -> Row:
    """``grid_256_wide``: the paper's wide network; the straightforward version asks some slices."""
    hidden = WIDE if scale.hidden == Scale.hidden else 2 * scale.hidden
    return _by_layers("grid_256_wide", bench_field(scale, hidden=hidden), scale.grid, scale, repeats=1)


def _by_layers(stage: str, field: TriplaneField, resolution: int, scale: Scale, repeats: int | None = None) -> Row:
    found: list[ActiveCells] = []
    fast = timed(
        lambda: found.append(surface_cells(field, resolution, ISO_LEVEL)), scale.device, repeats or scale.repeats
    )
    layers = sampled_layers(resolution)
    expected: list[ActiveCells] = []
    slow = timed(lambda: expected.append(layer_cells(field, resolution, layers)), scale.device)
    agreement = _agreement(_in_layers(found[0], layers), expected[0])
    note = f"{resolution}^3 nodes, straightforward on {2 * _LAYERS} slices and scaled up; {agreement}"
    return row(stage, fast, slow, share=2 * _LAYERS / resolution, note=note)


def sampled_layers(resolution: int) -> list[int]:
    """Padded numbers of a few layers of cells, spread over the grid."""
    return [1 + (2 * k + 1) * (resolution - 1) // (2 * _LAYERS) for k in range(_LAYERS)]


@torch.no_grad()
def layer_cells(field: TriplaneField, resolution: int, layers: Sequence[int]) -> ActiveCells:
    """The active cells of layers between two slices each, every node asked."""
    line = torch.linspace(-1, 1, resolution, device=field.planes.device)
    y, z = torch.meshgrid(line, line, indexing="ij")
    parts = []
    for layer in layers:
        slices = [field.density(torch.stack([line[x].expand_as(y), y, z], -1).view(-1, 3)) for x in (layer - 1, layer)]
        parts.append(slab_cells(ISO_LEVEL - torch.stack(slices).view(2, resolution, resolution), layer, 0.0))
    return join_cells(parts)


def _in_layers(cells: ActiveCells, layers: Sequence[int]) -> ActiveCells:
    nodes = cells.resolution + 2
    chosen = torch.isin(cells.key // (nodes * nodes), torch.tensor(layers, device=cells.key.device))
    return ActiveCells(cells.key[chosen], cells.case[chosen], cells.values[chosen], cells.resolution)


def _agreement(found: ActiveCells, expected: ActiveCells) -> str:
    """What is the same in the surface cells of both versions; equal cells and cases make equal faces."""
    if not (torch.equal(found.key, expected.key) and torch.equal(found.case, expected.case)):
        raise RuntimeError(f"{len(found)} surface cells were found, {len(expected)} are there, or their cases differ")
    error = float((found.values - expected.values).abs().max()) if len(found) else 0.0
    return f"all {len(found)} surface cells the same, density within {error:.0e}"


MEASURES: dict[str, Callable[[Scale], Row]] = {
    "grid_256": measure_256,
    "grid_512": measure_512,
    "grid_256_wide": measure_wide,
}
"""The rows of this file."""
