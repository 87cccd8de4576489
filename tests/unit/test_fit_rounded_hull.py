"""The likely shape inside the visual hull: creases become round, thin parts and outlines stay."""

from collections.abc import Callable

import pytest
import torch

from gtr_core.fit.mask_rays import MaskRays, trace
from gtr_core.fit.rounded_hull import rounded_hull
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.visual_hull import visual_hull
from gtr_core.fit.volume_fit import inside_hull
from gtr_core.geometry.cameras import camera_set
from gtr_core.views import Views

Shape = Callable[[torch.Tensor], torch.Tensor]

SIZE = 160
ROUNDNESS = 0.9


def ball(points: torch.Tensor) -> torch.Tensor:
    return points.norm(dim=-1) - 0.6


def ball_with_handle(points: torch.Tensor) -> torch.Tensor:
    """A ball with a thin upright ring through it, as the handle of a kettle."""
    x, y, z = points.unbind(-1)
    ring = torch.stack([torch.stack([x, y], -1).norm(dim=-1) - 0.75, z], -1).norm(dim=-1) - 0.05
    return torch.minimum(points.norm(dim=-1) - 0.45, ring)


def grid_of(shape: Shape, resolution: int = 128) -> SdfGrid:
    axis = torch.linspace(-1, 1, resolution)
    return SdfGrid(shape(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)))


def views_of(shape: Shape, cameras: str) -> Views:
    """Masks of an analytic shape."""
    seen_from = camera_set(cameras, height=SIZE, width=SIZE)
    everything = Views(torch.ones(len(seen_from), SIZE, SIZE, 4), seen_from)
    _, hit = trace(grid_of(shape), MaskRays.of(everything, SIZE))
    rgba = torch.full((len(seen_from), SIZE, SIZE, 4), 0.5)
    rgba[..., 3] = hit.reshape(len(seen_from), SIZE, SIZE).float()
    return Views(rgba, seen_from)


def volume(grid: SdfGrid) -> float:
    return float((grid.values < 0).double().mean()) * 8


@pytest.fixture(scope="module")
def views() -> Views:
    return views_of(ball, "orthogonal")


@pytest.fixture(scope="module")
def hull(views: Views) -> SdfGrid:
    return visual_hull(views, 96)


def test_the_hull_of_a_ball_becomes_a_ball(views: Views, hull: SdfGrid) -> None:
    true = 4 / 3 * torch.pi * 0.6**3
    rounded = rounded_hull(views, hull, ROUNDNESS)
    assert volume(hull) > 1.05 * true
    assert volume(inside_hull(rounded, hull)) == pytest.approx(true, rel=0.07)
    distance = rounded.extract().vertices.norm(dim=-1)
    assert distance.std() < 0.3 * hull.extract().vertices.norm(dim=-1).std()


def test_no_roundness_keeps_the_hull(views: Views, hull: SdfGrid) -> None:
    kept = inside_hull(rounded_hull(views, hull, 0.0), hull)
    assert volume(kept) == pytest.approx(volume(hull), rel=0.03)


def test_handles_stay() -> None:
    views = views_of(ball_with_handle, "zero123plus")
    hull = visual_hull(views, 128)
    rounded = inside_hull(rounded_hull(views, hull, ROUNDNESS), hull)
    _, hit = trace(rounded, MaskRays.of(views, 96))
    assert hit.float().mean() > 0.8
    assert volume(rounded) < 0.95 * volume(hull)


def test_a_hull_without_inside_stays_as_it_is(views: Views) -> None:
    nothing = SdfGrid(torch.full((32, 32, 32), 0.5))
    assert rounded_hull(views, nothing, ROUNDNESS) is nothing
