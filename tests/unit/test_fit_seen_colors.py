"""Colours for points that no view sees."""

import pytest
import torch

from gtr_core.fit.seen_colors import SeenColors


def halves(count: int) -> SeenColors:
    """A square of random points, red where x < 0 and blue beyond; of very many, few are asked from afar."""
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(count, 3, generator=generator) * 2 - 1
    points[:, 2] = 0
    left = (points[:, :1] < 0).float()
    return SeenColors(points, torch.cat([left, torch.zeros_like(left), 1 - left], dim=1))


@pytest.mark.parametrize("height", [0.0, 0.05, 0.9])
@pytest.mark.parametrize("count", [4000, 60_000])
def test_a_point_takes_the_colour_on_its_side_near_and_far(count: int, height: float) -> None:
    found = halves(count).near(torch.tensor([[-0.5, 0.2, height], [0.5, -0.3, height]]))
    assert found.tolist() == [pytest.approx([1, 0, 0], abs=1e-5), pytest.approx([0, 0, 1], abs=1e-5)]


def test_a_seen_point_keeps_its_own_colour() -> None:
    generator = torch.Generator().manual_seed(2)
    points, colors = torch.rand(500, 3, generator=generator), torch.rand(500, 3, generator=generator)
    assert torch.allclose(SeenColors(points, colors).near(points), colors, atol=1e-4)


def test_few_seen_points_and_none_asked_for() -> None:
    one = SeenColors(torch.zeros(1, 3), torch.tensor([[0.2, 0.4, 0.6]]))
    assert one.near(torch.ones(3, 3)).tolist() == [pytest.approx([0.2, 0.4, 0.6])] * 3
    assert one.near(torch.zeros(0, 3)).shape == (0, 3)
