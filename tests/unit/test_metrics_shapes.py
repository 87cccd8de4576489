"""Chamfer distance, F-score and IoU in every convention, against slow loops and shapes of known figures."""

import math

import numpy as np
import pytest
import torch
import trimesh

from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.chamfer import ChamferKind, chamfer, f_score, nearest_distances
from gtr_core.metrics.inside import inside_nodes
from gtr_core.metrics.iou import surface_iou, volume_iou
from gtr_core.metrics.shape import sample_surface
from gtr_core.metrics.watertight import is_closed, is_watertight, rim_length, welded


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(torch.tensor(shape.vertices, dtype=torch.float32), torch.tensor(shape.faces))


def ball(radius: float, subdivisions: int = 4) -> Mesh:
    return mesh_of(trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius))


def box(*extents: float, at: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    mesh = mesh_of(trimesh.creation.box(extents=extents))
    return Mesh(mesh.vertices + torch.tensor(at), mesh.faces)


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    faces = [mesh.faces + int(start) for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(torch.cat([mesh.vertices for mesh in meshes]), torch.cat(faces))


def turned_over(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces.flip(1))


def unwelded(mesh: Mesh) -> Mesh:
    """Every face with corners of its own, as at the seams of a texture."""
    return Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), torch.arange(3 * len(mesh.faces)).view(-1, 3))


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("kind", ["two_sided_sum", "two_sided_mean", "result_to_truth", "truth_to_result"])
def test_chamfer_against_a_loop(kind: ChamferKind, squared: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    a, b = torch.rand(40, 3, generator=generator), torch.rand(70, 3, generator=generator)

    def mean_nearest(points: list[list[float]], others: list[list[float]]) -> float:
        nearest = [min(math.dist(point, other) for other in others) for point in points]
        return sum(distance ** (2 if squared else 1) for distance in nearest) / len(nearest)

    there, back = mean_nearest(a.tolist(), b.tolist()), mean_nearest(b.tolist(), a.tolist())
    expected = {
        "two_sided_sum": there + back,
        "two_sided_mean": (there + back) / 2,
        "result_to_truth": there,
        "truth_to_result": back,
    }[kind]
    assert chamfer(a, b, kind=kind, squared=squared) == pytest.approx(100 * expected, rel=1e-6)
    assert chamfer(nearest_distances(a, b), kind=kind, squared=squared) == chamfer(a, b, kind=kind, squared=squared)


def test_balls_lie_the_difference_of_their_radii_apart() -> None:
    a, b = sample_surface(ball(0.9), 16_000, seed=0), sample_surface(ball(1.0), 16_000, seed=1)
    # The nearest sample lies a little beyond the nearest point: 1 % at this density.
    assert chamfer(a, b, kind="two_sided_mean", squared=False) == pytest.approx(10, rel=0.015)
    assert chamfer(a, b, kind="two_sided_sum", squared=True) == pytest.approx(2, rel=0.03)
    assert f_score(a, b, threshold=0.05) == 0
    assert f_score(a, b, threshold=0.2) == 100


def test_one_sided_distances_tell_what_is_missing_from_what_is_too_much() -> None:
    whole = joined(box(1, 1, 1), box(0.2, 0.2, 0.2, at=(2, 0, 0)))
    part, all_of_it = sample_surface(box(1, 1, 1), 4000), sample_surface(whole, 4000, seed=1)
    missing = chamfer(part, all_of_it, kind="truth_to_result", squared=False)
    assert missing > 3 * chamfer(part, all_of_it, kind="result_to_truth", squared=False)


def test_chamfer_wants_both_sets() -> None:
    with pytest.raises(TypeError, match="truth"):
        chamfer(torch.zeros(3, 3))


def test_surface_iou_against_a_loop() -> None:
    generator = torch.Generator().manual_seed(5)
    a, b = (torch.rand(300, 3, generator=generator) * 2.4 - 1.2 for _ in range(2))

    def voxels(points: list[list[float]]) -> set[tuple[int, ...]]:
        return {tuple(math.floor((value + 1) * 4) for value in point) for point in points}

    touched, wanted = voxels(a.double().tolist()), voxels(b.double().tolist())
    assert surface_iou(a, b, resolution=8) == len(touched & wanted) / len(touched | wanted)


def test_surface_iou_of_one_shape_is_near_one_and_of_shapes_apart_is_zero() -> None:
    a, b = sample_surface(ball(0.9), 16_000, seed=0), sample_surface(ball(0.9), 16_000, seed=1)
    assert surface_iou(a, b, resolution=16) > 0.9
    assert surface_iou(a, b + 3, resolution=16) == 0
    assert surface_iou(a, a, resolution=128) == 1


def test_volume_iou_of_boxes_and_balls() -> None:
    assert volume_iou(box(1, 1, 1), box(2, 2, 2), resolution=64) == 1 / 8
    assert volume_iou(box(1, 1, 1), box(1, 1, 1, at=(0.5, 0, 0)), resolution=64) == pytest.approx(1 / 3)
    assert volume_iou(box(1, 1, 1), box(1, 1, 1, at=(1.5, 0, 0)), resolution=32) == 0
    small, large = ball(0.72), ball(0.9)
    assert volume_iou(small, large, resolution=96) == pytest.approx(0.8**3, rel=0.01)
    assert volume_iou(large, small, resolution=96) == volume_iou(small, large, resolution=96)
    assert volume_iou(large, large, resolution=64) == 1


def test_seams_overlaps_and_hollows_have_the_inside_that_they_should() -> None:
    whole = box(1, 1, 1)
    assert volume_iou(unwelded(whole), whole, resolution=32) == 1
    halves = joined(box(0.6, 1, 1, at=(-0.2, 0, 0)), box(0.6, 1, 1, at=(0.2, 0, 0)))
    assert volume_iou(halves, whole, resolution=32) == 1
    assert volume_iou(turned_over(whole), whole, resolution=32) == 1
    hollow = joined(whole, turned_over(box(0.5, 0.5, 0.5)))
    assert volume_iou(hollow, whole, resolution=64) == 1 - 1 / 8


def test_parts_of_the_result_outside_the_unit_cube_count() -> None:
    assert volume_iou(box(3, 1, 1), box(1, 1, 1), resolution=32) == pytest.approx(1 / 3)


def test_an_open_mesh_has_no_volume_iou_but_a_reason() -> None:
    whole = box(1, 1, 1)
    open_box = Mesh(whole.vertices, whole.faces[1:])
    assert volume_iou(open_box, whole, resolution=16) == "The result is not watertight, so it has no inside."
    assert volume_iou(whole, open_box, resolution=16) == "The true mesh is not watertight, so it has no inside."
    sheet = joined(Mesh(whole.vertices, whole.faces[:1]), turned_over(Mesh(whole.vertices, whole.faces[:1])))
    assert volume_iou(whole, sheet, resolution=16) == "The true mesh is closed but encloses no volume."
    assert volume_iou(Mesh(whole.vertices, whole.faces[:0]), whole, resolution=16) == (
        "The result is not watertight, so it has no inside."
    )


def test_closed_forgives_seams_and_pinholes_only() -> None:
    fine = ball(0.9, 3)
    assert is_closed(fine)
    assert rim_length(fine) == 0
    assert is_closed(unwelded(fine))
    assert not is_watertight(unwelded(fine))
    edge = float((fine.vertices[fine.faces[0, 0]] - fine.vertices[fine.faces[0, 1]]).norm())
    missing = Mesh(fine.vertices, fine.faces[1:])
    assert rim_length(missing) == pytest.approx(3 * edge, rel=0.2)
    assert not is_closed(missing)
    pricked = with_small_face(ball(0.9))
    assert is_closed(Mesh(pricked.vertices, pricked.faces[1:]))
    assert not is_closed(Mesh(pricked.vertices, pricked.faces[3:]))
    twice = torch.cat([fine.faces, fine.faces[:1]])
    assert not is_closed(Mesh(fine.vertices, twice))


def with_small_face(mesh: Mesh) -> Mesh:
    """The same surface, with a face a twentieth of the others' size in the middle of the first one, put first."""
    corners = mesh.vertices[mesh.faces[0]]
    inner = corners.mean(0) + (corners - corners.mean(0)) / 20
    (a, b, c), n = mesh.faces[0].tolist(), len(mesh.vertices)
    d, e, f = n, n + 1, n + 2
    ring = [[d, e, f], [a, b, d], [b, e, d], [b, c, e], [c, f, e], [c, a, f], [a, d, f]]
    return Mesh(torch.cat([mesh.vertices, inner]), torch.cat([torch.tensor(ring), mesh.faces[1:]]))


def test_a_pinhole_changes_no_volume_that_the_grid_sees() -> None:
    whole = with_small_face(ball(0.9))
    assert rim_length(whole) == 0
    flipped = whole.faces.clone()
    flipped[0] = flipped[0].flip(0)
    for broken in (flipped, whole.faces[1:]):
        share = volume_iou(Mesh(whole.vertices, broken), whole, resolution=64)
        assert isinstance(share, float)
        assert share > 0.999


def test_welding_joins_places_and_drops_faces_without_area() -> None:
    mesh = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]]), torch.tensor([[0, 1, 2], [0, 1, 3]]))
    shape = welded(mesh)
    assert len(shape.vertices) == 3
    assert len(shape.faces) == 1


