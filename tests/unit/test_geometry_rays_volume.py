"""Rays, the box they cross, and compositing."""

import math

import pytest
import torch

from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.rays import pixel_rays, plucker
from gtr_core.geometry.volume import MIN_NEAR, compositing_weights, intersect_box, sample_depths


def test_rays_pass_through_their_pixels():
    cameras = orbit([0, 50, 190], [0, 30, -70], height=12, width=20)
    origins, directions = pixel_rays(cameras)
    assert origins.shape == directions.shape == (3, 12, 20, 3)
    assert torch.allclose(directions.norm(dim=-1), torch.ones(3, 12, 20), atol=1e-6)
    points = origins + 3 * directions
    for view in range(3):
        pixels = cameras.project(points[view].view(-1, 3))[view, :, :2].view(12, 20, 2)
        rows, columns = torch.meshgrid(torch.arange(12) + 0.5, torch.arange(20) + 0.5, indexing="ij")
        assert torch.allclose(pixels, torch.stack([columns, rows], -1), atol=1e-4)


def test_plucker_is_direction_cross_origin():
    origins, directions = torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    assert plucker(origins, directions).tolist() == [[0.0, -4.0, 0.0]]


def test_box():
    origins = torch.tensor([[0.0, 0.0, 4.0], [0.0, 0.0, 4.0], [0.0, 0.0, 0.0], [0.0, 5.0, 4.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    near, far, hit = intersect_box(origins, directions)
    assert hit.tolist() == [True, False, True, False]
    assert near.tolist() == pytest.approx([3.0, MIN_NEAR, MIN_NEAR, MIN_NEAR])
    assert far.tolist() == pytest.approx([5.0, 5.0, 1.0, 5.0])


def test_box_without_any_hit_is_finite():
    near, far, hit = intersect_box(torch.tensor([[0.0, 9.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]))
    assert not hit.any()
    assert near < far


def test_samples_lie_in_the_middle_of_equal_bins():
    distance, widths = sample_depths(torch.tensor([1.0]), torch.tensor([3.0]), 4)
    assert distance[0].tolist() == pytest.approx([1.25, 1.75, 2.25, 2.75])
    assert widths[0].tolist() == pytest.approx([0.5] * 4)


def test_jittered_bins_fill_the_ray_and_follow_the_seed():
    near, far = torch.full((50,), 1.0), torch.full((50,), 3.0)
    draws = [sample_depths(near, far, 16, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    for distance, widths in draws:
        assert (widths >= 0).all()
        assert (distance.diff(dim=1) >= 0).all()
        assert (widths.sum(1) <= 2.0 + 1e-5).all()
        assert (widths.sum(1) >= 2.0 - 2 / 16).all()
    assert torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][0], draws[2][0])


def test_weights_match_a_loop():
    generator = torch.Generator().manual_seed(0)
    density, widths = torch.rand(3, 20, generator=generator) * 9, torch.rand(3, 20, generator=generator)
    expected = torch.zeros(3, 20)
    for ray in range(3):
        light = 1.0
        for sample in range(20):
            opacity = 1 - math.exp(-float(density[ray, sample]) * float(widths[ray, sample]))
            expected[ray, sample] = light * opacity
            light *= 1 - opacity
    assert torch.allclose(compositing_weights(density, widths), expected, atol=1e-6)


def test_constant_density_follows_beer_and_lambert():
    distance, widths = sample_depths(torch.tensor([0.0]), torch.tensor([2.0]), 64)
    opacity = compositing_weights(torch.full_like(distance, 0.7), widths).sum()
    assert float(opacity) == pytest.approx(1 - math.exp(-1.4), abs=1e-6)
