"""GLB and PLY: read back by others, exact colours, the same bytes every time."""

import io
import json
import struct

import numpy as np
import pytest
import trimesh

from blender_addon.formats.export_check import inspect_file
from blender_addon.formats.export_mesh import ExportMesh, linear_colors, srgb_bytes
from blender_addon.formats.glb import glb_bytes, vertex_normals
from blender_addon.formats.ply import ply_bytes


@pytest.fixture
def ball() -> ExportMesh:
    sphere = trimesh.creation.icosphere(3)
    colors = np.random.default_rng(0).integers(0, 256, (len(sphere.vertices), 3), dtype=np.uint8)
    return ExportMesh("Ball", sphere.vertices, sphere.faces, colors)


def glb_arrays(data: bytes) -> tuple[dict, list[np.ndarray]]:
    """A reader of its own: JSON and the accessors' arrays, with the alignment rules checked."""
    (length,) = struct.unpack_from("<I", data, 12)
    document = json.loads(data[20 : 20 + length])
    start = 20 + length + 8
    arrays = []
    for accessor in document["accessors"]:
        view = document["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        dtype = np.dtype({5126: "<f4", 5123: "<u2", 5125: "<u4"}[accessor["componentType"]])
        assert view["byteOffset"] % 4 == 0
        assert (width * dtype.itemsize) % 4 == 0
        assert view["byteLength"] == accessor["count"] * width * dtype.itemsize
        at = start + view["byteOffset"]
        arrays.append(np.frombuffer(data, dtype, accessor["count"] * width, at).reshape(-1, width))
    assert len(data) % 4 == 0
    return document, arrays


def test_srgb_round_trip_is_exact() -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3)
    np.testing.assert_array_equal(srgb_bytes(linear_colors(every)), every)
    np.testing.assert_array_equal(srgb_bytes(linear_colors(every).astype(np.float32)), every)
    np.testing.assert_allclose(linear_colors(np.array([[200, 100, 50]], np.uint8))[0], (0.578, 0.127, 0.032), atol=1e-3)
    wild = np.array([[-1.0, 2.0, np.nan]], np.float32)
    np.testing.assert_array_equal(srgb_bytes(wild), [[0, 255, 0]])


def test_glb_holds_what_went_in(ball: ExportMesh) -> None:
    document, arrays = glb_arrays(glb_bytes([ball]))
    primitive = document["meshes"][0]["primitives"][0]
    attributes = primitive["attributes"]
    np.testing.assert_array_equal(arrays[attributes["POSITION"]], ball.vertices.astype(np.float32))
    np.testing.assert_array_equal(arrays[primitive["indices"]].reshape(-1, 3), ball.faces)
    color = arrays[attributes["COLOR_0"]]
    assert color.dtype == np.uint16
    assert (color[:, 3] == 65535).all()
    np.testing.assert_array_equal(srgb_bytes(color[:, :3] / 65535), ball.colors)
    position = document["accessors"][attributes["POSITION"]]
    np.testing.assert_array_equal(position["min"], ball.vertices.astype(np.float32).min(0))
    np.testing.assert_array_equal(position["max"], ball.vertices.astype(np.float32).max(0))
    assert document["accessors"][attributes["COLOR_0"]]["normalized"] is True
    assert document["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0
    normals = arrays[attributes["NORMAL"]]
    np.testing.assert_allclose(normals, ball.vertices, atol=0.02, err_msg="normals of a unit ball are its points")
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)


def test_glb_is_read_by_trimesh(ball: ExportMesh) -> None:
    other = ExportMesh("Other", ball.vertices + 3, ball.faces, None)
    scene = trimesh.load(io.BytesIO(glb_bytes([ball, other], unlit=True)), file_type="glb")
    assert set(scene.geometry) == {"Ball", "Other"}
    mesh = scene.geometry["Ball"]
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(trimesh.Trimesh(ball.vertices, ball.faces).volume, rel=1e-6)
    assert mesh.volume > 0, "outward"


def test_ply_is_read_by_trimesh_with_exact_colors(ball: ExportMesh) -> None:
    mesh = trimesh.load(io.BytesIO(ply_bytes([ball])), file_type="ply", process=False)
    np.testing.assert_array_equal(mesh.vertices, ball.vertices.astype(np.float32))
    np.testing.assert_array_equal(mesh.faces, ball.faces)
    np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], ball.colors)


def test_ply_joins_meshes(ball: ExportMesh) -> None:
    plain = ExportMesh("Plain", ball.vertices + 3, ball.faces)
    mesh = trimesh.load(io.BytesIO(ply_bytes([ball, plain])), file_type="ply", process=False)
    assert mesh.is_watertight
    assert mesh.body_count == 2
    assert (mesh.visual.vertex_colors[len(ball.vertices) :, :3] == 255).all()
    np.testing.assert_array_equal(mesh.visual.vertex_colors[: len(ball.vertices), :3], ball.colors)


@pytest.mark.parametrize("write", [glb_bytes, ply_bytes])
def test_same_bytes_every_time(write, ball: ExportMesh) -> None:
    copy = ExportMesh(ball.name, np.asfortranarray(ball.vertices), ball.faces.astype(np.int32), ball.colors.copy())
    assert write([ball]) == write([copy])


@pytest.mark.parametrize(("suffix", "write"), [(".glb", glb_bytes), (".ply", ply_bytes)])
def test_inspection_counts_and_notices_a_cut_file(suffix, write, ball, tmp_path) -> None:
    path = tmp_path / f"ball{suffix}"
    data = write([ball])
    path.write_bytes(data)
    summary = inspect_file(path)
    assert (summary.vertices, summary.faces, summary.colors) == (
        len(ball.vertices),
        len(ball.faces),
        len(ball.vertices),
    )
    assert summary.bytes == len(data)
    path.write_bytes(write([ExportMesh("Plain", ball.vertices, ball.faces)]))
    assert inspect_file(path).colors == 0
    path.write_bytes(data[:-5])
    with pytest.raises(ValueError, match=r"whole|wrong"):
        inspect_file(path)


def test_inspection_of_obj(tmp_path) -> None:
    path = tmp_path / "a.obj"
    path.write_text("v 0 0 0 1 1 1\nv 1 0 0 1 1 1\nv 0 1 0\nvn 0 0 1\nf 1 2 3\n")
    summary = inspect_file(path)
    assert (summary.vertices, summary.faces, summary.colors) == (3, 1, 2)


@pytest.mark.parametrize("write", [glb_bytes, ply_bytes])
@pytest.mark.parametrize(
    "mesh",
    [
        ExportMesh("a", np.zeros((3, 3)), np.array([[0, 1, 3]])),
        ExportMesh("a", np.full((3, 3), np.nan), np.array([[0, 1, 2]])),
        ExportMesh("a", np.zeros((3, 3)), np.zeros((0, 3), int)),
        ExportMesh("a", np.zeros((3, 3)), np.array([[0, 1, 2]]), np.zeros((2, 3), np.uint8)),
    ],
)
def test_unusable_meshes_are_refused(write, mesh) -> None:
    with pytest.raises(ValueError, match="a has"):
        write([mesh])


def test_vertices_without_faces_have_a_normal() -> None:
    normals = vertex_normals(np.zeros((4, 3), np.float32), np.array([[0, 1, 2]]))
    np.testing.assert_array_equal(normals, [[0, 1, 0]] * 4)
