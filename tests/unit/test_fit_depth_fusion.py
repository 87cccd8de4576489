"""Depth fusion on shapes whose distance is known."""

import math

import pytest
import torch
import trimesh
from torch import Tensor

from gtr_core.data.render_dataset import render_views
from gtr_core.fit.depth_fusion import THINNEST, fuse_depth
from gtr_core.fit.depth_maps import estimate_normals
from gtr_core.fit.sdf_grid import SdfGrid, cells_of, crossing_cells, dense_grid, refine_grid
from gtr_core.geometry.cameras import Cameras, camera_set
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.image import see_through
from gtr_core.metrics.shape import compare_meshes
from gtr_core.metrics.watertight import is_watertight
from gtr_core.progress import Cancelled
from gtr_core.views import Views

RESOLUTION = 96
SPACING = 2 / (RESOLUTION - 1)


def ball(points: Tensor) -> Tensor:
    return points.norm(dim=-1) - 0.7


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    vertices = torch.tensor(shape.vertices, dtype=torch.float32)
    return Mesh(vertices, torch.tensor(shape.faces), colors=(vertices + 1) / 2)


def sphere14(size: int = 128) -> Cameras:
    return camera_set("sphere14", height=size, width=size)


def fused(views: Views, *, normals: bool = True, resolution: int = RESOLUTION) -> SdfGrid:
    assert views.depth is not None
    return fuse_depth(views.cameras, views.depth, views.normal if normals else None, views.mask, resolution)


@pytest.fixture(scope="module")
def ball_views() -> Views:
    return render_views(mesh_of(trimesh.creation.icosphere(subdivisions=4, radius=0.7)), sphere14(), supersample=2)


@pytest.fixture(scope="module")
def tilted_sheet() -> Mesh:
    """A square without thickness, along no axis."""
    corners = torch.tensor([[-0.6, -0.6, 0], [0.6, -0.6, 0], [0.6, 0.6, 0], [-0.6, 0.6, 0]])
    turn = torch.tensor(trimesh.transformations.rotation_matrix(0.7, [1, 0.3, 0.2])[:3, :3], dtype=torch.float32)
    return Mesh(corners @ turn.T, torch.tensor([[0, 1, 2], [0, 2, 3]]), colors=torch.full((4, 3), 0.5))


def test_trilinear_samples_meet_the_nodes_and_grow_outside_the_box() -> None:
    grid = dense_grid(ball, 33)
    axis = torch.linspace(-1, 1, 33)
    nodes = torch.cartesian_prod(axis, axis, axis)
    torch.testing.assert_close(grid.sample(nodes), grid.values.reshape(-1), atol=1e-6, rtol=0)
    far = grid.sample(torch.tensor([[3.0, 0, 0]]))
    torch.testing.assert_close(far, torch.tensor([2.3]), atol=1e-5, rtol=0)


def test_gradient_points_outward_with_unit_length() -> None:
    points = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    gradient = dense_grid(ball, 65).gradient(points * 0.7)
    assert (gradient * points).sum(-1).min() > 0.995


def test_refined_grid_equals_the_dense_one_where_the_surface_runs() -> None:
    coarse = dense_grid(ball, 20)
    fine, dense = refine_grid(coarse, ball, 67, crossing_cells(coarse.values)), dense_grid(ball, 67)
    assert torch.equal(fine.values < 0, dense.values < 0)
    near = crossing_cells(dense.values).nonzero().unbind(-1)
    assert torch.equal(fine.values[near], dense.values[near])


def test_refinement_follows_a_surface_that_leaves_the_active_cells() -> None:
    coarse = dense_grid(ball, 20)
    start = crossing_cells(coarse.values)
    start[:10] = False
    fine, dense = refine_grid(coarse, ball, 40, start), dense_grid(ball, 40)
    assert torch.equal(fine.values < 0, dense.values < 0)


def test_cells_of_a_point_are_those_around_its_nearest_node() -> None:
    cells = cells_of(torch.tensor([[0.1, 0.0, -1.0]]), 5)
    assert {tuple(cell) for cell in cells.nonzero().tolist()} == {(1, 1, 0), (1, 2, 0), (2, 1, 0), (2, 2, 0)}


