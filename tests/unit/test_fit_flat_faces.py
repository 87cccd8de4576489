"""Flat faces that views see edge-on, on a box and a ball whose outlines are known exactly."""

import pytest
import torch

from gtr_core.fit import flat_faces
from gtr_core.fit.mask_rays import MaskRays, trace
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.visual_hull import visual_hull
from gtr_core.geometry.cameras import Cameras, camera_set, orbit
from gtr_core.geometry.rays import pixel_rays
from gtr_core.views import Views

HALF = torch.tensor([0.6, 0.7, 0.4])
WIDTH, HEIGHT, DEPTH = HALF.tolist()
RADIUS = 0.7


def box_views(cameras: Cameras) -> Views:
    """A grey box, 4 x 4 samples a pixel."""
    origins, directions = pixel_rays(cameras.resized(4 * cameras.height, 4 * cameras.width))
    ends = torch.stack([(side * HALF - origins) / directions for side in (-1, 1)])
    hit = ends.amin(0).amax(-1) < ends.amax(0).amin(-1)
    return grey(torch.nn.functional.avg_pool2d(hit.float(), 4), cameras)


def ball_views(cameras: Cameras) -> Views:
    origins, directions = pixel_rays(cameras.resized(4 * cameras.height, 4 * cameras.width))
    miss = (origins.square().sum(-1) - (origins * directions).sum(-1) ** 2).clamp(min=0).sqrt()
    return grey(torch.nn.functional.avg_pool2d((miss < RADIUS).float(), 4), cameras)


def grey(mask: torch.Tensor, cameras: Cameras) -> Views:
    return Views(torch.cat([torch.full((*mask.shape, 3), 0.6), mask[..., None]], dim=-1), cameras)


def extents(grid: SdfGrid) -> torch.Tensor:
    """(2, 3) least and greatest coordinates of the surface."""
    vertices = grid.extract().vertices
    return torch.stack([vertices.amin(0), vertices.amax(0)])


def share_of_hits(grid: SdfGrid, views: Views) -> float:
    return float(trace(grid, MaskRays.of(views, 64))[1].float().mean())


@pytest.mark.parametrize("cameras", ["orthogonal", "zero123plus"])
def test_the_roofs_over_and_under_a_box_are_cut_down_to_it(cameras: str) -> None:
    views = box_views(camera_set(cameras, height=128, width=128))
    hull = visual_hull(views, 96)
    closed = flat_faces.cut(hull, flat_faces.ends(views, hull))
    assert float(extents(hull)[1, 1]) > HEIGHT + 0.03
    assert extents(closed)[:, 1].tolist() == pytest.approx([-HEIGHT, HEIGHT], abs=0.012)
    assert share_of_hits(closed, views) > share_of_hits(hull, views) - 0.005


def test_under_an_object_that_is_seen_only_from_above_the_cone_ends_where_it_stands() -> None:
    views = box_views(orbit([0.0, 90.0, 180.0, 270.0], [25.0] * 4, height=128, width=128))
    hull = visual_hull(views, 96)
    closed = flat_faces.cut(hull, flat_faces.ends(views, hull))
    assert float(extents(hull)[0, 1]) < -HEIGHT - 0.15
    assert float(extents(closed)[0, 1]) == pytest.approx(-HEIGHT, abs=0.02)


def test_the_ends_of_a_ball_lose_little() -> None:
    views = ball_views(camera_set("orthogonal", height=128, width=128))
    hull = visual_hull(views, 96)
    top = flat_faces.ends(views, hull)[0]
    assert 0.92 * RADIUS < top.offset < 1.01 * RADIUS


def test_views_all_around_or_from_one_side_know_no_ends() -> None:
    for cameras in (camera_set("sphere14", height=64, width=64), orbit([0.0, 5.0], [0.0, 0.0], height=64, width=64)):
        views = ball_views(cameras)
        assert flat_faces.ends(views, visual_hull(views, 32)) == ()


def test_a_box_that_stands_square_to_four_views_becomes_that_box() -> None:
    views = box_views(camera_set("orthogonal", height=128, width=128))
    hull = visual_hull(views, 96)
    closed = flat_faces.cut(hull, flat_faces.ends(views, hull))
    box = flat_faces.cut(closed, flat_faces.sides(views, closed))
    assert extents(box).flatten().tolist() == pytest.approx([-WIDTH, -HEIGHT, -DEPTH, WIDTH, HEIGHT, DEPTH], abs=0.015)
    assert share_of_hits(box, views) > share_of_hits(hull, views) - 0.005


def test_a_round_object_keeps_its_belly() -> None:
    views = ball_views(camera_set("orthogonal", height=128, width=128))
    assert flat_faces.sides(views, visual_hull(views, 96)) == ()


def test_views_that_no_other_sees_edge_on_have_no_sides() -> None:
    views = box_views(camera_set("zero123plus", height=64, width=64))
    assert flat_faces.sides(views, visual_hull(views, 48)) == ()


def test_nothing_to_cut_leaves_the_grid_as_it_is() -> None:
    grid = SdfGrid(torch.randn(8, 8, 8))
    assert torch.equal(flat_faces.cut(grid, ()).values, grid.values)
