"""Alignment: known similarities are found again, mirror images are not, and nothing gets worse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from gtr_core.evaluation.alignment import Alignment, align, right_angle_turns, transformed
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.registration import PointPair, register
from gtr_core.evaluation.shape_figures import shape_figures
from gtr_core.geometry.mesh import Mesh

FAST = Protocol(surface_samples=1500)
PLACED = replace(FAST, alignment="none")


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(torch.tensor(shape.vertices, dtype=torch.float32), torch.tensor(shape.faces))


def lopsided() -> Mesh:
    """An L with a knob: no rotation and no reflection takes it to itself."""
    parts = [
        trimesh.creation.box((1.8, 0.4, 0.4)),
        trimesh.creation.box((0.4, 1.1, 0.4)),
        trimesh.creation.box((0.3, 0.3, 0.6)),
    ]
    for part, place in zip(parts, [(0, -0.5, 0), (-0.7, 0.2, 0), (0.5, -0.2, 0.4)], strict=True):
        part.apply_translation(place)
    mesh = mesh_of(trimesh.util.concatenate(parts))
    low, high = mesh.bounds
    return replace(mesh, vertices=(mesh.vertices - (low + high) / 2) * (1.8 / (high - low).max()))


def similarity(seed: int, *, degrees: float, axes: bool) -> np.ndarray:
    random = np.random.default_rng(seed)
    matrix = trimesh.transformations.rotation_matrix(np.radians(degrees), random.normal(size=3))
    if axes:
        matrix[:3, :3] = matrix[:3, :3] @ right_angle_turns()[random.integers(1, 24)]
    matrix[:3, :3] *= random.uniform(0.2, 5)
    matrix[:3, 3] = random.uniform(-3, 3, 3)
    return matrix


def floor(mesh: Mesh) -> float:
    """Distance of two samplings of one surface."""
    return align(mesh, mesh, PLACED).rms


def errors(found: Alignment, applied: np.ndarray) -> tuple[float, float, float]:
    """Degrees, relative scale and distance by which the alignment misses the inverse."""
    left = np.asarray(found.matrix) @ applied
    scale = np.cbrt(np.linalg.det(left[:3, :3]))
    cosine = (np.trace(left[:3, :3]) / scale - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))), abs(scale - 1), float(np.abs(left[:3, 3]).max())


@pytest.mark.parametrize("seed", range(3))
def test_a_similarity_with_turned_axes_is_found_again(seed: int) -> None:
    truth, applied = lopsided(), similarity(seed, degrees=10, axes=True)
    found = align(transformed(truth, torch.from_numpy(applied)), truth, FAST, axes=True)
    degrees, scale, distance = errors(found, applied)
    assert degrees < 1
    assert scale < 0.005
    assert distance < 0.01
    assert found.rms < 1.03 * floor(truth)
    assert "24 turns" in found.method


def test_a_small_turn_is_found_without_trying_axes() -> None:
    truth, applied = lopsided(), similarity(7, degrees=12, axes=False)
    found = align(transformed(truth, torch.from_numpy(applied)), truth, FAST)
    assert errors(found, applied)[0] < 1
    assert found.rms < 1.03 * floor(truth)


def test_bounds_recentre_and_rescale_and_turn_right_angles_only() -> None:
    truth = lopsided()
    turn = np.eye(4)
    turn[:3, :3] = 3 * right_angle_turns()[13]
    turn[:3, 3] = (1, 2, 3)
    moved = transformed(truth, torch.from_numpy(turn))
    found = align(moved, truth, replace(FAST, alignment="bounds"), axes=True)
    assert errors(found, turn) == pytest.approx((0, 0, 0), abs=1e-4)
    there = np.eye(4)
    there[:3] = 0.25 * there[:3]
    there[:3, 3] = (5, 0, 0)
    unturned = align(transformed(truth, torch.from_numpy(there)), truth, replace(FAST, alignment="bounds"))
    assert errors(unturned, there) == pytest.approx((0, 0, 0), abs=1e-4)


def test_none_moves_nothing() -> None:
    truth = lopsided()
    moved = replace(truth, vertices=truth.vertices + 0.5)
    found = align(moved, truth, PLACED)
    assert torch.equal(found.matrix, torch.eye(4, dtype=torch.float64))
    assert found.rms > 0.2


def test_a_mirror_image_is_not_mirrored_back() -> None:
    truth = lopsided()
    mirrored = Mesh(truth.vertices * torch.tensor([1.0, 1.0, -1.0]), truth.faces.flip(1))
    found = align(mirrored, truth, FAST, axes=True)
    assert torch.linalg.det(found.matrix[:3, :3]) > 0
    rotation = found.matrix[:3, :3] / torch.linalg.det(found.matrix[:3, :3]) ** (1 / 3)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)
    assert found.rms > 1.5 * floor(truth)


@pytest.mark.parametrize("shape", ["ball", "cube", "disc", "sheet"])
@pytest.mark.parametrize("axes", [False, True])
def test_symmetric_shapes_reach_the_floor_whatever_their_turn(shape: str, axes: bool) -> None:
    solid = {
        "ball": trimesh.creation.icosphere(3, radius=0.9),
        "cube": trimesh.creation.box((1.8, 1.8, 1.8)),
        "disc": trimesh.creation.cylinder(0.9, 0.2),
        "sheet": trimesh.Trimesh(
            [[-0.9, -0.9, 0], [0.9, -0.9, 0], [0.9, 0.9, 0], [-0.9, 0.9, 0]], [[0, 1, 2], [0, 2, 3]]
        ),
    }[shape]
    truth = mesh_of(solid)
    applied = similarity(3, degrees=5, axes=False)
    found = align(transformed(truth, torch.from_numpy(applied)), truth, FAST, axes=axes)
    assert found.rms < 1.1 * floor(truth)


@pytest.mark.parametrize("icp_scale", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_registration_never_ends_farther_than_it_began(seed: int, icp_scale: bool) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(300, 3)), random.normal(size=(200, 3)) * (2, 1, 0.3) + (1, 0, 0)
    pair = PointPair.of(a, b)
    for start in (np.eye(4), similarity(seed, degrees=70, axes=True)):
        found = register(pair, start, rounds=30, scale=icp_scale)
        assert pair.rms(found) <= pair.rms(start)
        grown = np.cbrt(np.linalg.det(found[:3, :3])) / np.cbrt(np.linalg.det(start[:3, :3]))
        assert icp_scale or grown == pytest.approx(1)


def test_what_is_right_already_stays() -> None:
    truth = lopsided()
    speck = torch.tensor([[0.0, 1.6, 0.0], [0.02, 1.6, 0.0], [0.0, 1.6, 0.02]])
    faces = torch.cat([truth.faces, torch.tensor([[0, 1, 2]]) + len(truth.vertices)])
    result = Mesh(torch.cat([truth.vertices, speck]), faces)
    icp, placed = align(result, truth, FAST), align(result, truth, PLACED)
    boxed = align(result, truth, replace(FAST, alignment="bounds"))
    # The speck changes the box, so that box on box is worse than what was there.
    assert boxed.rms > 2 * placed.rms
    assert icp.rms <= placed.rms
    assert errors(icp, np.eye(4))[0] < 1


def test_a_result_in_one_point_is_no_crash() -> None:
    dot = Mesh(torch.full((3, 3), 0.3), torch.tensor([[0, 1, 2]]))
    found = align(dot, lopsided(), FAST, axes=True)
    assert np.isfinite(found.rms)
    assert torch.isfinite(found.matrix).all()


def test_the_same_every_time() -> None:
    truth = lopsided()
    moved = transformed(truth, torch.from_numpy(similarity(1, degrees=8, axes=True)))
    first, second = (align(moved, truth, FAST, axes=True) for _ in range(2))
    assert torch.equal(first.matrix, second.matrix)
    assert first == replace(second, matrix=first.matrix)


def test_turns_are_the_24_rotations_of_the_cube() -> None:
    turns = right_angle_turns()
    assert len({turn.tobytes() for turn in (np.round(turn) + 0.0 for turn in turns)}) == 24
    assert all(np.linalg.det(turn) == pytest.approx(1) for turn in turns)
    assert (turns[0] == np.eye(3)).all()


def test_transformed_keeps_colors_and_texture() -> None:
    mesh = replace(lopsided(), colors=torch.rand(24, 3))
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] *= 2
    matrix[0, 3] = 1
    moved = transformed(mesh, matrix)
    assert moved.colors is mesh.colors
    assert moved.vertices.dtype == torch.float32
    torch.testing.assert_close(moved.vertices, mesh.vertices * 2 + torch.tensor([1.0, 0, 0]))


def test_figures_are_taken_in_the_unit_cube_after_the_alignment() -> None:
    truth = mesh_of(trimesh.creation.icosphere(4, radius=0.9))
    smaller = transformed(truth, torch.diag(torch.tensor([0.8, 0.8, 0.8, 1], dtype=torch.float64)))
    protocol = Protocol(alignment="none", chamfer="two_sided_mean", chamfer_squared=False)
    figures = shape_figures(smaller, truth, align(smaller, truth, protocol), protocol)
    # Radii 1 and 0.8 after the division by 0.9.
    assert figures.chamfer == pytest.approx(20, rel=0.01)
    assert figures.iou == pytest.approx(0.512, abs=0.01)
    assert figures.f_score == 0
    aligned = shape_figures(smaller, truth, align(smaller, truth, Protocol()), Protocol())
    assert isinstance(aligned.iou, float)
    assert aligned.iou > 0.98
    assert aligned.chamfer < 0.2
    touched = replace(Protocol(), iou="surface")
    surface = shape_figures(truth, truth, align(truth, truth, touched), touched)
    assert isinstance(surface.iou, float)
    assert 0.7 < surface.iou < 1
    opened = Mesh(smaller.vertices, smaller.faces[100:])
    assert shape_figures(opened, truth, align(opened, truth, Protocol()), Protocol()).iou == (
        "The result is not watertight, so it has no inside."
    )


def painted_box() -> Mesh:
    """A box that many turns take to itself, with another colour on every side."""
    shape = trimesh.creation.box((1.8, 1.8, 1.8))
    corners = torch.tensor(shape.vertices, dtype=torch.float32)[torch.tensor(shape.faces)]
    sides = torch.tensor(np.array(shape.face_normals) * 0.4 + 0.5, dtype=torch.float32)
    faces = torch.arange(36).view(12, 3)
    return Mesh(corners.reshape(-1, 3), faces, colors=sides.repeat_interleave(3, 0).round(decimals=3))


@pytest.mark.parametrize("alignment", ["icp", "bounds"])
@pytest.mark.parametrize("turn", [1, 10, 23])
def test_colors_tell_the_turns_of_a_symmetric_shape_apart(alignment: str, turn: int) -> None:
    truth = painted_box()
    applied = np.eye(4)
    applied[:3, :3] = 2 * right_angle_turns()[turn]
    moved = transformed(truth, torch.from_numpy(applied))
    found = align(moved, truth, replace(FAST, alignment=alignment), axes=True)
    assert errors(found, applied)[0] < 1
    assert "colour" in found.method
    bare = align(Mesh(moved.vertices, moved.faces), truth, replace(FAST, alignment=alignment), axes=True)
    assert bare.rms < 1.05 * floor(truth)
    assert "colour" not in bare.method


def test_colors_of_a_texture_count_as_well() -> None:
    truth = painted_box()
    assert truth.colors is not None
    # One texel per side, met in its middle.
    sides = truth.colors.unique(dim=0)
    which = (truth.colors[:, None] == sides).all(-1).long().argmax(1)
    uv = torch.stack([(which + 0.5) / len(sides), torch.full((36,), 0.5)], dim=1)
    textured = Mesh(truth.vertices, truth.faces, uv=uv, texture=sides[None])
    applied = np.eye(4)
    applied[:3, :3] = right_angle_turns()[17]
    found = align(transformed(textured, torch.from_numpy(applied)), truth, FAST, axes=True)
    assert errors(found, applied)[0] < 1


def test_shape_goes_before_color() -> None:
    truth = lopsided()
    colored = replace(truth, colors=(truth.vertices[:, :1] > 0).float().expand(-1, 3))
    half_turn = np.diag([-1.0, 1.0, -1.0, 1.0])
    # Colours of a turned object on the shape of an upright one.
    result = replace(truth, colors=(truth.vertices[:, :1] < 0).float().expand(-1, 3))
    found = align(transformed(result, torch.from_numpy(half_turn)), colored, FAST, axes=True)
    assert errors(found, half_turn)[0] < 1
