"""Procedural objects are what they say: lower bounds of the distance, exact surfaces, true normals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from procedural_parts import PARTS, all_tables, table_of
from scipy.spatial import cKDTree
from torch import Tensor

from gtr_core.data.procedural import ProceduralObjects, Scene, Scenes, sample_surface, shapes
from gtr_core.data.procedural.layout import Fold, Kind, Pattern, Profile, Record, Wave
from gtr_core.data.procedural.tracers import choose_tracer

TABLES = dict(all_tables())


def scene_of(table: Record) -> Scene:
    return Scene(table, choose_tracer("cpu"))


def random_scenes(count: int) -> list[Scene]:
    objects = ProceduralObjects(5)
    return [objects.scene(index) for index in range(count)]


def points_in_box(count: int, half: float = 1.1, seed: int = 0) -> Tensor:
    return (torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * half


def surface_points(scene: Scene, count: int = 3000, seed: int = 0) -> Tensor:
    """Hits of random rays from outside."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1) * 3
    targets = (torch.rand(count, 3, generator=generator) * 2 - 1) * 0.9
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    hits = scene.trace(origins, directions, colors=False)
    return (origins + directions * hits.distance[0][:, None])[hits.mask[0]]


def test_the_parts_under_test_are_all_there_are() -> None:
    assert {part.kind for part in PARTS.values()} == set(Kind) - {Kind.NONE}
    assert {part.profile for part in PARTS.values() if part.kind == Kind.EXTRUSION} == set(Profile)
    assert {part.fold for part in PARTS.values()} == set(Fold)
    assert {part.wave for part in PARTS.values()} == set(Wave)


