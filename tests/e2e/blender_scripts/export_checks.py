"""Exported files, byte by byte where the format is ours."""

import json
import struct
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from scenario import BROWN, add, block_counts, raises, run, sphere

from blender_addon import scene
from blender_addon.export import export_objects
from blender_addon.values import MeshResult, Placement


def result(name="Thing", location=(10, 20, 30)):
    vertices = np.array([[-1, -0.5, 0], [1, -0.5, 0], [0, 1, 0.3], [0, 0, -1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]], np.int32)
    colors = np.array([BROWN, (0, 0, 0), (255, 255, 255), (1, 2, 3)], np.uint8)
    made = scene.create_object(MeshResult(vertices, faces, colors), Placement(location, 0.95, "OVER"), name)
    bpy.context.view_layer.update()
    return made, vertices, faces, colors


def write(objects, file_format, **kwargs):
    """(line, file bytes, name) of every written file."""
    with tempfile.TemporaryDirectory() as folder:
        done = export_objects(bpy.context, objects, folder, file_format, **kwargs)
        return [(item.text, item.path.read_bytes(), item.path.name) for item in done]


def glb_arrays(data):
    length = struct.unpack_from("<I", data, 12)[0]
    document, binary = json.loads(data[20 : 20 + length]), data[20 + length + 8 :]
    kinds = {5126: "<f4", 5123: "<u2", 5125: "<u4"}
    widths = {"VEC3": 3, "VEC4": 4, "SCALAR": 1}

    def read(index):
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        width = widths[accessor["type"]]
        values = np.frombuffer(binary, kinds[accessor["componentType"]], accessor["count"] * width, view["byteOffset"])
        return values.reshape(-1, width)

    primitive = document["meshes"][0]["primitives"][0]
    return {name: read(index) for name, index in primitive["attributes"].items()}, read(primitive["indices"])


def linear(colors):
    value = colors / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def check_glb():
    obj, vertices, faces, colors = result()
    [(text, data, name)] = write([obj], "GLB")
    attributes, indices = glb_arrays(data)
    offset = np.array((10, 30, -20))
    assert np.allclose(attributes["POSITION"], vertices + offset, atol=1e-5)
    assert np.array_equal(indices.reshape(-1, 3), faces)
    assert np.abs(attributes["COLOR_0"][:, :3] / 65535 - linear(colors)).max() < 1e-4
    assert name == "Thing.glb"
    assert text == f"Thing.glb · 4 verts · colours ✔ · {len(data) / 1000:.1f} kB", text


def check_ply_float_point_keeps_its_colors():
    obj, vertices, _, colors = result()
    [(_, data, _)] = write([obj], "PLY", at_origin=True)
    head, body = data.split(b"end_header\n", 1)
    assert b"element vertex 4" in head
    rows = np.frombuffer(body, np.dtype([("p", "<f4", 3), ("c", "u1", 3)]), 4)
    assert np.array_equal(rows["c"], colors)
    expected = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], -1)  # PLY keeps Blender's Z up
    assert np.allclose(rows["p"], expected, atol=1e-6)


def check_obj():
    obj, vertices, faces, colors = result()
    [(text, data, _)] = write([obj], "OBJ")
    lines = data.decode().splitlines()
    rows = np.array([[float(word) for word in line.split()[1:]] for line in lines if line.startswith("v ")])
    assert np.allclose(rows[:, :3], vertices + np.array((10, 30, -20)), atol=1e-4)
    assert np.abs(rows[:, 3:] - colors / 255).max() <= 1e-3
    corners = [[int(word.split("/")[0]) - 1 for word in line.split()[1:]] for line in lines if line.startswith("f ")]
    assert np.array_equal(corners, faces)
    assert "colours ✔" in text
    assert [line for line in lines if line.startswith("o ")] == ["o Thing"]


def check_scene_stays_as_it_is():
    obj, *_ = result()
    other = sphere("Other")
    before = (block_counts(), [o.name for o in bpy.context.selected_objects], bpy.context.active_object.name)
    for file_format in ("GLB", "PLY", "OBJ"):
        write([obj], file_format)
    after = (block_counts(), [o.name for o in bpy.context.selected_objects], bpy.context.active_object.name)
    assert after == before
    assert before[1] == [other.name]


def check_modifiers_transform_and_mirror():
    obj, vertices, _, _ = result(location=(0, 0, 0))
    obj.modifiers.new("Row", "ARRAY").count = 3
    obj.scale = (-2, 2, 2)
    bpy.context.view_layer.update()
    [(_, data, _)] = write([obj], "GLB")
    attributes, indices = glb_arrays(data)
    assert len(attributes["POSITION"]) == 12
    assert np.allclose(attributes["POSITION"][:4], vertices * (-2, 2, 2), atol=1e-5)
    corners = attributes["POSITION"].astype(np.float64)[indices.reshape(-1, 3)]
    assert np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() > 0, "inside out"


def check_corner_and_byte_colors():
    ball = sphere()
    attribute = ball.data.color_attributes.new("Paint", "BYTE_COLOR", "CORNER")
    values = np.tile(np.append(linear(np.array(BROWN)), 1).astype(np.float32), len(attribute.data))
    attribute.data.foreach_set("color", values)
    ball.data.color_attributes.active_color = attribute
    [(_, data, _)] = write([ball], "PLY")
    body = data.split(b"end_header\n", 1)[1]
    rows = np.frombuffer(body, np.dtype([("p", "<f4", 3), ("c", "u1", 3)]), len(ball.data.vertices))
    assert (rows["c"] == BROWN).all()


def check_compare_does_not_reach_the_file():
    from blender_addon.result import objects as result_objects

    obj, _, _, colors = result()
    result_objects.remember(obj, refined=True)
    scene.set_colors(obj, colors[::-1].copy(), keep_base=True)
    result_objects.compare(obj, True)
    [(_, data, _)] = write([obj], "GLB")
    attributes, _ = glb_arrays(data)
    assert np.abs(attributes["COLOR_0"][:, :3] / 65535 - linear(colors[::-1])).max() < 1e-4
    assert b"Color_base" not in data


def check_numbering_and_refusals():
    obj, *_ = result()
    with tempfile.TemporaryDirectory() as folder:
        names = [export_objects(bpy.context, [obj], folder, "PLY")[0].path.name for _ in range(3)]
        assert names == ["Thing.ply", "Thing_001.ply", "Thing_002.ply"]
        export_objects(bpy.context, [obj], folder, "PLY", overwrite=True)
        assert sorted(path.name for path in Path(folder).iterdir()) == sorted(names)
        export_objects(bpy.context, [obj], f"{folder}/new/deep", "GLB")
        raises("no_color", export_objects, bpy.context, [sphere()], folder, "GLB")
        raises("folder_denied", export_objects, bpy.context, [obj], f"{folder}/Thing.ply/inside", "GLB")
        empty = add(bpy.data.meshes.new("Empty"), "Empty")
        raises("export_failed", export_objects, bpy.context, [empty], folder, "GLB")
        scene.select_only(obj)
        bpy.ops.object.mode_set(mode="EDIT")
        raises("export_failed", export_objects, bpy.context, [obj], folder, "GLB")
        bpy.ops.object.mode_set(mode="OBJECT")
    raises("folder_denied", export_objects, bpy.context, [obj], "//assets/", "GLB")


run(globals())
