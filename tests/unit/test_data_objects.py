"""Folders of true objects: the layouts that are known, and what is said of objects that cannot be judged."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from mesh_folders import RED_TOP, box_obj, write_omni, write_scanned, write_texture

from gtr_core.data import objects
from gtr_core.data.objects import ObjectFile, find_objects, load_object
from gtr_core.errors import ErrorCode, GtrError


def only(folder: Path) -> ObjectFile:
    (file,) = find_objects(folder)
    return file


def refused(file: ObjectFile) -> str:
    with pytest.raises(GtrError) as caught:
        load_object(file)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert caught.value.message.startswith(file.name)
    assert caught.value.message.endswith(".")
    return caught.value.message


def textured_glb(path: Path) -> None:
    from PIL import Image

    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(RED_TOP))
    box = trimesh.creation.box()
    uv = np.random.default_rng(0).random((8, 2))
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    box.export(path)


def test_flat_folder_in_order_of_names(tmp_path: Path) -> None:
    textured_glb(tmp_path / "b.glb")
    (tmp_path / "a.obj").write_text(box_obj(mtl=None))
    trimesh.creation.box().export(tmp_path / "c.ply")
    for other in ("list.csv", ".hidden.obj", "picture.png", "a.mtl"):
        (tmp_path / other).write_text("x")
    assert [file.name for file in find_objects(tmp_path)] == ["a", "b", "c"]
    assert not any(file.z_up for file in find_objects(tmp_path))


def test_names_are_unique_and_safe(tmp_path: Path) -> None:
    for name in ("mug.obj", "mug.ply", "MUG.glb", "a b&c.obj", "x-1.obj", "ü.obj"):
        (tmp_path / name).write_text("x")
    names = [file.name for file in find_objects(tmp_path)]
    assert len({name.casefold() for name in names}) == 6
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzMUG_-123") for name in names)
    assert "a_b_c" in names
    assert "x-1" in names


def test_scanned_objects_are_found_textured_and_stood_up(tmp_path: Path) -> None:
    write_scanned(tmp_path)
    file = only(tmp_path)
    assert (file.name, file.z_up) == ("ACE_Coffee_Mug", True)
    found = load_object(file)
    # 1 x 0.5 x 2 with z up becomes 1 x 2 x 0.5 with y up, the longest side 1.8.
    torch.testing.assert_close(found.mesh.bounds, torch.tensor([[-0.45, -0.9, -0.225], [0.45, 0.9, 0.225]]))
    assert found.mesh.texture is not None
    assert torch.equal((found.mesh.texture * 255).byte(), torch.tensor(RED_TOP))
    assert found.watertight
    assert found.notes == ()


def test_omni_objects_are_found_and_stay_upright(tmp_path: Path) -> None:
    write_omni(tmp_path, "anise_001")
    write_omni(tmp_path, "anise_002")
    write_omni(tmp_path, "book_001")
    files = find_objects(tmp_path)
    assert [file.name for file in files] == ["anise_001", "anise_002", "book_001"]
    found = load_object(files[0])
    torch.testing.assert_close(found.mesh.bounds[1], torch.tensor([0.45, 0.9, 0.225]))
    assert found.mesh.texture is not None
    assert found.mesh.texture.shape == (128, 128, 3)
    # Kd is not multiplied into the picture, as viewers do not.
    assert found.mesh.texture[10, 10, 0] > 0.97
    assert only(tmp_path / "book").name == "book_001"


def test_gltf_with_its_parts_beside_it(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    box.visual.vertex_colors = [255, 0, 0, 255]
    for name, data in trimesh.exchange.gltf.export_gltf(trimesh.Scene(box)).items():
        (tmp_path / name.replace("model", "crate")).write_bytes(data)
    found = load_object(only(tmp_path))
    assert found.watertight
    assert found.mesh.colors is not None
    assert found.mesh.colors.unique(dim=0).tolist() == [[1, 0, 0]]


def test_parts_of_several_materials_keep_their_colors(tmp_path: Path) -> None:
    lines = box_obj(mtl="two.mtl").splitlines()
    lines.insert(len(lines) - 6, "usemtl material_1")
    (tmp_path / "two.obj").write_text("\n".join(lines))
    write_texture(tmp_path / "textures" / "a.png")
    (tmp_path / "two.mtl").write_text(
        "newmtl material_0\nKd 0.5 0.5 0.5\nmap_Kd C:\\scans\\a.png\nnewmtl material_1\nKd 0 0 1\n"
    )
    mesh = load_object(only(tmp_path)).mesh
    assert mesh.texture is not None
    colors = {tuple(color) for color in (mesh.texture * 255).round().int().reshape(-1, 3).tolist()}
    assert {(255, 0, 0), (0, 255, 0), (0, 0, 255)} <= colors


@pytest.mark.parametrize("texture", ["crate.png", "texture.png", "any.png", "materials/textures/texture.png"])
def test_a_texture_that_no_material_names_is_found_beside_the_mesh(tmp_path: Path, texture: str) -> None:
    (tmp_path / "crate.obj").write_text(box_obj(mtl="gone.mtl"))
    write_texture(tmp_path / texture)
    found = load_object(only(tmp_path))
    assert found.mesh.texture is not None
    assert found.mesh.texture.shape == (8, 8, 3)
    assert found.notes == ("A file of the object is missing: gone.mtl.",)


def test_a_lone_picture_is_not_given_to_one_of_several_meshes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.obj").write_text(box_obj(mtl=None))
    write_texture(tmp_path / "photo.png")
    assert load_object(find_objects(tmp_path)[0]).mesh.texture is None


def test_no_texture_is_a_note_and_one_grey(tmp_path: Path) -> None:
    write_scanned(tmp_path, texture=False)
    found = load_object(only(tmp_path))
    assert found.mesh.colors is not None
    assert found.mesh.colors.unique().tolist() == pytest.approx([0.8])
    assert found.notes == (
        "The object has no texture (texture.png is missing): it is drawn in one grey, and colours say little.",
    )
    (tmp_path / "plain.obj").write_text(box_obj(mtl=None, uv=False))
    plain = load_object(find_objects(tmp_path)[-1])
    assert plain.notes == ("The object has no texture: it is drawn in one grey, and colours say little.",)


def test_the_color_of_a_material_is_a_color(tmp_path: Path) -> None:
    (tmp_path / "blue.obj").write_text(box_obj(mtl="blue.mtl", uv=False))
    (tmp_path / "blue.mtl").write_text("newmtl material_0\nKd 0 0 1\n")
    found = load_object(only(tmp_path))
    assert found.notes == ()
    assert found.mesh.texture is not None
    assert found.mesh.texture.tolist() == [[[0, 0, 1]]]


def test_an_open_mesh_is_flagged(tmp_path: Path) -> None:
    lines = box_obj(mtl=None).splitlines()
    (tmp_path / "open.obj").write_text("\n".join(lines[:-1]))
    found = load_object(only(tmp_path))
    assert not found.watertight
    assert "The true mesh is not watertight." in found.notes


def test_digest_follows_the_contents_of_every_file(tmp_path: Path) -> None:
    path = write_scanned(tmp_path)
    first = load_object(only(tmp_path)).digest
    assert load_object(only(tmp_path)).digest == first
    (tmp_path / "ACE_Coffee_Mug").rename(tmp_path / "Mug")
    assert load_object(only(tmp_path)).digest == first
    write_texture(tmp_path / "Mug/materials/textures/texture.png")
    assert load_object(only(tmp_path)).digest == first
    with (tmp_path / "Mug/materials/textures/texture.png").open("ab") as file:
        file.write(b"x")
    second = load_object(only(tmp_path)).digest
    assert second != first
    assert load_object(ObjectFile("Mug", tmp_path / "Mug/meshes" / path.name, z_up=False)).digest != second


def test_vertices_that_no_face_uses_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "stray.obj").write_text("v 99 99 99\n" + box_obj(mtl=None, uv=False).replace("f ", "f -1 -2 -3\n#"))
    trimesh.Trimesh([*trimesh.creation.box().vertices, [99, 99, np.nan]], trimesh.creation.box().faces, process=False) \
        .export(tmp_path / "box.ply")  # fmt: skip
    found = load_object(find_objects(tmp_path)[0])
    torch.testing.assert_close(found.mesh.bounds[1], torch.full((3,), 0.9))
    assert len(found.mesh.vertices) == 8


@pytest.mark.parametrize("suffix", ["glb", "obj", "ply", "gltf"])
@pytest.mark.parametrize("data", [b"", b"\x00\xff" * 500, b"glTF\x02\x00\x00\x00\xff\xff\xff\xff", b"v 1 2\nf 1 2 3\n"])
def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path, suffix: str, data: bytes) -> None:
    (tmp_path / f"bad.{suffix}").write_bytes(data)
    assert refused(only(tmp_path)).count(".") <= 3


def test_truncated_glb_is_refused(tmp_path: Path) -> None:
    textured_glb(tmp_path / "cut.glb")
    data = (tmp_path / "cut.glb").read_bytes()
    for length in range(1, len(data), len(data) // 23):
        (tmp_path / "cut.glb").write_bytes(data[:length])
        refused(only(tmp_path))


def test_points_without_faces_are_empty(tmp_path: Path) -> None:
    trimesh.PointCloud(np.eye(3)).export(tmp_path / "cloud.ply")
    assert refused(only(tmp_path)) == "cloud is empty: it has no triangles."


def test_numbers_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    vertices = np.array(box.vertices)
    vertices[2, 1], vertices[5, 0] = np.nan, np.inf
    trimesh.Trimesh(vertices, box.faces, process=False).export(tmp_path / "nan.ply")
    assert refused(only(tmp_path)) == "nan is damaged: 2 of its 8 vertices are not finite numbers."


def test_faces_beyond_the_vertices_are_damage(tmp_path: Path) -> None:
    text = trimesh.creation.box().export(file_type="ply", encoding="ascii").decode()
    (tmp_path / "wrong.ply").write_text(text.replace("3 1 3 0", "3 1 3 99"))
    assert "wrong" in refused(only(tmp_path))


def test_a_mesh_in_one_point_has_no_size(tmp_path: Path) -> None:
    trimesh.Trimesh(np.ones((3, 3)), [[0, 1, 2]], process=False).export(tmp_path / "dot.ply")
    assert refused(only(tmp_path)) == "dot has no usable size: its longest side is 0."


def test_too_many_faces_are_refused_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trimesh.creation.icosphere(subdivisions=2).export(tmp_path / "ball.ply")
    monkeypatch.setattr(objects, "MAX_FACES", 300)
    message = refused(only(tmp_path))
    assert "faces, the limit is" in message
    monkeypatch.setattr(objects, "MAX_BYTES", 100)
    assert "GB, the limit is" in refused(only(tmp_path))


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(ObjectFile("gone", tmp_path / "gone.glb"))
    (tmp_path / "folder.glb").mkdir()
    assert "Is a directory" in refused(ObjectFile("folder", tmp_path / "folder.glb"))


def test_a_folder_without_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GtrError, match="holds no object"):
        find_objects(tmp_path)
    with pytest.raises(GtrError, match="There is no folder"):
        find_objects(tmp_path / "nowhere")


def test_the_development_set_loads(objects_dir: Path) -> None:
    files = find_objects(objects_dir)
    assert len(files) == 46
    for file in files[::9]:
        found = load_object(file)
        assert found.mesh.texture is not None
        assert float((found.mesh.bounds[1] - found.mesh.bounds[0]).max()) == pytest.approx(1.8, abs=1e-5)
