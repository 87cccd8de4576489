"""Reading planes through a sparse matrix over active texels, and the network that is cut behind its linear part."""

import pytest
import torch

from gtr_core.fields.decoder import ColorMlp
from gtr_core.fields.triplane import sample_planes
from gtr_core.stages.surface_order import morton_order
from gtr_core.stages.texel_network import TexelNetwork
from gtr_core.stages.texel_rows import ActiveTexels

RESOLUTION, CHANNELS = 24, 5


def random_points(count=300, seed=0):
    """Inside, on texel centres, on the border and outside of the box."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 3, generator=generator) * 0.9 - 0.2
    points[:20] = (torch.randint(0, RESOLUTION, (20, 3), generator=generator) + 0.5) * 2 / RESOLUTION - 1
    points[20:40] = torch.rand(20, 3, generator=generator) * 4 - 2
    points[40:44] = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, 0], [0, 0, 0]])
    return points


@pytest.fixture
def planes():
    return torch.randn(3, CHANNELS, RESOLUTION, RESOLUTION, generator=torch.Generator().manual_seed(1))


def features_of(active, planes, points):
    rows = active.rows(points, summed=False)
    read = rows.times(active.gather(planes), slice(None))
    return read.view(-1, 3, CHANNELS).transpose(1, 2).flatten(1)


def test_reading_rows_equals_sampling_the_planes(planes):
    points = random_points()
    active = ActiveTexels.read_at(points, RESOLUTION)
    assert torch.allclose(features_of(active, planes, points), sample_planes(planes, points), atol=1e-5)


def test_reading_a_part_is_a_part_of_the_reading(planes):
    points = random_points()
    active = ActiveTexels.read_at(points, RESOLUTION)
    rows, table = active.rows(points, summed=True), active.gather(planes)
    whole = rows.times(table, slice(None))
    assert torch.equal(rows.times(table, slice(37, 91)), whole[37:91])
    assert rows.times(table, slice(50, 50)).shape == (0, CHANNELS)


def test_summed_rows_add_up_the_planes(planes):
    points = random_points()
    active = ActiveTexels.read_at(points, RESOLUTION)
    read = active.rows(points, summed=True).times(active.gather(planes), slice(None))
    expected = sample_planes(planes, points).view(-1, CHANNELS, 3).sum(2)
    assert torch.allclose(read, expected, atol=1e-5)


def test_the_transposed_matrix_brings_the_gradient_of_bilinear_sampling(planes):
    points = random_points()
    active = ActiveTexels.read_at(points, RESOLUTION)
    gradient = torch.randn(len(points), 3 * CHANNELS, generator=torch.Generator().manual_seed(2))
    planes.requires_grad_()
    sample_planes(planes, points).backward(gradient)
    by_plane = gradient.view(-1, CHANNELS, 3).transpose(1, 2).reshape(-1, CHANNELS)
    ours = active.scatter(active.rows(points, summed=False).transposed_times(by_plane), torch.zeros_like(planes))
    assert torch.allclose(ours, planes.grad, atol=1e-5)


def test_active_texels_are_all_that_bilinear_sampling_touches_and_few_more(planes):
    points = random_points()[44:]
    active = ActiveTexels.read_at(points, RESOLUTION)
    planes.requires_grad_()
    sample_planes(planes, points).sum().backward()
    touched = (planes.grad != 0).any(1).flatten()
    assert not (touched & ~active.mask).any()
    assert torch.equal(touched, active.mask)
    assert sum(active.per_plane) == len(active) == int(touched.sum()) < len(touched)


def test_other_texels_can_be_kept_active(planes):
    also = torch.zeros(3 * RESOLUTION**2, dtype=torch.bool)
    also[[0, RESOLUTION**2, -1]] = True
    points = random_points()[44:]
    active = ActiveTexels.read_at(points, RESOLUTION, also=also)
    assert active.mask[also].all()
    assert len(active) == len(ActiveTexels.read_at(points, RESOLUTION)) + 3
    assert torch.allclose(features_of(active, planes, points), sample_planes(planes, points), atol=1e-5)


def test_scatter_replaces_the_active_texels_and_no_other(planes):
    active = ActiveTexels.read_at(random_points()[44:], RESOLUTION)
    texels = active.gather(planes)
    before = planes.clone()
    changed = active.scatter(texels + 1, planes)
    assert torch.equal(planes, before)
    mask = active.mask.view(3, 1, RESOLUTION, RESOLUTION)
    assert torch.equal(changed, torch.where(mask, planes + 1, planes))
    stored_last = planes.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(active.scatter(texels + 1, stored_last), changed)
    assert torch.equal(stored_last, before)


@pytest.mark.parametrize("hidden", [4, 64])
def test_the_network_behind_the_reading_is_the_network_on_features(planes, hidden):
    """Also fails for another order of the features than channel * 3 + plane."""
    network = ColorMlp(3 * CHANNELS, hidden, generator=torch.Generator().manual_seed(3))
    points = random_points()
    active = ActiveTexels.read_at(points, RESOLUTION)
    cut = TexelNetwork(network, CHANNELS)
    assert cut.summed == (hidden == 4)
    assert cut.rows_per_point == (1 if hidden == 4 else 3)
    rows = active.rows(points, summed=cut.summed)
    table = cut.table(active.gather(planes), active.per_plane)
    raw = cut.raw(rows.times(table, slice(None)))
    assert torch.allclose(raw, network(sample_planes(planes, points)), atol=1e-5)


def test_networks_of_another_kind_are_applied_as_they_are(planes):
    network = torch.nn.Sequential(torch.nn.Linear(3 * CHANNELS, 3), torch.nn.Tanh())
    points = random_points()
    active = ActiveTexels.read_at(points, RESOLUTION)
    cut = TexelNetwork(network, CHANNELS)
    rows = active.rows(points, summed=cut.summed)
    raw = cut.raw(rows.times(cut.table(active.gather(planes), active.per_plane), slice(None)))
    assert torch.allclose(raw, network(sample_planes(planes, points)), atol=1e-5)


def test_morton_order_interleaves_the_bits_of_the_axes():
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(4)) * 2.2 - 1.1

    def code(point):
        x, y, z = (min(max(int((float(value) + 1) * 512), 0), 1023) for value in point)
        return sum((x >> k & 1) << 3 * k + 2 | (y >> k & 1) << 3 * k + 1 | (z >> k & 1) << 3 * k for k in range(10))

    assert morton_order(points).tolist() == sorted(range(200), key=lambda index: code(points[index]))
