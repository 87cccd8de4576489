"""Textured files from real Blender, read by real Blender. The colours come from a formula instead of the server."""

import json
import struct
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from scenario import BROWN, add, block_counts, monkey, raises, run

from blender_addon import scene
from blender_addon.job.bake import bake_texture
from blender_addon.result import export_texture
from blender_addon.result import objects as result_objects
from blender_addon.values import MeshResult, Placement

CENTER, RADIUS = (3.0, -2.0, 5.0), 1.9
SIZE = 256


def formula(points):
    """sRGB byte colours of points in the GTR world."""
    return np.rint(127.5 + 110 * np.sin(points * (3, 2, 4))).astype(np.uint8)


def result(name="Thing"):
    """A result with the shape of Suzanne, its record as after a reconstruction."""
    source = monkey(levels=2)
    evaluated = source.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    mesh.calc_loop_triangles()
    points = np.array([vertex.co for vertex in mesh.vertices], np.float32)[:, (0, 2, 1)] * np.float32((0.7, 0.7, -0.7))
    faces = np.array([triangle.vertices for triangle in mesh.loop_triangles], np.int32)
    evaluated.to_mesh_clear()
    bpy.data.objects.remove(source)
    colors = np.full((len(points), 3), BROWN, np.uint8)
    made = scene.create_object(MeshResult(points, faces, colors), Placement(CENTER, RADIUS, "OVER"), name)
    result_objects.remember(made, job="job_b", mesh_job="job_a", refined=True)
    bpy.context.view_layer.update()
    return made


def export(obj, file_format, folder, **kwargs):
    order = export_texture.prepare(bpy.context, obj, str(folder), file_format, SIZE, **kwargs)
    texture = bake_texture(order.surface, lambda points, _part, _parts: formula(points), lambda _stage, _done: None)
    return export_texture.write(order, texture), order


def where_gtr(points, obj):
    """Points of the scene in the GTR world of an object that was not turned."""
    unit = result_objects.info(obj)["unit"]
    return (points - np.array(obj.location))[:, (0, 2, 1)] * (1, 1, -1) / unit


