"""What a report shows: drawn once per shape, coloured once per variant, and light enough for a page."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluation_systems import SMALL, Shrunk, evaluation
from fake_lpips import write_fake_weights
from PIL import Image
from texture_scene import make_field, painted_ball

from gtr_core.evaluation.drawing import Drawing, facing
from gtr_core.evaluation.light_mesh import FACES, LightMesh
from gtr_core.evaluation.lpips_choice import parse_lpips
from gtr_core.evaluation.pair import PairTask, run_pair
from gtr_core.evaluation.pictures import TILE, error_colors
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.mesh_files import read_mesh

CAMERAS = orbit([10, 130, 250], [-30, 0, 30], height=40, width=30)


def test_a_drawing_is_what_render_mesh_draws() -> None:
    mesh, _ = painted_ball()
    textured = Mesh(mesh.vertices, mesh.faces, uv=mesh.vertices[:, :2], texture=torch.rand(8, 8, 3))
    field = make_field()
    drawing = Drawing(mesh, CAMERAS, supersample=3, background=0.7)
    for shape, asked in ((mesh, None), (textured, None), (Mesh(mesh.vertices, mesh.faces), None), (mesh, field)):
        with torch.no_grad():
            wanted = render_mesh(shape, CAMERAS, field=asked, supersample=3, background=0.7).rgb
        assert torch.allclose(drawing.colors(shape, asked), wanted, atol=1e-5)
    centre = render_mesh(mesh, CAMERAS)
    assert torch.equal(drawing.centre.depth, centre.depth)
    assert torch.equal(drawing.centre.mask, centre.mask)


def test_normals_face_the_camera_on_both_sides_of_a_sheet() -> None:
    sheet = Mesh(torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]), torch.tensor([[0, 1, 2], [0, 2, 3]]))
    cameras = orbit([0, 180, 20], [0, 0, 0], height=24, width=24)
    normals = facing(render_mesh(sheet, cameras), cameras)
    seen = [set(view[view.abs().amax(-1) > 0][:, 2].tolist()) for view in normals]
    assert seen == [{1.0}, {-1.0}, {1.0}]


def test_errors_are_black_without_and_brightest_from_a_quarter_on() -> None:
    truth = torch.full((1, 1, 3, 3), 0.5)
    colors = error_colors(truth + torch.tensor([0.0, 0.125, 0.5])[:, None], truth)[0, 0]
    assert colors[0].tolist() == [0, 0, 0]
    assert colors[0].sum() < colors[1].sum() < colors[2].sum()
    assert colors[2].tolist() == pytest.approx([1, 1, 0.75])


def light_mesh(mesh: Mesh, path: Path) -> Mesh:
    path.write_bytes(LightMesh(mesh).glb(mesh, None))
    return read_mesh(path)


def test_a_heavy_mesh_becomes_light_and_keeps_its_colours(tmp_path: Path) -> None:
    mesh, _ = painted_ball(nodes=80)
    assert len(mesh.faces) > 2 * FACES
    light = light_mesh(mesh, tmp_path / "light.glb")
    assert 0.9 * FACES < len(light.faces) <= FACES
    wanted = (light.vertices * 7).sin() / 2 + 0.5
    assert (light.colors - wanted).abs().mean() < 0.05


def test_a_texture_shows_between_the_vertices_of_a_light_mesh(tmp_path: Path) -> None:
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    uv = (corners[:, :2] + 1) / 2
    texture = torch.zeros(64, 64, 3)
    texture[16:48, 16:48] = 1  # nothing of it at the corners
    sheet = Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), uv=uv, texture=texture)
    light = light_mesh(sheet, tmp_path / "light.glb")
    assert FACES / 4 < len(light.faces) <= FACES
    white = light.colors[:, 0] > 0.5
    assert white.float().mean() == pytest.approx(0.25, abs=0.05)
    assert light.vertices[white].abs().max() < 0.6


def test_lpips_is_a_figure_with_weights_alone(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [], "a", replace(SMALL, novel_size=64))
    system = Shrunk(variants=("",))
    task = PairTask(plan.objects[0], system, system.digest("a"), plan.settings)
    backbone, linear = write_fake_weights("squeeze", tmp_path)
    chosen = replace(plan.settings, lpips=parse_lpips(f"squeeze={backbone},{linear}"))
    (without,), (row,) = run_pair(task).rows, run_pair(replace(task, settings=chosen)).rows
    assert without.lpips is None
    assert row.lpips > 0
    assert "lpips" not in row.missing
    assert row.psnr == without.psnr
    assert row.protocol_digest != without.protocol_digest  # so that rows without it are not kept


def test_pictures_are_tiles_of_four_views(tmp_path) -> None:
    plan = evaluation(tmp_path, [], "a", replace(SMALL, num_novel=20))
    system = Shrunk(variants=("",))
    outcome = run_pair(PairTask(plan.objects[0], system, system.digest("a"), plan.settings, with_truth=True))
    sizes = {name: Image.open(io.BytesIO(data)).size for name, data in outcome.files if name.endswith(".png")}
    assert sizes == {
        "pictures/a/truth.png": (4 * TILE, 2 * TILE),
        "pictures/a/inputs.png": (4 * TILE, TILE),
        "pictures/a/shrunk.png": (4 * TILE, 3 * TILE),
    }
