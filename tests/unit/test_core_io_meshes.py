"""Meshes written and read back: exact positions, exact colours, whole files."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.mesh_files import ENCODERS, check_target, read_mesh, write_mesh
from gtr_core.io.srgb import linear_from_srgb, srgb_from_linear

SUFFIXES = sorted(ENCODERS)


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    body = trimesh.creation.icosphere(2)
    generator = torch.Generator().manual_seed(0)
    colors = torch.randint(0, 256, (len(body.vertices), 3), generator=generator) / 255
    colors[0] = torch.tensor([200.0, 100.0, 50.0]) / 255
    colors[1:4] = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [255.0, 254.0, 253.0]]) / 255
    return Mesh(torch.tensor(body.vertices).float() / 3, torch.tensor(body.faces), colors)


@pytest.fixture(scope="module")
def textured(mesh: Mesh) -> Mesh:
    generator = torch.Generator().manual_seed(1)
    uv = torch.rand(len(mesh.vertices), 2, generator=generator)
    texture = torch.randint(0, 256, (16, 24, 3), generator=generator) / 255
    return Mesh(mesh.vertices, mesh.faces, None, uv, texture)


def eight_bits(colors: torch.Tensor | None) -> torch.Tensor:
    assert colors is not None
    return (colors * 255).round().to(torch.uint8)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_mesh_is_read_back_as_written(mesh: Mesh, suffix: str, tmp_path: Path) -> None:
    write_mesh(mesh, tmp_path / f"mesh{suffix}")
    again = read_mesh(tmp_path / f"mesh{suffix}")
    assert torch.equal(again.vertices, mesh.vertices)
    assert torch.equal(again.faces, mesh.faces)
    assert torch.equal(eight_bits(again.colors), eight_bits(mesh.colors))
    assert eight_bits(again.colors)[0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_mesh_without_colors_keeps_its_shape(mesh: Mesh, suffix: str, tmp_path: Path) -> None:
    write_mesh(Mesh(mesh.vertices, mesh.faces), tmp_path / f"mesh{suffix}")
    again = read_mesh(tmp_path / f"mesh{suffix}")
    assert torch.equal(again.vertices, mesh.vertices)
    assert torch.equal(again.faces, mesh.faces)


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_texture_is_read_back_as_written(textured: Mesh, suffix: str, tmp_path: Path) -> None:
    write_mesh(textured, tmp_path / f"mesh{suffix}")
    again = read_mesh(tmp_path / f"mesh{suffix}")
    assert torch.equal(again.vertices, textured.vertices)
    assert torch.allclose(again.uv, textured.uv, atol=1e-6)
    assert torch.equal(eight_bits(again.texture), eight_bits(textured.texture))


def glb_json(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    magic, version, length, size = struct.unpack("<4sIII", data[:16])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def test_glb_colors_are_linear_16_bit_with_a_matt_material(mesh: Mesh, tmp_path: Path) -> None:
    write_mesh(mesh, tmp_path / "mesh.glb")
    tree, binary = glb_json(tmp_path / "mesh.glb")
    primitive = tree["meshes"][0]["primitives"][0]
    accessor = tree["accessors"][primitive["attributes"]["COLOR_0"]]
    assert (accessor["componentType"], accessor["type"], accessor["normalized"]) == (5123, "VEC4", True)
    assert [name for name in primitive["attributes"] if name.startswith("_")] == []
    view = tree["bufferViews"][accessor["bufferView"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    first = np.frombuffer(binary[start : start + 8], np.uint16)
    expected = [round(65535 * float(v)) for v in linear_from_srgb(np.array([200, 100, 50]) / 255)]
    assert first.tolist() == [*expected, 65535]
    material = tree["materials"][primitive["material"]]["pbrMetallicRoughness"]
    assert material["metallicFactor"] == 0
    assert material["roughnessFactor"] == 1


def test_glb_with_texture_has_no_vertex_colors_to_multiply_it_with(mesh: Mesh, textured: Mesh, tmp_path: Path) -> None:
    write_mesh(textured.with_colors(mesh.colors), tmp_path / "mesh.glb")
    tree, _ = glb_json(tmp_path / "mesh.glb")
    assert set(tree["meshes"][0]["primitives"][0]["attributes"]) == {"POSITION", "TEXCOORD_0"}
    assert "baseColorTexture" in tree["materials"][0]["pbrMetallicRoughness"]


def test_obj_lines_are_srgb(mesh: Mesh, tmp_path: Path) -> None:
    write_mesh(mesh, tmp_path / "mesh.obj")
    first = (tmp_path / "mesh.obj").read_text().splitlines()[0].split()
    assert first[0] == "v"
    assert [float(value) for value in first[4:]] == pytest.approx([200 / 255, 100 / 255, 50 / 255], abs=1e-7)


def test_ply_stores_bytes_of_srgb(mesh: Mesh, tmp_path: Path) -> None:
    write_mesh(mesh, tmp_path / "mesh.ply")
    header, _, body = (tmp_path / "mesh.ply").read_bytes().partition(b"end_header\n")
    assert b"format binary_little_endian" in header
    assert b"property uchar red" in header
    assert tuple(body[12:15]) == (200, 100, 50)


def test_all_8_bit_values_survive_linear_16_bits() -> None:
    values = np.arange(256) / 255
    stored = np.round(linear_from_srgb(values) * 65535) / 65535
    assert (np.round(srgb_from_linear(stored) * 255) == np.arange(256)).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_older_file_is_replaced_and_nothing_else_is_left(mesh: Mesh, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mesh{suffix}"
    path.write_bytes(b"old")
    write_mesh(mesh, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert len(read_mesh(path).faces) == len(mesh.faces)


def test_a_failed_write_leaves_the_older_file(mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mesh.ply"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(GtrError) as caught:
        write_mesh(mesh, path)
    assert caught.value.code is ErrorCode.DISK_FULL
    assert [p.name for p in tmp_path.iterdir()] == ["mesh.ply"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("check", [write_mesh, lambda _, path: check_target(path)], ids=["write", "check"])
def test_impossible_targets_get_one_sentence(mesh: Mesh, tmp_path: Path, check: object) -> None:
    (tmp_path / "folder.glb").mkdir()
    cases = {
        tmp_path / "gone" / "mesh.glb": "gone does not exist",
        tmp_path / "mesh.stl": "mesh.stl",
        tmp_path / "mesh": "mesh",
        tmp_path / "folder.glb": "folder.glb",
        Path("/proc/mesh.glb"): "/proc",
    }
    for path, words in cases.items():
        with pytest.raises(GtrError) as caught:
            check(mesh, path)
        assert caught.value.code is ErrorCode.BAD_INPUT
        assert words in caught.value.message
    assert [p.name for p in tmp_path.iterdir()] == ["folder.glb"]


def test_checking_a_target_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    (tmp_path / "mesh.glb").write_bytes(b"old")
    check_target(tmp_path / "mesh.glb")
    assert (tmp_path / "mesh.glb").read_bytes() == b"old"


def test_empty_mesh_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(GtrError) as caught:
        write_mesh(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long)), tmp_path / "mesh.glb")
    assert caught.value.code is ErrorCode.EMPTY_RECONSTRUCTION
    assert not (tmp_path / "mesh.glb").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [None, b"", b"no mesh at all", b"\x00" * 64])
def test_broken_mesh_files_get_one_sentence(suffix: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / f"mesh{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GtrError) as caught:
        read_mesh(path)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert path.name in caught.value.message


def test_several_objects_become_one_in_world_space(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box(), transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.add_geometry(trimesh.creation.box(), transform=np.diag([-1.0, 1, 1, 1]))
    (tmp_path / "scene.glb").write_bytes(scene.export(file_type="glb"))
    both = read_mesh(tmp_path / "scene.glb")
    assert both.bounds.tolist() == [[-0.5, -0.5, -0.5], [5.5, 0.5, 0.5]]
    joined = trimesh.Trimesh(both.vertices.numpy(), both.faces.numpy())
    assert joined.is_watertight
    assert joined.volume == pytest.approx(2, rel=1e-6)  # the mirrored box too faces outward