@pytest.mark.parametrize("normals", [True, False])
def test_ball_is_where_it_should_be(ball_views: Views, normals: bool) -> None:
    mesh = fused(ball_views, normals=normals).extract()
    assert is_watertight(mesh)
    radius = mesh.vertices.norm(dim=-1)
    assert (radius - 0.7).abs().max() < 0.1 * SPACING
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    assert float(volume) == pytest.approx(4 / 3 * math.pi * 0.7**3, rel=0.01)


def test_estimated_normals_are_those_of_the_ball(ball_views: Views) -> None:
    assert ball_views.depth is not None
    assert ball_views.normal is not None
    estimated = estimate_normals(ball_views.cameras, ball_views.depth)
    assert torch.equal(estimated.abs().amax(-1) > 0, ball_views.depth > 0)
    cosine = (estimated * ball_views.normal).sum(-1)[ball_views.depth > 0]
    assert cosine.median() > 0.998


def test_sheet_without_thickness_becomes_a_closed_wall_without_holes(tilted_sheet: Mesh) -> None:
    views = render_views(tilted_sheet, sphere14(), supersample=2)
    mesh = fused(views).extract()
    assert is_watertight(mesh)
    origin, right, _, up = tilted_sheet.vertices
    along = torch.stack([right - origin, up - origin]) / 1.2
    height = mesh.vertices @ torch.linalg.cross(along[0], along[1])
    inner = ((mesh.vertices @ along.T).abs() < 0.5).all(-1)
    # the kink in the middle of the wall costs up to a tenth of a cell
    assert (height[inner].abs() - THINNEST / 2 * SPACING).abs().max() < 0.1 * SPACING
    assert height.abs().max() < 1.5 * SPACING
    seen = render_views(Mesh(mesh.vertices, mesh.faces, torch.ones_like(mesh.vertices)), views.cameras, supersample=1)
    assert seen.depth is not None
    assert views.depth is not None
    facing = [0, 2, 6, 7, 10, 11]
    assert see_through(seen.depth[facing], views.depth[facing]).max() == 0


def test_thin_box_keeps_its_thickness() -> None:
    thickness = 3 * SPACING
    box = mesh_of(trimesh.creation.box(extents=(1.2, 1.0, thickness)))
    mesh = fused(render_views(box, sphere14(), supersample=2)).extract()
    assert is_watertight(mesh)
    inner = (mesh.vertices[:, :2].abs() < 0.4).all(-1)
    assert (mesh.vertices[inner, 2].abs() - thickness / 2).abs().max() < 0.05 * SPACING


def test_open_bowl_stays_hollow() -> None:
    angle = torch.linspace(-90, 5, 40).deg2rad()
    arc = torch.stack([angle.cos(), angle.sin()], dim=-1)
    arc[0, 0] = 0
    bowl = trimesh.creation.revolve(torch.cat([0.8 * arc, 0.74 * arc.flip(0)]).numpy(), sections=64)
    mesh = fused(render_views(mesh_of(bowl), sphere14(), supersample=2)).extract()
    assert is_watertight(mesh)
    score = compare_meshes(mesh, mesh_of(bowl), count=8000)
    floor = compare_meshes(mesh_of(bowl), mesh_of(bowl), count=8000)
    assert score.chamfer < floor.chamfer + 0.6
    assert score.f_score > 99


def test_what_no_view_sees_is_closed() -> None:
    box = mesh_of(trimesh.creation.box(extents=(1, 1, 1)))
    front = render_views(box, camera_set("orthogonal", height=96, width=96)[[0, 1]], supersample=2)
    mesh = fused(front, resolution=64).extract()
    assert is_watertight(mesh)
    assert mesh.bounds[1, 2] == pytest.approx(0.5, abs=0.01)


def test_fusion_can_be_cancelled_at_every_step(ball_views: Views) -> None:
    assert ball_views.depth is not None
    for stop in range(4):

        def progress(stage: str, done: int, total: int, stop: int = stop) -> None:
            if done == stop:
                raise Cancelled

        with pytest.raises(Cancelled):
            fuse_depth(ball_views.cameras, ball_views.depth, ball_views.normal, ball_views.mask, 32, progress)