def test_exact_distances() -> None:
    points = points_in_box(2000)
    ball = scene_of(table_of(shapes.ball((0.5, 0.5, 0.5))))
    torch.testing.assert_close(ball.sdf(points), points.norm(dim=-1) - 0.5, atol=2e-5, rtol=0)
    box = scene_of(table_of(shapes.box((0.5, 0.7, 0.3))))
    excess = points.abs() - torch.tensor([0.5, 0.7, 0.3])
    expected = excess.clamp(min=0).norm(dim=-1) + excess.amax(-1).clamp(max=0)
    outside = expected > 0
    torch.testing.assert_close(box.sdf(points)[outside], expected[outside], atol=2e-5, rtol=0)
    ring = scene_of(table_of(shapes.arch(0.5, 0.1, closed=True)))
    expected = torch.hypot(torch.hypot(points[:, 0], points[:, 1]) - 0.5, points[:, 2]) - 0.1
    torch.testing.assert_close(ring.sdf(points), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", TABLES)
def test_no_function_grows_faster_than_the_distance(name: str) -> None:
    """1-Lipschitz, and zero at the surface: so never more than the true distance."""
    scene = scene_of(TABLES[name])
    points = points_in_box(20_000)
    for reach in (1e-2, 0.1, 1.0):
        others = points + points_in_box(len(points), reach, seed=1)
        slope = (scene.sdf(points) - scene.sdf(others)).abs() / (points - others).norm(dim=-1).clamp(min=1e-3)
        assert slope.max() < 1 + 1e-3


def test_no_random_object_grows_faster_than_the_distance() -> None:
    for index, scene in enumerate(random_scenes(60)):
        points = points_in_box(8000, seed=index)
        others = points + points_in_box(len(points), 0.05, seed=index + 1000)
        slope = (scene.sdf(points) - scene.sdf(others)).abs() / (points - others).norm(dim=-1).clamp(min=1e-3)
        assert slope.max() < 1 + 2e-3, f"object {index}"


@pytest.mark.parametrize("name", TABLES)
def test_sphere_tracing_finds_what_a_fine_march_finds(name: str) -> None:
    scene = scene_of(TABLES[name])
    generator = torch.Generator().manual_seed(2)
    origins = torch.nn.functional.normalize(torch.randn(120, 3, generator=generator), dim=-1) * 2.5
    targets = points_in_box(120, 0.5, seed=3)
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    traced = scene.trace(origins, directions, colors=False)
    t = torch.arange(1.0, 4.0, 5e-4)
    values = scene.sdf((origins[:, None] + directions[:, None] * t[:, None]).reshape(-1, 3)).view(len(origins), -1)
    inside = values < 0
    first = torch.where(inside.any(-1), t[inside.int().argmax(-1)], torch.zeros(()))
    # The march sees no sliver thinner than its step; sphere tracing stops at what is nearer than its tolerance.
    assert (traced.mask[0] | ~inside.any(-1)).all()
    both = traced.mask[0] & inside.any(-1)
    grazing = values.abs().gather(-1, ((traced.distance[0] - 1.0) / 5e-4).long().clamp(0, len(t) - 1)[:, None]) < 1e-3
    assert (both | ~traced.mask[0] | grazing[:, 0]).all()
    assert both.sum() > 20
    assert ((traced.distance[0] - first)[both].abs() < 1.5e-3).float().mean() > 0.95  # the others graze an edge
    assert ((traced.distance[0] - first)[both] < 1e-3).all()


def test_hits_lie_on_the_surface_and_normals_are_gradients() -> None:
    for scene in random_scenes(20):
        points = surface_points(scene, 1500)
        assert scene.sdf(points).abs().max() < 8e-4
        normals = scene.normal(points)
        torch.testing.assert_close(normals.norm(dim=-1), torch.ones(len(points)))
        offsets = 2e-3 * torch.eye(3)
        gradient = torch.stack([scene.sdf(points + step) - scene.sdf(points - step) for step in offsets], dim=-1)
        cosine = torch.nn.functional.cosine_similarity(gradient, normals)
        assert (cosine > 0.99).float().mean() > 0.85  # edges have no gradient
        assert (scene.sdf(points + 0.01 * normals) > 0).float().mean() > 0.97
        assert (scene.sdf(points - 0.004 * normals) < 0).float().mean() > 0.97


def test_distance_is_that_of_the_nearest_surface_point() -> None:
    for scene in random_scenes(12):
        cloud = surface_points(scene, 60_000)
        points = surface_points(scene, 400, seed=9)
        points = points + points_in_box(len(points), 0.04, seed=4)
        true = torch.from_numpy(cKDTree(cloud.numpy()).query(points.numpy())[0]).float()
        outside = scene.sdf(points) > 0
        assert (scene.sdf(points)[outside] < true[outside] + 1e-3).all()
        error = (scene.distance(points) - true)[outside].abs()
        assert error.median() < 4e-3
        assert error.median() <= (scene.sdf(points) - true)[outside].abs().median() + 1e-4


def test_a_reflection_repeats_a_part_exactly() -> None:
    scene = scene_of(table_of(PARTS["radial"]))
    points = points_in_box(3000)
    angle = 2 * math.pi / PARTS["radial"].fold_count
    turn = torch.tensor([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    torch.testing.assert_close(scene.sdf(points), scene.sdf(points @ turn.T), atol=1e-5, rtol=0)


def test_shell_and_cup_are_hollow_and_open() -> None:
    shell = scene_of(TABLES["opened shell"])
    assert float(shell.sdf(torch.zeros(1, 3))) > 0.1
    assert float(shell.sdf(torch.tensor([[-0.58, 0.0, 0.0]]))) < 0
    vase = scene_of(table_of(PARTS["vase"]))
    down = vase.trace(torch.tensor([[0.0, 2, 0]]), torch.tensor([[0.0, -1, 0]]))
    assert 2 - float(down.distance[0, 0]) == pytest.approx(-0.7 + 0.06, abs=0.03)


def test_blends_join_and_hard_unions_do_not_bulge() -> None:
    ball = shapes.ball((0.4, 0.4, 0.4))
    pair = (ball.moved(-0.3, 0, 0), replace(ball.moved(0.3, 0, 0), blend=0.2))
    crease = torch.tensor([[0.0, math.sqrt(0.4**2 - 0.3**2) + 0.02, 0.0]])
    assert float(scene_of(table_of(*pair)).sdf(crease)) < 0
    assert float(scene_of(table_of(pair[0], replace(pair[1], blend=0.0))).sdf(crease)) > 0


def test_colors_belong_to_the_part_that_is_seen() -> None:
    table = table_of(shapes.ball((0.3, 0.3, 0.3)).moved(-0.5, 0, 0), shapes.ball((0.3, 0.3, 0.3)).moved(0.5, 0, 0))
    table["parts"][0, 1]["layers"][0]["color_a"] = 0.0, 1.0, 0.0
    colors = scene_of(table).color(torch.tensor([[-0.8, 0.0, 0.0], [0.8, 0.0, 0.0]]))
    torch.testing.assert_close(colors, torch.tensor([[0.9, 0.2, 0.1], [0.0, 1.0, 0.0]]))


def test_checks_are_checks() -> None:
    table = table_of(shapes.box((0.5, 0.5, 0.5)), pattern=Pattern.CHECKS)
    layer = table["parts"][0, 0]["layers"][0]
    layer["frequency"], layer["turn"], layer["shift"] = 4.0, (1.0, 0.0), (0.0, 0.0, 0.0)
    points = torch.tensor([[x, y, 0.5] for x in (-0.4, -0.1, 0.1, 0.4) for y in (-0.4, 0.1)])
    dark = (torch.floor(points[:, 0] * 4) + torch.floor(points[:, 1] * 4)) % 2 == 1
    expected = torch.where(dark[:, None], torch.tensor([0.1, 0.3, 0.8]), torch.tensor([0.9, 0.2, 0.1]))
    torch.testing.assert_close(scene_of(table).color(points), expected)


def test_batches_of_scenes() -> None:
    scenes = random_scenes(3)
    batch = Scenes.join(scenes)
    points = points_in_box(3 * 50).view(3, 50, 3)
    assert len(batch) == 3
    for index, scene in enumerate(scenes):
        assert torch.equal(batch.sdf(points)[index], scene.sdf(points[index]))
        assert torch.equal(batch.distance(points)[index], scene.distance(points[index]))
        assert np.array_equal(batch[index].tables, scene.tables)


def test_surface_samples_lie_on_the_surface_all_around() -> None:
    scenes = Scenes.join([scene_of(table_of(shapes.ball((0.8, 0.8, 0.8)))), *random_scenes(5)])
    samples = sample_surface(scenes, 2000, torch.Generator().manual_seed(3))
    assert samples.points.shape == samples.normals.shape == samples.colors.shape == (6, 2000, 3)
    assert scenes.sdf(samples.points).abs().max() < 8e-4
    torch.testing.assert_close(samples.normals[0], samples.points[0] / 0.8, atol=3e-3, rtol=0)
    assert samples.points[0].mean(0).abs().max() < 0.05
    torch.testing.assert_close(samples.colors, scenes.color(samples.points))
    again = sample_surface(scenes, 2000, torch.Generator().manual_seed(3))
    assert torch.equal(again.points, samples.points)
    table = table_of(shapes.ball((0.1, 0.1, 0.1)), cutters=(shapes.ball((0.5, 0.5, 0.5)),))
    nothing = Scenes(table, choose_tracer("cpu"))
    with pytest.raises(RuntimeError, match="any ray"):
        sample_surface(nothing, 5, torch.Generator())