def winding_by_angles(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Sum of the solid angles of all faces over 4 pi: another way to the same number."""
    corners = mesh.vertices.double().numpy()[mesh.faces.numpy()]
    a, b, c = (corners[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(side, axis=-1) for side in (a, b, c))
    volume = (a * np.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return (2 * np.arctan2(volume, below)).sum(1) / (4 * math.pi)


@pytest.mark.parametrize("seed", range(3))
def test_inside_against_solid_angles(seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = []
    for k in range(4):
        shape = (
            trimesh.creation.torus(0.5, 0.2, major_sections=12, minor_sections=8),
            trimesh.creation.cone(0.4, 0.9, sections=9),
            trimesh.creation.box((0.7, 0.7, 0.7)),
        )[k % 3]
        shape.apply_transform(trimesh.transformations.random_rotation_matrix(random.random(3)))
        shape.apply_translation(random.uniform(-0.3, 0.3, 3))
        parts.append(mesh_of(shape))
    mesh = joined(*parts)
    axes = [np.linspace(-1, 1, 13 + k) + 0.001 * k for k in range(3)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    winding = winding_by_angles(mesh, nodes.reshape(-1, 3)).reshape(nodes.shape[:3])
    assert np.abs(winding - winding.round()).max() < 1e-6
    assert (inside_nodes(mesh, axes) == (winding.round() != 0)).all()


def test_lines_through_vertices_and_along_faces_do_not_slip_through() -> None:
    # Every coordinate of the boxes and of the subdivided faces is a coordinate of the grid.
    shape = trimesh.creation.box((1, 1, 1)).subdivide().subdivide()
    axes = [np.linspace(-1, 1, 17)] * 3
    inside = inside_nodes(mesh_of(shape), axes)
    strictly = np.abs(np.stack(np.meshgrid(*axes, indexing="ij"))).max(0)
    assert inside[strictly < 0.5 - 1e-9].all()
    assert not inside[strictly > 0.5 + 1e-9].any()
