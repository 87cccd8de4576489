"""The fit inside the hull, its choice against the hull, and the whole way from masks to a grid."""

import pytest
import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fit.gaussian_blur import gaussian_blur
from gtr_core.fit.likely_shape import likely_shape
from gtr_core.fit.mask_rays import MaskRays, trace
from gtr_core.fit.missed_rays import restore_missed
from gtr_core.fit.photo_consistency import Witnesses, disagreement
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.selection import CLOSED_NOTE, HULL_NOTE, prefers_fit, reconstruct_from_masks
from gtr_core.fit.visual_hull import visual_hull
from gtr_core.fit.volume_fit import FitConfig, FitStage, fit_surface, inside_hull
from gtr_core.geometry.cameras import Cameras, camera_set
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rays import pixel_rays
from gtr_core.progress import Cancelled
from gtr_core.views import Views

RADIUS = 0.7
QUICK = FitConfig(stages=(FitStage(32, 40, 64, 0.05), FitStage(48, 40, 64, 0.03)))


def ball_distance(resolution: int, radius: float = RADIUS) -> SdfGrid:
    axis = torch.linspace(-1, 1, resolution)
    return SdfGrid(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - radius)


def pattern(points: torch.Tensor) -> torch.Tensor:
    """A smooth, colourful texture in space."""
    phase = points @ torch.tensor([[5.0, 1.0, 2.0], [-1.0, 6.0, 3.0], [2.0, -3.0, 5.0]])
    return 0.5 + 0.5 * torch.sin(phase)


def ball_views(cameras: Cameras, *, textured: bool = True) -> Views:
    origins, directions = pixel_rays(cameras)
    along = -(origins * directions).sum(-1)
    miss = (origins.square().sum(-1) - along**2).clamp(min=0)
    near = along - (RADIUS**2 - miss).clamp(min=0).sqrt()
    color = pattern(origins + directions * near[..., None]) if textured else torch.full_like(directions, 0.6)
    pixel = 4 / cameras.intrinsics[0, 0]
    alpha = ((RADIUS - miss.sqrt()) / pixel + 0.5).clamp(0, 1)
    return Views(torch.cat([color, alpha[..., None]], dim=-1), cameras)


@pytest.fixture(scope="module")
def six() -> Views:
    return ball_views(camera_set("zero123plus", height=128, width=128))


def surface_error(grid: SdfGrid) -> float:
    """Mean distance of the surface's vertices from the ball, world units."""
    return float((grid.extract().vertices.norm(dim=-1) - RADIUS).abs().mean())


def test_blur_keeps_a_plane_and_a_constant() -> None:
    ramp = torch.linspace(-1, 1, 33)[:, None, None].expand(33, 33, 33)
    blurred = gaussian_blur(ramp.contiguous(), 2.0)
    assert torch.allclose(blurred[8:-8], ramp[8:-8], atol=1e-6)
    assert torch.allclose(gaussian_blur(torch.full((9, 9, 9), 0.3), 1.5), torch.tensor(0.3))


def test_rays_meet_a_ball_where_the_formula_says(six: Views) -> None:
    rays = MaskRays.of(six, 64)
    distance, hit = trace(ball_distance(65), rays)
    along = -(rays.origins * rays.directions).sum(-1)
    depth = RADIUS**2 - (16 - along**2)
    inner = depth > 0.02
    assert bool(hit[inner].all())
    assert (distance - (along - depth.clamp(min=0).sqrt()))[inner].abs().max() < 0.01


def test_rays_that_miss_stop_near_their_closest_point(six: Views) -> None:
    rays = MaskRays.of(six, 64)
    distance, hit = trace(ball_distance(65, 0.2), rays)
    along = -(rays.origins * rays.directions).sum(-1)
    closest = (16 - along**2).clamp(min=0).sqrt()
    missing = closest > 0.22
    assert not bool(hit[missing].any())
    reached = (rays.origins + rays.directions * distance[:, None]).norm(dim=-1)
    assert (reached / closest)[missing].max() < 1.3


def test_colours_agree_on_the_true_surface_and_only_there(six: Views) -> None:
    rays = MaskRays.of(six, 128)
    witnesses = Witnesses.of(ball_distance(65), rays)
    seen = (witnesses.weight.sum(0) > 0.1).nonzero().squeeze(-1)
    assert len(seen) > 0.5 * len(rays)
    assert float(witnesses.weight[rays.view, torch.arange(len(rays))].max()) == 0
    offsets = torch.tensor([-0.1, 0.0, 0.1])
    points = (
        rays.origins[seen, None] + rays.directions[seen, None] * (witnesses.distance[seen, None] + offsets)[..., None]
    )
    cost = (
        disagreement(rays, seen, witnesses.weight[:, seen], points) / witnesses.weight[:, seen].sum(0)[:, None]
    ).mean(0)
    assert cost[1] < 0.02
    assert cost[0] > 5 * cost[1]
    assert cost[2] > 5 * cost[1]


