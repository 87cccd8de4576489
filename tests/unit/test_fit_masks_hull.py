"""Outline distances and visual hulls against shapes whose outlines are known exactly."""

import math

import pytest
import torch

from gtr_core.fit.masks import outline_distances
from gtr_core.fit.sdf_grid import dense_grid
from gtr_core.fit.visual_hull import HullDistance, visual_hull
from gtr_core.geometry.cameras import Cameras, camera_set
from gtr_core.progress import Cancelled
from gtr_core.views import Views


def pixel_directions(cameras: Cameras, supersample: int = 1) -> torch.Tensor:
    fine = cameras.resized(cameras.height * supersample, cameras.width * supersample)
    v, u = torch.meshgrid(torch.arange(fine.height) + 0.5, torch.arange(fine.width) + 0.5, indexing="ij")
    fx, fy, cx, cy = fine.intrinsics[:, :, None, None].unbind(1)
    local = torch.stack([(u - cx) / fx, (v - cy) / fy, torch.ones_like(u - cx)], dim=-1)
    world = torch.einsum("vij,vhwj->vhwi", fine.c2w[:, :3, :3], local)
    return torch.nn.functional.normalize(world, dim=-1)


def sphere_views(cameras: Cameras, radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Views:
    """White sphere with soft outlines from 4 x 4 samples a pixel."""
    directions = pixel_directions(cameras, 4)
    to_centre = torch.tensor(centre) - cameras.positions
    along = torch.einsum("vhwi,vi->vhw", directions, to_centre)
    miss = (to_centre.norm(dim=-1)[:, None, None] ** 2 - along**2).clamp(min=0).sqrt()
    mask = torch.nn.functional.avg_pool2d((miss < radius).float(), 4)
    return Views(torch.cat([torch.ones(*mask.shape, 3), mask[..., None]], dim=-1), cameras)


def test_outline_distance_of_a_sphere_is_its_angular_distance() -> None:
    cameras = camera_set("orthogonal", height=128, width=128)[:1]
    distances = outline_distances(sphere_views(cameras, 0.5))[0]
    directions = pixel_directions(cameras)[0]
    axis = -cameras.positions[0] / 4
    tangent = torch.tan(torch.acos((directions @ axis).clamp(max=1)))
    expected = tangent - math.tan(math.asin(0.5 / 4))
    pixel = float(1 / cameras.intrinsics[0, 0])
    assert (distances - expected).abs().max() < 0.6 * pixel
    near = expected.abs() < 1.5 * pixel
    assert (distances - expected)[near].abs().mean() < 0.15 * pixel


def test_hull_of_a_sphere_holds_the_sphere_and_touches_it() -> None:
    cameras = camera_set("sphere14", height=128, width=128)
    hull = visual_hull(sphere_views(cameras, 0.6), 65)
    points = torch.nn.functional.normalize(torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert hull.sample(points * 0.585).max() < 0
    beyond = hull.sample(points * 0.6)
    assert beyond.min() > -0.08
    assert hull.sample(points * 0.75).min() > 0


@pytest.mark.parametrize("resolution", [64, 128])
def test_coarse_to_fine_has_the_surface_of_the_dense_grid(resolution: int) -> None:
    """A thin rod and a speck survive: no cell that the surface crosses is left out."""
    cameras = camera_set("zero123plus", height=128, width=128)
    views = sphere_views(cameras, 0.05, (0.4, 0.3, -0.2))
    mask = views.rgba[..., 3].clone()
    mask[:, 20:108, 63:65] = 1
    views = Views(torch.cat([views.rgba[..., :3], mask[..., None]], dim=-1), cameras)
    hull = visual_hull(views, resolution).values
    dense = dense_grid(HullDistance(views), resolution).values
    assert torch.equal(hull < 0, dense < 0)
    assert bool((hull < 0).any())
    near = dense.abs() < 2 / (resolution - 1)
    assert torch.equal(hull[near], dense[near])


def test_nothing_is_cut_beyond_an_image_border_that_the_object_crosses() -> None:
    cameras = camera_set("orthogonal", height=96, width=96)[:1]
    mask = torch.zeros(1, 96, 96)
    mask[:, 48:, 24:72] = 1
    hull = HullDistance(Views(torch.cat([torch.ones(1, 96, 96, 3), mask[..., None]], dim=-1), cameras))
    below, above = torch.tensor([[0.0, -1.2, 0.5]]), torch.tensor([[0.0, 1.2, 0.5]])
    assert float(hull(below)) < 0 < float(hull(above))


def test_points_behind_a_camera_are_free() -> None:
    views = sphere_views(camera_set("orthogonal", height=64, width=64)[:1], 0.5)
    distance = HullDistance(views)(torch.tensor([[0.0, 0.0, 5.0], [0.0, 0.0, 4.0]]))
    assert bool((distance < 0).all())


def test_most_of_the_grid_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distance to the outlines is what a hull costs: it is asked for near the surface, not at every node."""
    views = sphere_views(camera_set("zero123plus", height=512, width=512), 0.8)
    asked: list[int] = []
    distance = HullDistance.__call__

    def count(self: HullDistance, points: torch.Tensor) -> torch.Tensor:
        asked.append(points[..., 0].numel())
        return distance(self, points)

    monkeypatch.setattr(HullDistance, "__call__", count)
    hull = visual_hull(views, 128)
    assert 0 < sum(asked) < 0.35 * hull.values.numel()


def test_hull_can_be_cancelled() -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        visual_hull(sphere_views(camera_set("orthogonal", height=64, width=64), 0.5), 64, stop)