def looked_up(imported):
    """Middles of the faces of an imported object in the scene, and the texture's colours there."""
    mesh, matrix = imported.data, np.array(imported.matrix_world)
    nodes = [node for slot in imported.material_slots for node in slot.material.node_tree.nodes]
    (image,) = [node.image for node in nodes if node.type == "TEX_IMAGE"]
    assert tuple(image.size) == (SIZE, SIZE)
    pixels = np.empty(4 * SIZE * SIZE, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = np.rint(255 * pixels.reshape(SIZE, SIZE, 4)[..., :3])
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    uv = np.empty(2 * len(mesh.loops), np.float32)
    mesh.uv_layers.active.data.foreach_get("uv", uv)
    points = points.reshape(-1, 3)[corners].reshape(-1, 3, 3).mean(1) @ matrix[:3, :3].T + matrix[:3, 3]
    x, y = (uv.reshape(-1, 3, 2).mean(1) * SIZE - 0.5).T
    left, low = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b = (x - left)[:, None], (y - low)[:, None]
    lower = pixels[low, left] * (1 - a) + pixels[low, left + 1] * a
    upper = pixels[low + 1, left] * (1 - a) + pixels[low + 1, left + 1] * a
    return points, lower * (1 - b) + upper * b


def imported(operator, path):
    before = set(bpy.data.objects)
    operator(filepath=str(path))
    (obj,) = [obj for obj in bpy.data.objects if obj not in before and obj.type == "MESH"]
    bpy.context.view_layer.update()
    return obj


def check_obj_is_read_with_the_right_colors():
    obj = result()
    with tempfile.TemporaryDirectory() as folder:
        written, _ = export(obj, "OBJ", folder)
        again = imported(bpy.ops.wm.obj_import, written.path)
        points, colors = looked_up(again)
    assert len(again.data.vertices) == len(obj.data.vertices), "the mesh stays in one piece"
    difference = np.abs(colors - formula(where_gtr(points, obj)))
    assert difference.max() < 20, difference.max()
    assert difference.mean() < 2, difference.mean()


def check_glb_is_read_with_the_right_colors():
    if bpy.app.version < (5, 0, 0):
        return  # Debian's glTF importer dies of its numpy; the bytes are the same in every version
    obj = result()
    with tempfile.TemporaryDirectory() as folder:
        written, _ = export(obj, "GLB", folder)
        again = imported(bpy.ops.import_scene.gltf, written.path)
        points, colors = looked_up(again)
    difference = np.abs(colors - formula(where_gtr(points, obj)))
    assert difference.max() < 20, difference.max()
    assert difference.mean() < 2, difference.mean()
    assert len(again.data.color_attributes) == 0, "vertex colours would darken the texture"


def check_line_and_names():
    obj = result("A thing")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "new"
        first, _ = export(obj, "OBJ", target)
        (target / first.path.name).unlink()
        before = (target / "A_thing.png").read_bytes()
        second, _ = export(obj, "OBJ", target)
        third, _ = export(obj, "OBJ", target, overwrite=True)
        names = sorted(path.name for path in target.iterdir())
        assert (target / "A_thing.png").read_bytes() == before
        total = sum(path.stat().st_size for path in target.glob("A_thing_001.*"))
        text = (target / "A_thing_001.mtl").read_text()
    assert first.path.name == third.path.name == "A_thing.obj"
    # A picture of that name was there, so the new files are numbered all three.
    assert second.path.name == "A_thing_001.obj"
    assert names == [f"A_thing{number}.{suffix}" for number in ("", "_001") for suffix in ("mtl", "obj", "png")]
    assert "map_Kd A_thing_001.png" in text
    assert second.text.startswith("A_thing_001.obj · 8 k verts · texture 256 ✔ · "), second.text
    assert second.text.endswith(f" · {total / 1e6:.1f} MB"), second.text


def check_turned_scaled_and_mirrored():
    """The transform moves the file's vertices; the texture stays where it was on the surface."""
    obj = result()
    with tempfile.TemporaryDirectory() as folder:
        _, plain = export(obj, "GLB", folder)
        obj.scale, obj.rotation_euler, obj.location = (-2, 2, 2), (0.4, 0.3, 1.0), (9, 9, 9)
        bpy.context.view_layer.update()
        written, moved = export(obj, "GLB", folder, at_origin=True)
        data = written.path.read_bytes()
    assert np.array_equal(plain.surface.points, moved.surface.points)
    assert np.array_equal(np.sort(plain.surface.faces, 1), np.sort(moved.surface.faces, 1))
    expected = np.array([(obj.matrix_world @ vertex.co) - obj.location for vertex in obj.data.vertices])
    assert np.allclose(moved.mesh.vertices, expected, atol=1e-5)
    (length,) = struct.unpack_from("<I", data, 12)
    document = json.loads(data[20 : 20 + length])
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    assert set(attributes) == {"POSITION", "NORMAL", "TEXCOORD_0"}


def check_modifiers():
    """A bent mesh is asked for at its unbent vertices, one with new vertices where these are."""
    obj = result()
    plain = export_texture.prepare(bpy.context, obj, tempfile.gettempdir(), "GLB", SIZE)
    bend = obj.modifiers.new("Bend", "SIMPLE_DEFORM")
    bend.deform_method, bend.angle = "BEND", 1.0
    bent = export_texture.prepare(bpy.context, obj, tempfile.gettempdir(), "GLB", SIZE)
    assert np.array_equal(bent.surface.points, plain.surface.points)
    assert np.abs(bent.mesh.vertices - plain.mesh.vertices).max() > 0.1
    obj.modifiers.clear()
    obj.modifiers.new("Fewer", "DECIMATE").ratio = 0.3
    fewer = export_texture.prepare(bpy.context, obj, tempfile.gettempdir(), "GLB", SIZE)
    assert len(fewer.surface.points) < 0.4 * len(plain.surface.points)
    assert np.allclose(where_gtr(fewer.mesh.vertices, obj), fewer.surface.points, atol=1e-5)


def check_scene_stays_as_it_is():
    obj = result()
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)

    def state():
        return block_counts(), obj.select_get(), obj.mode, len(obj.data.uv_layers), len(obj.material_slots)

    before = state()
    with tempfile.TemporaryDirectory() as folder:
        for file_format in ("GLB", "OBJ"):
            export(obj, file_format, folder)
    assert state() == before


def check_which_job_is_asked():
    obj = result()
    folder = tempfile.gettempdir()
    assert export_texture.prepare(bpy.context, obj, folder, "GLB", SIZE).job_id == "job_b"
    result_objects.remember(obj, refined=False)
    assert export_texture.prepare(bpy.context, obj, folder, "GLB", SIZE).job_id == "job_a", "after a Revert"
    result_objects.remember(obj, job="", mesh_job="")
    raises("unknown_job", export_texture.prepare, bpy.context, obj, folder, "GLB", SIZE)


def check_faults():
    folder = tempfile.gettempdir()
    foreign = add(bpy.data.meshes.new("Foreign"))
    raises("export_failed", export_texture.prepare, bpy.context, foreign, folder, "GLB", SIZE)
    obj = result()
    raises("folder_denied", export_texture.prepare, bpy.context, obj, "//x", "GLB", SIZE)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    raises("export_failed", export_texture.prepare, bpy.context, obj, folder, "GLB", SIZE)
    bpy.ops.object.mode_set(mode="OBJECT")


def check_paint_is_told():
    obj = result()
    folder = tempfile.gettempdir()
    assert export_texture.prepare(bpy.context, obj, folder, "GLB", SIZE).note == ""
    obj.data.color_attributes["Color"].data[0].color = (0, 1, 0, 1)
    assert "Thing" in export_texture.prepare(bpy.context, obj, folder, "GLB", SIZE).note


run(globals())
