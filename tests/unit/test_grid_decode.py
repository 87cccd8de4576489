"""Skipping empty space must not change the surface: everything here is compared with the dense grid."""

import pytest
import torch
import trimesh
from torch.nn import functional

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.decoder import RELEASED_HEAD, ColorMlp, DensityHead, DensityMlp
from gtr_core.fields.grid_decode import NARROW, GridDecoder, surface_cells
from gtr_core.fields.separable import SeparableDensity
from gtr_core.fields.surface import ISO_LEVEL, density_grid, extract_mesh
from gtr_core.fields.triplane import sample_planes
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.marching_cubes import marching_cubes, triangulate
from gtr_core.progress import Cancelled

HEADS = [DensityHead(), DensityHead(20.0, 10.0)]
WIDTHS = [32, NARROW + 16]


def random_field(seed, *, hidden=32, channels=6, texels=24, head=RELEASED_HEAD):
    """Smooth random planes and networks; about half of the box is inside."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(3, channels, 6, 6, generator=generator)
    planes = functional.interpolate(coarse, size=(texels, texels), mode="bicubic")
    density = DensityMlp(3 * channels, hidden, generator=generator).requires_grad_(False)
    density.layers[-1].weight *= 10 / head.scale
    density.layers[-1].bias += head.raw_at(ISO_LEVEL)
    return TriplaneField(planes, density, ColorMlp(3 * channels, 8, generator=generator), density_head=head)


def parts_field(*, texels=128, head=RELEASED_HEAD):
    """One ball, twelve specks a few cells wide and four thin rods, known in advance: 17 pieces of surface.

    Each hidden unit is one part: the sum of a bump in each plane exceeds the threshold inside the part only.
    """
    generator = torch.Generator().manual_seed(3)
    line = (2 * torch.arange(texels) + 1) / texels - 1
    v, u = torch.meshgrid(line, line, indexing="ij")
    parts = [((-0.45, -0.45, -0.45), 0.25, (1, 1, 1))]
    parts += [((0.2 * k - 0.9, 0.55, 0.3 * (k % 3) - 0.3), 0.05, (1, 1, 1)) for k in range(10)]
    parts += [((0.1, -0.8, 0.2 * k - 0.1), 0.04, (1, 1, 1)) for k in range(2)]
    parts += [((0.5, 0.3 * k - 0.7, 0.0), 0.045, (1, 1, 0)) for k in range(4)]
    planes = torch.zeros(3, len(parts), texels, texels)
    density = DensityMlp(3 * len(parts), 32, generator=generator).requires_grad_(False)
    for layer in density.layers:
        layer.weight *= 0.02
    for index, (center, radius, axes) in enumerate(parts):
        for plane, (a, b) in enumerate(((0, 1), (0, 2), (1, 2))):
            square = axes[a] * (u - center[a]).square() + axes[b] * (v - center[b]).square()
            planes[plane, index] = (-square / (2 * radius**2)).exp().clamp(min=0.05)
        density.layers[0].weight[index] = 0
        density.layers[0].weight[index, 3 * index : 3 * index + 3] = 8.0
        density.layers[0].bias[index] = -8.0 * sum(
            (-0.5 * torch.tensor(0.5 * (axes[a] + axes[b]))).exp() for a, b in ((0, 1), (0, 2), (1, 2))
        )
        density.layers[1].weight[index] = 0
        density.layers[1].weight[index, index] = 1.0
        density.layers[1].bias[index] = 0.0
        density.layers[2].weight[0, index] = 12.0 / head.scale
    density.layers[2].weight[0, len(parts) :] *= 1 / head.scale
    density.layers[2].bias[:] = head.raw_at(ISO_LEVEL) - 3.0 / head.scale
    return TriplaneField(planes, density, ColorMlp(3 * len(parts), 8, generator=generator), density_head=head)


def assert_same_surface(field, resolution, cells):
    vertices, faces = marching_cubes(ISO_LEVEL - density_grid(field, resolution))
    found, found_faces = triangulate(cells)
    assert torch.equal(found_faces, faces)
    assert (found - vertices).abs().max() < 1e-4
    return trimesh.Trimesh(found.numpy(), found_faces.numpy(), process=False)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("resolution", [40, 64])
@pytest.mark.parametrize("head", HEADS)
def test_thin_parts_and_specks_are_all_found(resolution, head):
    field = parts_field(head=head)
    decoder = GridDecoder(field, resolution, ISO_LEVEL)
    blocks = decoder.surviving_blocks()
    assert blocks is not None
    assert len(blocks) * decoder.finest**3 < 0.3 * resolution**3
    mesh = assert_same_surface(field, resolution, decoder.sparse_cells(blocks))
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    if resolution == 64:
        assert mesh.body_count == 17


@pytest.mark.parametrize("seed", [2, 3])
def test_wide_networks_skip_space_too(seed):
    field = random_field(seed, hidden=NARROW + 16)
    field.planes.mul_(0.1)
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    raw = field.density_mlp(sample_planes(field.planes, points))
    field.density_mlp.layers[-1].bias += field.density_head.raw_at(ISO_LEVEL) - torch.quantile(raw, 0.97)
    decoder = GridDecoder(field, 64, ISO_LEVEL)
    blocks = decoder.surviving_blocks()
    assert blocks is not None
    assert len(blocks) * decoder.finest**3 < 0.12 * 64**3
    assert assert_same_surface(field, 64, decoder.sparse_cells(blocks)).is_watertight


def test_a_sampled_search_would_lose_specks():
    """The fields of these tests are hard enough: every fourth node misses parts that the bounds find."""
    density = density_grid(parts_field(), 64)
    blocks = functional.max_pool3d(density[None, None], 5, stride=4)[0, 0] > ISO_LEVEL
    sampled = density[::4, ::4, ::4][: len(blocks), : len(blocks), : len(blocks)] > ISO_LEVEL
    near = functional.max_pool3d(sampled[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0
    assert (blocks & ~near).sum() > 5


@pytest.mark.parametrize("hidden", WIDTHS)
@pytest.mark.parametrize(("seed", "resolution"), [(0, 17), (1, 32), (2, 33), (3, 41)])
def test_random_fields_give_the_faces_of_the_dense_grid(hidden, seed, resolution):
    field = random_field(seed, hidden=hidden, head=HEADS[seed % 2])
    assert_same_surface(field, resolution, surface_cells(field, resolution, ISO_LEVEL))
    decoder = GridDecoder(field, resolution, ISO_LEVEL)
    line = torch.arange(-(-(resolution + 1) // decoder.finest))
    everywhere = torch.cartesian_prod(line, line, line)
    decoder.tie = 1e-4
    assert_same_surface(field, resolution, decoder.sparse_cells(everywhere))


def fitted_field():
    """A small field trained for a moment on two balls joined by a thin rod, with specks around them."""
    generator = torch.Generator().manual_seed(0)
    planes = (0.1 * torch.randn(3, 8, 48, 48, generator=generator)).requires_grad_()
    density = DensityMlp(24, 16, generator=generator)
    specks = torch.rand(12, 3, generator=generator) * 1.6 - 0.8
    optimizer = torch.optim.Adam([planes, *density.parameters()], lr=0.02)
    for _ in range(100):
        points = torch.rand(2048, 3, generator=generator) * 2 - 1
        points[:504] = specks.repeat(42, 1) + 0.06 * torch.randn(504, 3, generator=generator)
        x, y, z = points.unbind(1)
        balls = torch.stack([(points - c).norm(dim=1) for c in torch.tensor([[0.5, 0, 0], [-0.5, 0, 0]])]).amin(0) - 0.3
        rod = torch.maximum(torch.hypot(y, z) - 0.05, x.abs() - 0.5)
        distance = torch.minimum(torch.minimum(balls, rod), torch.cdist(points, specks).amin(1) - 0.05)
        target = ISO_LEVEL - 12 * (distance / 0.06).clamp(-1, 1)
        with torch.enable_grad():
            loss = functional.smooth_l1_loss(density(sample_planes(planes, points))[:, 0], target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return TriplaneField(planes.detach(), density.requires_grad_(False), ColorMlp(24, 8, generator=generator))


def test_a_fitted_field_gives_the_faces_of_the_dense_grid():
    field = fitted_field()
    decoder = GridDecoder(field, 96, ISO_LEVEL)
    blocks = decoder.surviving_blocks()
    assert blocks is not None
    mesh = assert_same_surface(field, 96, decoder.sparse_cells(blocks))
    assert mesh.is_watertight
    assert mesh.body_count > 5
    assert_same_surface(field, 96, decoder.dense_cells())


def test_nodes_at_the_level_are_decided_as_the_dense_grid_decides_them():
    field = random_field(5)
    field.planes[:, :, 6:18, 6:18] = 0.0  # half of the box has exactly the level's raw density, up to rounding
    decoder = GridDecoder(field, 32, ISO_LEVEL)
    decoder.surviving_blocks()
    assert_same_surface(field, 32, decoder.dense_cells())
    density = density_grid(field, 32)
    assert (density[12:20, 12:20, 12:20] - ISO_LEVEL).abs().max() < 1e-5


def test_noise_takes_the_dense_way():
    field = random_field(6, texels=32)
    field.planes.normal_(generator=torch.Generator().manual_seed(7))
    decoder = GridDecoder(field, 32, ISO_LEVEL)
    assert decoder.surviving_blocks() is None
    mesh = assert_same_surface(field, 32, decoder.cells())
    assert mesh.is_watertight


def test_geometry_comes_from_the_geometry_planes():
    field = parts_field()
    moved = field.with_texture(torch.zeros_like(field.planes), field.color_mlp)
    before, after = extract_mesh(field, 40), extract_mesh(moved, 40)
    assert torch.equal(before.faces, after.faces)
    assert torch.equal(before.vertices, after.vertices)
    assert not torch.equal(before.colors, after.colors)


@pytest.mark.parametrize("sparse", [True, False])
def test_an_object_that_fills_the_box_is_capped_one_cell_outside(sparse):
    field = parts_field()
    for layer in field.density_mlp.layers:
        layer.weight.zero_()
    field.density_mlp.layers[-1].bias[:] = 11.0
    decoder = GridDecoder(field, 24, ISO_LEVEL)
    blocks = decoder.surviving_blocks()
    assert blocks is None  # on so coarse a grid most blocks touch the padding
    line = torch.arange(7)
    cells = decoder.sparse_cells(torch.cartesian_prod(line, line, line)) if sparse else decoder.dense_cells()
    mesh = assert_same_surface(field, 24, cells)
    assert mesh.is_watertight
    assert mesh.euler_number == 2
    assert 1 < mesh.vertices.max() < 1 + 2 / 23


def test_caps_on_a_fine_grid_through_the_sparse_way():
    field = parts_field(texels=16)
    for layer in field.density_mlp.layers:
        layer.weight.zero_()
    field.density_mlp.layers[-1].bias[:] = 11.0
    decoder = GridDecoder(field, 120, ISO_LEVEL)
    blocks = decoder.surviving_blocks()
    assert blocks is not None
    vertices, faces = triangulate(decoder.sparse_cells(blocks))
    expected, expected_faces = marching_cubes(
        torch.full((120,) * 3, float(ISO_LEVEL - density_grid(field, 2)[0, 0, 0]))
    )
    assert torch.equal(faces, expected_faces)
    assert torch.allclose(vertices, expected)


def test_nothing_inside_is_an_error():
    field = parts_field()
    field.density_mlp.layers[-1].bias[:] = -1000.0
    with pytest.raises(GtrError) as caught:
        extract_mesh(field, 40)
    assert caught.value.code is ErrorCode.EMPTY_RECONSTRUCTION


def test_another_network_takes_the_straightforward_way():
    field = parts_field()
    plain = TriplaneField(field.planes, torch.nn.Sequential(field.density_mlp), field.color_mlp)
    with pytest.raises(TypeError, match="Sequential"):
        SeparableDensity(plain, 24)
    assert torch.equal(extract_mesh(plain, 24).faces, extract_mesh(field, 24).faces)


@pytest.mark.parametrize("field", [parts_field(), random_field(1)], ids=["sparse", "dense"])
def test_progress_rises_to_its_total_and_cancels_anywhere(field):
    calls = []
    extract_mesh(field, 40, progress=lambda *call: calls.append(call))
    assert {(stage, total) for stage, _, total in calls} == {("extract", 40)}
    done = [d for _, d, _ in calls]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 40)
    assert len(calls) > 5
    for stop in range(len(calls)):
        seen = []

        def cancel(stage, done, total, seen=seen, stop=stop):
            seen.append(done)
            if len(seen) > stop:
                raise Cancelled

        with pytest.raises(Cancelled):
            extract_mesh(field, 40, progress=cancel)
        assert len(seen) == stop + 1
