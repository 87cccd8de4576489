"""Colours, field and the whole way with depth."""

import json

import pytest
import torch
import trimesh

from gtr_core.data.render_dataset import render_views
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fit.blend import ProjectionBlend
from gtr_core.fit.field import FusedField
from gtr_core.fit.reconstruct import reconstruct_fit
from gtr_core.fit.sdf_grid import SdfGrid, dense_grid
from gtr_core.fit.specks import components, unseen_specks, without_specks, without_vertices
from gtr_core.geometry.cameras import camera_set, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.image import psnr
from gtr_core.metrics.watertight import is_watertight
from gtr_core.views import Views

RESOLUTION = 64


def painted_box() -> Mesh:
    """A cube whose colour runs smoothly along its sides."""
    shape = trimesh.creation.box(extents=(1, 1, 1)).subdivide().subdivide()
    vertices = torch.tensor(shape.vertices, dtype=torch.float32)
    return Mesh(vertices, torch.tensor(shape.faces), colors=vertices + 0.5)


@pytest.fixture(scope="module")
def views() -> Views:
    return render_views(painted_box(), camera_set("sphere14", height=128, width=128), supersample=2)


@pytest.fixture(scope="module")
def result(views: Views) -> tuple[FusedField, Mesh, tuple[str, ...]]:
    return reconstruct_fit(views, grid_resolution=RESOLUTION)


def test_result_is_closed_colored_and_knows_everything(
    result: tuple[FusedField, Mesh, tuple[str, ...]],
) -> None:
    _, mesh, notes = result
    assert is_watertight(mesh)
    assert components(mesh)[0] == 1
    assert mesh.colors is not None
    error = (mesh.colors - (mesh.vertices + 0.5).clamp(0, 1)).abs()
    assert error.mean() < 0.01
    assert notes == ()


def test_novel_views_look_like_the_truth(result: tuple[FusedField, Mesh, tuple[str, ...]]) -> None:
    field, mesh, _ = result
    cameras = orbit([20, 140, 260], [-30, 0, 30], height=96, width=96)
    truth = render_mesh(painted_box(), cameras, supersample=3).rgb
    assert psnr(render_mesh(mesh, cameras, supersample=3).rgb, truth).min() > 28
    assert psnr(render_mesh(mesh, cameras, field=field, supersample=3).rgb, truth).min() > 28


def test_constant_color_comes_back_to_the_last_bit() -> None:
    box = painted_box()
    color = torch.tensor([200, 100, 50]) / 255
    plain = box.with_colors(color.expand_as(box.vertices))
    flat = render_views(plain, camera_set("sphere6", height=96, width=96), supersample=2)
    _, mesh, _ = reconstruct_fit(flat, grid_resolution=48)
    assert mesh.colors is not None
    assert torch.equal((mesh.colors * 255).round().unique(dim=0), torch.tensor([[200.0, 100.0, 50.0]]))


def test_field_starts_at_the_blend_and_its_gradient_reaches_the_planes(
    result: tuple[FusedField, Mesh, tuple[str, ...]],
) -> None:
    field, mesh, _ = result
    points = mesh.vertices[:500]
    assert torch.equal(field.color(points), field.base_color(points).clamp(0, 1))
    density = field.density(points)
    assert density.shape == (500, 1)
    assert (density - 10).abs().max() < 1
    assert field.density(torch.zeros(1, 3)).item() > 10
    assert field.density(torch.ones(1, 3)).item() == 0


def test_with_texture_leaves_the_first_field_alone(result: tuple[FusedField, Mesh, tuple[str, ...]]) -> None:
    field, mesh, _ = result
    before = field.color(mesh.vertices[:200])
    other = field.with_texture(
        torch.randn(field.planes.shape, generator=torch.Generator().manual_seed(0)), field.color_mlp
    )
    assert not torch.equal(other.color(mesh.vertices[:200]), before)
    assert torch.equal(field.color(mesh.vertices[:200]), before)
    assert other.grid is field.grid


def test_state_round_trip_is_exact(result: tuple[FusedField, Mesh, tuple[str, ...]]) -> None:
    field, mesh, _ = result
    tensors, config = field.state()
    again = FusedField.from_state(tensors, json.loads(json.dumps(config)))
    assert torch.equal(again.grid.values, field.grid.values)
    assert torch.equal(again.color(mesh.vertices), field.color(mesh.vertices))
    assert torch.equal(again.density(mesh.vertices), field.density(mesh.vertices))


