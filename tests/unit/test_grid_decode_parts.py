"""What the search for the surface is made of: separable densities, bounds, scattered blocks of nodes."""

import math

import pytest
import torch
from torch.nn import functional

import gtr_core.fields.separable as separable
from gtr_core.fields.block_bounds import GELU_ARGMIN, GELU_MIN, IntervalBounds, gelu_interval
from gtr_core.fields.center_bounds import GELU_BEND_DOWN, GELU_BEND_UP, GELU_STEEPEST, CenterBounds
from gtr_core.fields.decoder import RELEASED_HEAD, ColorMlp, DensityHead, DensityMlp
from gtr_core.fields.separable import SeparableDensity, resample
from gtr_core.fields.surface import density_grid
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.block_nodes import BlockNodes
from gtr_core.geometry.marching_cubes import marching_cubes, triangulate


def random_field(seed, *, hidden=24, channels=5, texels=12, head=RELEASED_HEAD):
    generator = torch.Generator().manual_seed(seed)
    planes = torch.randn(3, channels, texels, texels, generator=generator)
    density = DensityMlp(3 * channels, hidden, generator=generator).requires_grad_(False)
    for layer in density.layers:
        layer.bias.normal_(generator=generator)
    return TriplaneField(planes, density, ColorMlp(3 * channels, 8, generator=generator), density_head=head)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("texels", [1, 2, 5, 16])
@pytest.mark.parametrize("resolution", [2, 7, 32])
def test_resampling_is_grid_sample_with_border_padding_and_without_aligned_corners(texels, resolution):
    image = torch.randn(texels, texels, 3, generator=torch.Generator().manual_seed(0))  # [u, v, channel]
    line = torch.linspace(-1, 1, resolution)
    u, v = torch.meshgrid(line, line, indexing="ij")
    expected = functional.grid_sample(
        image.permute(2, 1, 0)[None],
        torch.stack([u, v], dim=-1)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )[0].permute(1, 2, 0)
    assert (resample(image, resolution) - expected).abs().max() < 1e-5
    assert torch.allclose(resample(image, resolution)[0, 0], image[0, 0], atol=1e-6)  # the border holds