def test_fit_of_a_textured_ball_is_far_better_than_its_hull(six: Views) -> None:
    hull = visual_hull(six, 64)
    result = inside_hull(fit_surface(six, hull, likely_shape(six, hull), QUICK, seed=1), hull)
    assert bool((result.values >= hull.values).all())
    assert surface_error(result) < 0.5 * surface_error(hull)
    assert surface_error(result) < 0.012


def test_fit_keeps_every_ray_of_the_masks() -> None:
    """Also without any texture to hold on to, and for a part thinner than a cell of the fit."""
    views = ball_views(camera_set("orthogonal", height=128, width=128), textured=False)
    mask = views.mask.clone()
    mask[:, 10:64, 63:65] = 1
    views = Views(torch.cat([views.rgba[..., :3], mask[..., None]], dim=-1), views.cameras)
    hull = visual_hull(views, 128)
    result = inside_hull(restore_missed(views, fit_surface(views, hull, likely_shape(views, hull), QUICK), hull), hull)
    rays = MaskRays.of(views, 128)
    assert float(trace(hull, rays)[1].float().mean()) > 0.995
    assert float(trace(result, rays)[1].float().mean()) > 0.995
    axis_top = torch.tensor([[0.0, 0.8, 0.0], [0.0, 0.86, 0.0]])
    assert float(result.sample(axis_top).max()) < 0


def test_a_fitted_ball_is_not_pitted(six: Views) -> None:
    """Steps driven by the chance of the chosen rays scatter the normals unless they become small in the end."""
    hull = visual_hull(six, 64)
    result = inside_hull(fit_surface(six, hull, likely_shape(six, hull), QUICK, seed=1), hull)
    rays = MaskRays.of(six, 64)
    distance, hit = trace(result, rays)
    points = (rays.origins + rays.directions * distance[:, None])[hit]
    radial, normal = (torch.nn.functional.normalize(part, dim=-1) for part in (points, result.gradient(points)))
    angle = torch.rad2deg(torch.acos((radial * normal).sum(-1).clamp(-1, 1)))
    assert float(angle.mean()) < 1.8


def test_what_is_put_back_at_a_rim_leaves_no_beads(six: Views) -> None:
    """A ball two nodes too small misses the rays beside its outline; what they hit afterwards has no steep flanks."""
    hull = visual_hull(six, 128)
    small = ball_distance(128, RADIUS - 2 * hull.spacing)
    rays = MaskRays.of(six, 128)
    assert float(trace(inside_hull(small, hull), rays)[1].float().mean()) < 0.97
    result = inside_hull(restore_missed(six, small, hull), hull)
    assert float(trace(result, rays)[1].float().mean()) > 0.999
    points = result.extract().vertices
    radial, normal = (torch.nn.functional.normalize(part, dim=-1) for part in (points, result.gradient(points)))
    assert float((radial * normal).sum(-1).lt(0.6).float().mean()) < 0.05


def test_an_object_thinner_than_every_pixel_of_the_fit_is_kept() -> None:
    cameras = camera_set("orthogonal", height=128, width=128)
    mask = torch.zeros(4, 128, 128)
    mask[:, 20:108, 63:65] = 1
    views = Views(torch.cat([torch.full((4, 128, 128, 3), 0.6), mask[..., None]], dim=-1), cameras)
    grid, _ = reconstruct_from_masks(views, resolution=128, config=QUICK)
    axis = torch.linspace(-0.6, 0.6, 13)[:, None] * torch.tensor([[0.0, 1.0, 0.0]])
    assert float(grid.sample(axis).max()) < 0


