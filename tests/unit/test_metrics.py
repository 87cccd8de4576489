"""Metrics against slow loops and known values."""

import math

import numpy as np
import pytest
import torch
import trimesh

from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.image import erode, mask_iou, normal_angle, psnr, see_through
from gtr_core.metrics.shape import compare_meshes, compare_points, sample_surface
from gtr_core.metrics.watertight import is_watertight


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(torch.tensor(shape.vertices, dtype=torch.float32), torch.tensor(shape.faces))


def test_psnr_of_a_known_error() -> None:
    truth = torch.full((2, 4, 4, 3), 0.5)
    image = truth.clone()
    image[0] += 0.1
    image[1, :2] += 0.1
    torch.testing.assert_close(
        psnr(image, truth).float(), torch.tensor([20.0, 20 + 10 * math.log10(2)]), atol=1e-4, rtol=0
    )
    assert psnr(truth, truth).isinf().all()


def test_iou_counts_pixels() -> None:
    a, b = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    a[0, :2], b[0, 1:3] = 1, 1
    torch.testing.assert_close(mask_iou(a, b), torch.tensor([4 / 12, 1.0]))


def test_erosion_against_a_loop() -> None:
    mask = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(0)) > 0.2
    eroded = erode(mask, 1)
    padded = np.pad(mask[0].numpy(), 1)
    for row in range(9):
        for column in range(9):
            assert bool(eroded[0, row, column]) == bool(padded[row : row + 3, column : column + 3].all())


def test_see_through_counts_holes_and_missing_walls() -> None:
    truth = torch.full((1, 14, 14), 3.0)
    depth = truth.clone()
    depth[0, 5, 5] = 0
    depth[0, 6, 6] = 3.1
    depth[0, 7, 7] = 3.02
    depth[0, 8, 8] = 2.5
    depth[0, 0, 0] = 0
    assert float(see_through(depth, truth)[0]) == pytest.approx(2 / 100)


def test_normal_angle_where_both_are_seen() -> None:
    a, b = torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    a[0, 0, :, 2] = 1
    b[0, 0, 0] = torch.tensor([0, math.sin(0.2), math.cos(0.2)])
    b[0, 0, 1, 2] = 1
    assert float(normal_angle(a, b)[0]) == pytest.approx(math.degrees(0.2) / 2, rel=1e-5)


def test_chamfer_and_f_score_against_a_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = torch.rand(60, 3, generator=generator), torch.rand(80, 3, generator=generator)
    distance = torch.cdist(a.double(), b.double()) / 0.9
    there, back = distance.amin(1), distance.amin(0)
    score = compare_points(a, b)
    assert score.chamfer == pytest.approx(float(50 * (there.mean() + back.mean())))
    precision, recall = float((there < 0.05).double().mean()), float((back < 0.05).double().mean())
    assert score.f_score == pytest.approx(200 * precision * recall / (precision + recall))


def test_concentric_balls_lie_their_difference_apart() -> None:
    small, large = (mesh_of(trimesh.creation.icosphere(subdivisions=4, radius=r)) for r in (0.45, 0.54))
    assert compare_meshes(small, large, count=20_000).chamfer == pytest.approx(10, rel=0.02)
    assert compare_meshes(small, large, count=20_000).f_score == 0
    assert compare_meshes(small, small, count=20_000).f_score == 100


def test_samples_cover_the_area_evenly() -> None:
    box = mesh_of(trimesh.creation.box(extents=(2, 1, 1)))
    points = sample_surface(box, 40_000)
    assert points.abs().amax(0).tolist() == pytest.approx([1, 0.5, 0.5], abs=1e-6)
    end_caps = (points[:, 0].abs() > 1 - 1e-6).float().mean()
    assert float(end_caps) == pytest.approx(2 / 10, abs=0.01)
    assert torch.equal(points, sample_surface(box, 40_000))


def test_watertight_means_every_edge_twice_and_opposite() -> None:
    box = mesh_of(trimesh.creation.box())
    assert is_watertight(box)
    assert not is_watertight(Mesh(box.vertices, box.faces[1:]))
    flipped = box.faces.clone()
    flipped[0] = flipped[0].flip(0)
    assert not is_watertight(Mesh(box.vertices, flipped))