@pytest.mark.parametrize("map_bytes", [1 << 28, 0], ids=["projected", "features"])
@pytest.mark.parametrize("head", [DensityHead(), DensityHead(20.0, 10.0)])
@pytest.mark.parametrize("resolution", [9, 20])
def test_separable_density_is_the_density_at_the_nodes(monkeypatch, map_bytes, head, resolution):
    monkeypatch.setattr(separable, "_MAP_BYTES", map_bytes)
    field = random_field(1, head=head)
    density = SeparableDensity(field, resolution)
    assert density.projected == bool(map_bytes)
    expected = density_grid(field, resolution)
    slices = torch.stack([head.density(density.raw_slice(x)) for x in range(resolution)])
    assert (slices - expected).abs().max() < 1e-4
    line = torch.arange(-(-(resolution + 1) // 2))
    nodes = BlockNodes(torch.cartesian_prod(line, line, line), 2, resolution)
    for _, places in nodes.needed(3):
        x, y, z = places.coordinates.unbind(1)
        assert (head.density(density.raw_at(places)) - expected[x, y, z]).abs().max() < 1e-4


def test_the_planes_of_the_geometry_are_read():
    field = random_field(2)
    other = field.with_texture(torch.zeros_like(field.planes), field.color_mlp)
    assert torch.equal(SeparableDensity(other, 8).raw_slice(3), SeparableDensity(field, 8).raw_slice(3))


def test_gelu_constants():
    x = torch.linspace(-12, 12, 2_000_001, dtype=torch.double)
    value = functional.gelu(x)
    bell = (-x * x / 2).exp() / math.sqrt(2 * math.pi)
    slope = 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * bell
    bend = bell * (2 - x * x)
    assert GELU_MIN <= value.min() < GELU_MIN + 1e-6
    assert x[value.argmin()] == pytest.approx(GELU_ARGMIN, abs=1e-5)
    assert slope.abs().max() <= GELU_STEEPEST < slope.abs().max() + 1e-4
    assert bend.max() / 2 <= GELU_BEND_UP < bend.max() / 2 + 1e-5
    assert -bend.min() / 2 <= GELU_BEND_DOWN < -bend.min() / 2 + 1e-5


def test_gelu_of_intervals():
    generator = torch.Generator().manual_seed(3)
    low = 3 * torch.randn(2000, generator=generator)
    high = low + torch.rand(2000, generator=generator) * 3
    bottom, top = gelu_interval(low, high)
    inside = functional.gelu(low + (high - low) * torch.linspace(0, 1, 101)[:, None])
    assert (inside >= bottom - 1e-6).all()
    assert (inside <= top + 1e-6).all()
    assert (inside.amin(0) - bottom).abs().max() < 1e-2
    assert (inside.amax(0) - top).abs().max() < 1e-6


def block_extremes(raw, side):
    """(K, 3) blocks and the true extremes over their nodes, by a slow loop over nothing but slices."""
    size = len(raw)
    line = torch.arange(-(-(size + 1) // side))
    blocks = torch.cartesian_prod(line, line, line)
    windows = [
        raw[tuple(slice(max(side * i - 1, 0), min(side * i + side, size)) for i in block)] for block in blocks.tolist()
    ]
    return blocks, torch.stack([w.min() for w in windows]), torch.stack([w.max() for w in windows])


@pytest.mark.parametrize("map_bytes", [1 << 28, 0], ids=["projected", "features"])
@pytest.mark.parametrize("bounds", ["interval", "center"])
@pytest.mark.parametrize(("seed", "resolution"), [(0, 15), (1, 16), (2, 21)])
def test_bounds_hold_at_every_node(monkeypatch, map_bytes, bounds, seed, resolution):
    monkeypatch.setattr(separable, "_MAP_BYTES", map_bytes)
    density = SeparableDensity(random_field(seed, hidden=40), resolution)
    raw = torch.stack([density.raw_slice(x) for x in range(resolution)])
    bound = IntervalBounds(density, 2, 3) if bounds == "interval" else CenterBounds(density)
    widths = []
    for side in (8, 4, 2):
        blocks, smallest, largest = block_extremes(raw, side)
        low, high = bound(blocks, side)
        slack = 1e-5 * float(high.abs().max())
        assert (low <= smallest + slack).all()
        assert (high >= largest - slack).all()
        widths.append(float((high - low).mean()))
    assert widths[2] < widths[1] < widths[0]  # and they say something


def test_the_tangent_is_exact_at_the_centre_of_a_flat_field():
    field = random_field(4)
    field.planes[:] = field.planes[:, :, :1, :1]
    density = SeparableDensity(field, 16)
    raw = density.raw_slice(5)[6, 7]
    for bound in (IntervalBounds(density, 2, 2), CenterBounds(density)):
        low, high = bound(torch.tensor([[1, 2, 3], [0, 0, 4]]), 4)
        assert torch.allclose(low, raw, atol=1e-4)
        assert torch.allclose(high, raw, atol=1e-4)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("resolution", [10, 11, 12, 13])
def test_scattered_blocks_need_their_nodes_once(side, resolution):
    generator = torch.Generator().manual_seed(resolution)
    line = torch.arange(-(-(resolution + 1) // side))
    blocks = torch.cartesian_prod(line, line, line)
    blocks = blocks[torch.rand(len(blocks), generator=generator) < 0.15]
    expected = set()
    for x, y, z in (blocks * side).tolist():
        for i in range(side + 1):
            for j in range(side + 1):
                expected |= {(x + i - 1, y + j - 1, z + k - 1) for k in range(side + 1)}
    expected = {node for node in expected if all(0 <= index < resolution for index in node)}
    nodes = BlockNodes(blocks, side, resolution)
    slots, found = [], []
    for part, places in nodes.needed(4):
        slots += part.tolist()
        found += [tuple(node) for node in places.coordinates.tolist()]
    assert len(set(slots)) == len(slots) == len(found)
    assert max(slots) < len(nodes)
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("resolution", [13, 18])
def test_blocks_around_the_surface_give_the_surface_of_the_whole_grid(resolution):
    sdf = torch.randn((resolution,) * 3, generator=torch.Generator().manual_seed(9))
    sdf[2:-1] = sdf[2:-1].abs()  # most of the grid is outside
    vertices, faces = marching_cubes(sdf)
    line = torch.arange(-(-(resolution + 1) // 4))
    blocks = torch.cartesian_prod(line, line, line)
    blocks = blocks[(blocks[:, 0] == 0) | (blocks[:, 0] >= line[-2])]
    nodes = BlockNodes(blocks, 4, resolution)
    values = torch.ones(len(nodes))
    for slots, places in nodes.needed(2):
        x, y, z = places.coordinates.unbind(1)
        values[slots] = sdf[x, y, z]
    found, found_faces = triangulate(nodes.active_cells(values))
    assert torch.equal(found_faces, faces)
    assert torch.equal(found, vertices)