def test_the_same_seed_gives_the_same_surface(six: Views) -> None:
    hull = visual_hull(six, 32)
    config = FitConfig(stages=(FitStage(32, 6, 64, 0.05),))
    likely = likely_shape(six, hull)
    first, again, other = (fit_surface(six, hull, likely, config, seed=seed).values for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_dented_fit_loses_against_the_hull_and_a_true_one_wins(six: Views) -> None:
    hull = visual_hull(six, 64)
    assert prefers_fit(six, hull, ball_distance(64))
    assert not prefers_fit(six, hull, ball_distance(64, 0.5))


def test_a_fit_that_no_colour_confirms_loses_although_nothing_compares_it_with_the_hull() -> None:
    """Every view shows noise of its own: whatever shape is fitted, its colours agree by chance only."""
    views = ball_views(camera_set("orthogonal", height=128, width=128))
    noise = torch.rand(views.rgba.shape[0], 3, 16, 16, generator=torch.Generator().manual_seed(5))
    colors = torch.nn.functional.interpolate(noise, (128, 128), mode="bilinear").permute(0, 2, 3, 1)
    noisy = Views(torch.cat([colors, views.rgba[..., 3:]], dim=-1), views.cameras)
    hull = visual_hull(views, 64)
    assert prefers_fit(views, hull, ball_distance(64))
    assert not prefers_fit(noisy, hull, ball_distance(64))


def test_a_box_stays_a_box_when_its_rounded_edges_look_different_from_two_sides() -> None:
    """No two of its four sides see the same part of the hull, so nothing else can compare it with the fit."""
    views = box_views(1.0)
    hull = visual_hull(views, 96)
    assert prefers_fit(views, hull, box_distance(96))
    assert not prefers_fit(views, hull, box_distance(96, power=8))


def test_a_dark_object_is_not_doubted_because_its_colours_hardly_differ() -> None:
    """The same as above in the colours of something black: whatever is compared differs by next to nothing."""
    views = box_views(0.05)
    assert prefers_fit(views, visual_hull(views, 96), box_distance(96, power=8))


def test_the_whole_way_from_four_sides_of_a_box_gives_that_box() -> None:
    """No roof on top, no bulging sides: the fit is refused, and the hull is cut flat where it ends."""
    grid, notes = reconstruct_from_masks(box_views(1.0), resolution=96, config=QUICK)
    vertices = grid.extract().vertices
    assert HULL_NOTE in notes
    assert vertices.amax(0).tolist() == pytest.approx([0.6, 0.7, 0.4], abs=0.02)
    assert vertices.amin(0).tolist() == pytest.approx([-0.6, -0.7, -0.4], abs=0.02)


def box_views(brightness: float) -> Views:
    """The four sides of a textured box."""
    cameras = camera_set("orthogonal", height=128, width=128)
    rays = MaskRays.of(Views(torch.ones(4, 128, 128, 4), cameras), 128)
    distance, hit = trace(box_distance(129), rays)
    color = brightness * pattern(rays.origins + rays.directions * distance[:, None])
    return Views(torch.cat([color, hit[:, None].float()], dim=-1).reshape(4, 128, 128, 4), cameras)


def box_distance(resolution: int, power: float | None = None) -> SdfGrid:
    """About the distance of a box, or of one that is the rounder the lower the power."""
    axis = torch.linspace(-1, 1, resolution)
    half = torch.tensor([0.6, 0.7, 0.4])
    inwards = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).abs() / half
    radius = inwards.amax(-1) if power is None else inwards.pow(power).sum(-1).pow(1 / power)
    return SdfGrid((radius - 1) * float(half.min()))


def test_whole_way_reports_stages_in_order_and_previews_the_hull(six: Views) -> None:
    stages: list[tuple[str, int, int]] = []
    previews: list[Mesh] = []
    grid, notes = reconstruct_from_masks(
        six,
        resolution=64,
        config=QUICK,
        progress=lambda stage, done, total: stages.append((stage, done, total)),
        on_preview=lambda mesh: previews.append(mesh),
    )
    assert grid.resolution == 64
    assert surface_error(grid) < 0.015
    assert CLOSED_NOTE in notes
    assert len(previews) == 1
    assert len(previews[0].faces) > 1000
    names = [stage for stage, _, _ in stages]
    assert list(dict.fromkeys(names)) == ["hull", "fit", "fuse"]
    assert [done for stage, done, _ in stages if stage == "fit"] == list(range(81))
    assert all(total == 80 for stage, _, total in stages if stage == "fit")


@pytest.mark.parametrize("stage", ["hull", "fit", "fuse"])
def test_it_can_be_cancelled_in_the_middle_of_every_stage(six: Views, stage: str) -> None:
    def stop(current: str, done: int, total: int) -> None:
        if current == stage and done == 1:
            raise Cancelled

    config = FitConfig(stages=(FitStage(32, 2, 64, 0.05),))
    with pytest.raises(Cancelled):
        reconstruct_from_masks(six, resolution=32, config=config, progress=stop)


def test_outlines_that_do_not_meet_are_reported() -> None:
    cameras = camera_set("orthogonal", height=64, width=64)
    mask = torch.zeros(4, 64, 64)
    mask[0, :20], mask[1, 44:], mask[2, :20], mask[3, 44:] = 1, 1, 1, 1
    views = Views(torch.cat([torch.ones(4, 64, 64, 3), mask[..., None]], dim=-1), cameras)
    with pytest.raises(GtrError) as caught:
        reconstruct_from_masks(views, resolution=64)
    assert caught.value.code == ErrorCode.EMPTY_RECONSTRUCTION
