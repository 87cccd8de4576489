"""Sampling of the planes, the decoders, and the field made of them."""

import math
from dataclasses import replace

import pytest
import torch

from gtr_core.fields.decoder import ColorMlp, DensityHead, DensityMlp, color_from_raw
from gtr_core.fields.field import Field
from gtr_core.fields.triplane import sample_planes
from gtr_core.fields.triplane_field import TriplaneField


def slow_sample(planes, point):
    """One point, one channel, one plane at a time; bilinear with texel centres at half texels."""
    channels, resolution = planes.shape[1], planes.shape[2]
    features = torch.zeros(channels * 3)
    for plane, (u_axis, v_axis) in enumerate(((0, 1), (0, 2), (1, 2))):
        place = [((float(point[axis]) + 1) * resolution - 1) / 2 for axis in (u_axis, v_axis)]
        column, row = (min(max(x, 0.0), resolution - 1.0) for x in place)
        left, top = min(int(column), resolution - 2), min(int(row), resolution - 2)
        a, b = column - left, row - top
        for channel in range(channels):
            texel = planes[plane, channel]
            upper = (1 - a) * texel[top, left] + a * texel[top, left + 1]
            lower = (1 - a) * texel[top + 1, left] + a * texel[top + 1, left + 1]
            features[channel * 3 + plane] = (1 - b) * upper + b * lower
    return features


def make_field(seed=0, channels=4, resolution=8):
    generator = torch.Generator().manual_seed(seed)
    planes = torch.randn(3, channels, resolution, resolution, generator=generator)
    return TriplaneField(
        planes, DensityMlp(3 * channels, generator=generator), ColorMlp(3 * channels, generator=generator)
    )


def test_sampling_matches_the_slow_loop_also_outside_the_box():
    generator = torch.Generator().manual_seed(0)
    planes = torch.randn(3, 5, 7, 7, generator=generator)
    points = torch.rand(40, 3, generator=generator) * 2.6 - 1.3
    expected = torch.stack([slow_sample(planes, point) for point in points])
    assert torch.allclose(sample_planes(planes, points), expected, atol=1e-5)


def test_plane_index_is_the_fastest_feature_and_u_is_the_width():
    planes = torch.zeros(3, 2, 4, 4)
    planes[1, 1, 0, 3] = 1.0  # plane XZ, channel 1, smallest z, largest x
    features = sample_planes(planes, torch.tensor([[1.0, 0.3, -1.0], [-1.0, 0.3, 1.0]]))
    assert features[0].nonzero().flatten().tolist() == [1 * 3 + 1]
    assert features[1].abs().max() == 0


def test_mlp_uses_exact_gelu_and_xavier_weights():
    mlp = DensityMlp(6, hidden=5, generator=torch.Generator().manual_seed(0))
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(5, 6), (5, 5), (1, 5)]
    features = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    hidden = features
    for layer in mlp.layers[:-1]:
        hidden = hidden @ layer.weight.T + layer.bias
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    assert torch.allclose(mlp(features), hidden @ mlp.layers[-1].weight.T, atol=1e-6)
    assert mlp.layers[0].weight.abs().max() <= math.sqrt(6 / 11)
    assert all(layer.bias.abs().max() == 0 for layer in mlp.layers)


def test_color_mlp_has_four_layers_and_the_released_names():
    shapes = {name: tuple(value.shape) for name, value in ColorMlp(120).state_dict().items()}
    assert shapes == {
        "layers.0.weight": (32, 120), "layers.0.bias": (32,), "layers.1.weight": (32, 32), "layers.1.bias": (32,),
        "layers.2.weight": (32, 32), "layers.2.bias": (32,), "layers.3.weight": (3, 32), "layers.3.bias": (3,),
    }  # fmt: skip


def test_output_ranges():
    raw = torch.tensor([-50.0, 0.0, 50.0])
    assert color_from_raw(raw).tolist() == pytest.approx([-0.001, 0.5, 1.001])
    assert DensityHead().density(raw).tolist() == pytest.approx([0.0, math.log(2), 50.0])


def test_field_in_chunks_equals_field_at_once(monkeypatch):
    field: Field = make_field()
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(3)) * 2 - 1
    at_once = field.density(points), field.color(points)
    monkeypatch.setattr("gtr_core.fields.triplane_field.CHUNK", 7)
    with torch.no_grad():
        assert torch.allclose(field.density(points), at_once[0], atol=1e-6)
        assert torch.allclose(field.color(points), at_once[1], atol=1e-6)
    assert at_once[0].shape == (100, 1)
    assert at_once[1].min() >= 0
    assert at_once[1].max() <= 1


def test_another_texture_leaves_the_density_as_it_is():
    field = make_field()
    points = torch.rand(50, 3) * 2 - 1
    other = field.with_texture(field.planes + 1, ColorMlp(12, generator=torch.Generator().manual_seed(9)))
    other = other.with_texture(other.planes + 1, other.color_mlp)
    assert torch.equal(other.density(points), field.density(points))
    assert not torch.equal(other.color(points), field.color(points))
    assert field.geometry_planes is None


def test_density_head_scales_shifts_and_inverts():
    head = DensityHead(scale=20.0, shift=10.0)
    raw = torch.tensor([-2.0, -0.5, 0.0, 0.1], dtype=torch.float64)
    expected = [math.log1p(math.exp(20 * x + 10)) for x in raw.tolist()]
    assert head.density(raw).tolist() == pytest.approx(expected)
    for any_head in (head, DensityHead()):
        for density in (0.01, 0.69, 10.0, 300.0):
            level = torch.tensor(any_head.raw_at(density), dtype=torch.float64)
            assert float(any_head.density(level)) == pytest.approx(density)
    assert abs(head.raw_at(10.0)) < 1e-5


@pytest.mark.parametrize(("scale", "shift"), [(0.0, 1.0), (-1.0, 0.0), (math.inf, 0.0), (1.0, math.nan)])
def test_density_head_refuses_what_is_no_density(scale, shift):
    with pytest.raises(ValueError, match="is no density"):
        DensityHead(scale, shift)


def test_field_uses_its_density_head_also_with_another_texture():
    field = replace(make_field(), density_head=DensityHead(3.0, 1.0))
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    raw = field.density_mlp(sample_planes(field.planes, points))
    assert torch.allclose(field.density(points), torch.nn.functional.softplus(3 * raw + 1))
    assert torch.equal(field.with_texture(field.planes * 2, field.color_mlp).density(points), field.density(points))
