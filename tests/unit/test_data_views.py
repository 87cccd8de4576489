"""Textured meshes from files and their ground-truth views."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from gtr_core.data.meshes import load_textured_mesh, normalized
from gtr_core.data.render_dataset import render_views
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import camera_set
from gtr_core.geometry.depth import backproject
from gtr_core.geometry.mesh import Mesh

QUAD = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
UV = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def textured(image: Image.Image, factor: list[int] | None = None) -> trimesh.Trimesh:
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image, baseColorFactor=factor)
    visual = trimesh.visual.TextureVisuals(uv=UV, material=material)
    return trimesh.Trimesh(QUAD, FACES, visual=visual, process=False)


def halves() -> Image.Image:
    """Upper half red, lower half green."""
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:4, :, 0], pixels[4:, :, 1] = 255, 255
    return Image.fromarray(pixels)


def test_texture_is_upright_and_to_the_bit(tmp_path: Path) -> None:
    textured(halves()).export(tmp_path / "quad.glb")
    mesh = load_textured_mesh(tmp_path / "quad.glb")
    assert mesh.texture is not None
    assert mesh.texture.shape == (8, 8, 3)
    views = render_views(mesh, camera_set("orthogonal", height=64, width=64)[[0]], supersample=1)
    assert views.rgba[0, 28, 32].tolist() == [1, 0, 0, 1]
    assert views.rgba[0, 36, 32].tolist() == [0, 1, 0, 1]
    assert views.rgba[0, 0, 0, 3] == 0


def test_base_color_factor_is_multiplied_in_linear_light(tmp_path: Path) -> None:
    textured(Image.new("RGB", (2, 2), (255, 255, 255)), [55, 255, 0, 255]).export(tmp_path / "tint.glb")
    texture = load_textured_mesh(tmp_path / "tint.glb").texture
    assert texture is not None
    # (55 / 255) in linear light is 0.5018 in sRGB
    torch.testing.assert_close(texture[0, 0], torch.tensor([0.5018, 1.0, 0.0]), atol=3e-3, rtol=0)


def test_vertex_colors_and_no_colors(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    box.export(tmp_path / "grey.ply")
    grey = load_textured_mesh(tmp_path / "grey.ply").colors
    assert grey is not None
    assert grey.unique().numel() == 1
    box.visual.vertex_colors = np.tile(np.array([[200, 100, 50, 255]], dtype=np.uint8), (8, 1))
    box.export(tmp_path / "color.ply")
    colors = load_textured_mesh(tmp_path / "color.ply").colors
    assert colors is not None
    assert (colors * 255).round().unique(dim=0).tolist() == [[200, 100, 50]]


def test_two_parts_become_one_mesh(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(textured(Image.new("RGB", (4, 4), (255, 0, 0))))
    other = textured(Image.new("RGB", (4, 4), (0, 0, 255)))
    other.apply_translation([0, 0, 0.5])
    scene.add_geometry(other)
    scene.export(tmp_path / "two.glb")
    mesh = load_textured_mesh(tmp_path / "two.glb")
    assert len(mesh.faces) == 4
    views = render_views(mesh, camera_set("orthogonal", height=32, width=32)[[0, 2]], supersample=1)
    torch.testing.assert_close(views.rgba[:, 16, 16, :3], torch.tensor([[0.0, 0, 1], [1, 0, 0]]), atol=0.01, rtol=0)


def test_normalized_fills_the_box() -> None:
    mesh = normalized(Mesh(torch.tensor([[0.0, 0, 0], [4, 0, 0], [4, 2, 1]]), torch.tensor([[0, 1, 2]])))
    torch.testing.assert_close(mesh.bounds, torch.tensor([[-0.9, -0.45, -0.225], [0.9, 0.45, 0.225]]))


def test_depth_and_normal_are_those_of_the_pixel_centre() -> None:
    shape = trimesh.creation.box(extents=(1, 1, 1))
    vertices = torch.tensor(shape.vertices, dtype=torch.float32)
    box = Mesh(vertices, torch.tensor(shape.faces), colors=torch.ones_like(vertices))
    views = render_views(box, camera_set("sphere14", height=64, width=64), supersample=3)
    assert views.depth is not None
    assert views.normal is not None
    points = backproject(views.cameras, views.depth)[views.depth > 0]
    assert (points.abs().amax(-1) - 0.5).abs().max() < 1e-5
    normals = views.normal[views.depth > 0]
    towards = (points.abs() > 0.5 - 1e-5) * points.sign()
    assert ((normals * towards).sum(-1) > 0.999).all()
    soft = (views.mask > 0) & (views.mask < 1)
    assert soft.any()


def test_normals_face_the_camera_on_both_sides_of_a_sheet() -> None:
    sheet = Mesh(torch.tensor(QUAD, dtype=torch.float32), torch.tensor(FACES), colors=torch.ones(4, 3))
    views = render_views(sheet, camera_set("orthogonal", height=32, width=32)[[0, 2]])
    assert views.normal is not None
    assert views.normal[0, 16, 16, 2] == 1
    assert views.normal[1, 16, 16, 2] == -1


def test_a_camera_that_sees_nothing_is_an_error() -> None:
    sheet = Mesh(torch.tensor(QUAD, dtype=torch.float32), torch.tensor(FACES), colors=torch.ones(4, 3))
    with pytest.raises(GtrError) as caught:
        render_views(sheet, camera_set("orthogonal", height=32, width=32)[[1]])
    assert caught.value.code == ErrorCode.EMPTY_MASK


def test_real_objects_load_with_their_texture(objects_dir: Path) -> None:
    for name in ("chair_A", "milk_truck", "spot_cow"):
        mesh = load_textured_mesh(objects_dir / f"{name}.glb")
        assert mesh.texture is not None
        assert mesh.uv is not None
        assert float(mesh.bounds.abs().max()) == pytest.approx(0.9, abs=1e-3)