def test_two_sides_of_a_thin_wall_keep_their_own_color() -> None:
    wall = torch.tensor([[-0.5, -0.5, 0.01], [0.5, -0.5, 0.01], [0.5, 0.5, 0.01], [-0.5, 0.5, 0.01]])
    back = wall * torch.tensor([1, 1, -1])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]])
    red, blue = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])
    colors = torch.cat([red.expand(4, 3), blue.expand(4, 3)])
    views = render_views(
        Mesh(torch.cat([wall, back]), faces, colors), camera_set("orthogonal", height=64, width=64)[[0, 2]]
    )
    assert views.depth is not None
    blend = ProjectionBlend.build(views.rgba, views.cameras, views.depth, views.normal, tolerance=0.05)
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 0.6 - 0.3
    points[:, 2] = 0
    ahead = torch.tensor([0.0, 0, 1]).expand(50, 3)
    torch.testing.assert_close(blend.color(points, ahead), red.expand(50, 3), atol=0.005, rtol=0)
    torch.testing.assert_close(blend.color(points, -ahead), blue.expand(50, 3), atol=0.005, rtol=0)


def test_background_does_not_bleed_into_the_outline() -> None:
    box = painted_box()
    plain = box.with_colors(torch.full_like(box.vertices, 0.6))
    views = render_views(plain, camera_set("sphere6", height=64, width=64))
    # the hidden colour of transparent pixels is garbage
    garbage = torch.where(views.rgba[..., 3:] > 0, views.rgba[..., :3], torch.ones(3))
    views = Views(torch.cat([garbage, views.rgba[..., 3:]], -1), views.cameras, views.depth, views.normal)
    _, mesh, _ = reconstruct_fit(views, grid_resolution=48)
    assert mesh.colors is not None
    assert (mesh.colors - 0.6).abs().max() < 0.005


def test_unseen_side_takes_the_nearest_color_and_is_told(views: Views) -> None:
    _, mesh, notes = reconstruct_fit(views[[0, 6, 7, 1]], grid_resolution=48)
    assert any("seen by no view" in note for note in notes)
    assert mesh.colors is not None
    assert bool(torch.isfinite(mesh.colors).all())
    assert mesh.colors.amin() >= 0


def test_specks_that_no_view_shows_vanish_and_seen_ones_stay() -> None:
    def two_balls(points: torch.Tensor) -> torch.Tensor:
        speck = (points - torch.tensor([0.8, 0.8, 0.8])).norm(dim=-1) - 0.06
        bubble = 0.07 - points.norm(dim=-1)
        return torch.minimum(torch.maximum(points.norm(dim=-1) - 0.5, bubble), speck)

    grid = dense_grid(two_balls, 65)
    mesh = grid.extract()
    assert components(mesh)[0] == 3
    radius = mesh.vertices.norm(dim=-1)
    dropped, specks = unseen_specks(mesh, (radius > 0.4) & (radius < 0.6))
    assert len(specks) == 2
    cleaned = without_specks(grid, specks)
    alone = dense_grid(lambda points: points.norm(dim=-1) - 0.5, 65)
    assert torch.equal(cleaned.values < 0, alone.values < 0)
    kept, expected = without_vertices(mesh, dropped), alone.extract()
    assert torch.equal(kept.faces, expected.faces)
    torch.testing.assert_close(kept.vertices, expected.vertices)
    assert unseen_specks(mesh, torch.ones(len(radius), dtype=torch.bool))[1] == []


def test_stages_come_in_order(views: Views) -> None:
    met: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if stage not in met:
            met.append(stage)

    reconstruct_fit(views[[0, 1, 2, 3]], grid_resolution=32, progress=progress)
    assert met == ["fuse", "extract", "color"]


def test_views_that_contradict_each_other_are_refused(views: Views) -> None:
    swapped = views.cameras[[1, 2, 3, 4, 5, 0, 7, 8, 9, 6, 11, 12, 13, 10]]
    with pytest.raises(GtrError) as caught:
        reconstruct_fit(Views(views.rgba, swapped, views.depth, views.normal), grid_resolution=32)
    assert caught.value.code == ErrorCode.EMPTY_RECONSTRUCTION


def test_one_view_is_too_few(views: Views) -> None:
    with pytest.raises(GtrError) as caught:
        reconstruct_fit(views[[0]])
    assert caught.value.code == ErrorCode.TOO_FEW_VIEWS


def test_an_object_outside_the_box_is_refused() -> None:
    box = painted_box()
    away = Mesh(box.vertices + torch.tensor([0.0, 0, 1.9]), box.faces, box.colors)
    views = render_views(away, camera_set("orthogonal", height=64, width=64)[[0, 2]], supersample=1)
    with pytest.raises(GtrError) as caught:
        reconstruct_fit(views, grid_resolution=32)
    assert caught.value.code == ErrorCode.EMPTY_RECONSTRUCTION


def test_grid_without_inside_is_an_error() -> None:
    with pytest.raises(GtrError) as caught:
        SdfGrid(torch.ones(8, 8, 8)).extract()
    assert caught.value.code == ErrorCode.EMPTY_RECONSTRUCTION
