"""Marching cubes: closed surfaces of the right shape, with gradients."""

import math
from pathlib import Path

import pytest
import torch
import trimesh

import gtr_core.geometry.marching_cubes_table as table
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.case_table import EDGE_CORNERS, build_case_table, format_case_table
from gtr_core.geometry.marching_cubes import marching_cubes


def grid(resolution):
    line = torch.linspace(-1, 1, resolution)
    return torch.meshgrid(line, line, line, indexing="ij")


def closed(vertices, faces):
    mesh = trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    return mesh


def sphere(resolution, radius=0.7):
    x, y, z = grid(resolution)
    return (x * x + y * y + z * z).sqrt() - radius


def test_sphere():
    mesh = closed(*marching_cubes(sphere(64)))
    assert mesh.euler_number == 2
    assert mesh.volume == pytest.approx(4 / 3 * math.pi * 0.7**3, rel=0.01)
    assert mesh.bounds.round(2).tolist() == [[-0.7] * 3, [0.7] * 3]


def test_torus():
    x, y, z = grid(64)
    mesh = closed(*marching_cubes((((x * x + y * y).sqrt() - 0.6).square() + z * z).sqrt() - 0.25))
    assert mesh.euler_number == 0
    assert mesh.volume == pytest.approx(2 * math.pi**2 * 0.6 * 0.25**2, rel=0.01)


def test_axes_are_not_swapped():
    x, y, z = grid(48)
    mesh = closed(*marching_cubes(((x - 0.3) / 0.5).square() + (y / 0.3).square() + ((z + 0.4) / 0.2).square() - 1))
    assert mesh.bounds.tolist() == [
        pytest.approx([-0.2, -0.3, -0.6], abs=0.02),
        pytest.approx([0.8, 0.3, -0.2], abs=0.02),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_noise_is_closed(seed):
    noise = torch.randn(16, 16, 16, generator=torch.Generator().manual_seed(seed))
    assert closed(*marching_cubes(noise, level=0.3 * seed - 1)).volume > 0


def test_surface_is_capped_one_cell_outside_the_box():
    vertices, faces = marching_cubes(torch.full((8, 8, 8), -1.0))
    mesh = closed(vertices, faces)
    assert mesh.euler_number == 2
    assert vertices.abs().max() == pytest.approx(1 + 1 / 7)  # half way to the added layer: -1 against +1


def test_smallest_object_and_level():
    values = torch.full((3, 3, 3), 5.0)
    values[1, 1, 1] = 1.0
    vertices, faces = marching_cubes(values, level=2.0)
    assert len(faces) == 8
    assert torch.allclose(vertices.norm(dim=1), torch.tensor(0.25))


def test_a_node_on_the_level_is_outside():
    values = torch.ones(3, 3, 3)
    values[1, 1, 1] = 0.0
    with pytest.raises(GtrError):
        marching_cubes(values, level=0.0)


def test_nothing_inside_is_an_error():
    with pytest.raises(GtrError) as caught:
        marching_cubes(torch.ones(8, 8, 8))
    assert caught.value.code is ErrorCode.EMPTY_RECONSTRUCTION
    assert caught.value.hint


def test_not_a_cube_is_refused():
    with pytest.raises(ValueError, match="cube"):
        marching_cubes(torch.zeros(4, 5, 4))


def test_gradient_matches_finite_differences():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 3, 3, generator=generator, dtype=torch.double)
    values += 0.1 * values.sign()  # no node so close to the level that a probe changes the topology
    weight = torch.randn(marching_cubes(values)[0].shape, generator=generator, dtype=torch.double)

    def value(values):
        return (marching_cubes(values)[0] * weight).sum()

    assert torch.autograd.gradcheck(value, (values.requires_grad_(),), eps=1e-6, atol=1e-6)


def test_every_crossed_edge_is_used_and_no_other():
    for case, text in enumerate(build_case_table()):
        crossed = {e for e, (a, b) in enumerate(EDGE_CORNERS) if (case >> a & 1) != (case >> b & 1)}
        assert {int(digit, 16) for digit in text} == crossed
        assert len(text) % 3 == 0


def test_the_stored_table_is_the_derived_one():
    assert build_case_table() == table.CASES
    assert Path(table.__file__).read_text(encoding="utf-8") == format_case_table()
