"""Results in the scene: shape, place, colours, memory, undo."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from scenario import BROWN, BROWN_LINEAR, block_counts, monkey, raises, run, sphere

from blender_addon import coords, export, scene
from blender_addon.result import objects as result_objects
from blender_addon.values import MeshResult, Placement
from blender_addon.views import capture_sources


def tetrahedron(color=BROWN):
    vertices = np.array([[-1, -0.5, 0], [1, -0.5, 0], [0, 1, 0.3], [0, 0, -1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]], np.int32)
    return MeshResult(vertices, faces, np.array([color] * 4, np.uint8))


PLACE = Placement((1.0, 2.0, 3.0), 1.9, "OVER", 4.0, [])


def true_surface(obj):
    """The evaluated object as the mesh that a perfect reconstruction would send, and its placement."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    bounds = capture_sources.bounds_of(list(capture_sources.collect_surfaces(depsgraph, [obj])))
    capture_scene_cleanup()
    mesh = obj.evaluated_get(depsgraph).to_mesh()
    mesh.calc_loop_triangles()
    points = np.array([obj.matrix_world @ vertex.co for vertex in mesh.vertices])
    faces = np.array([triangle.vertices for triangle in mesh.loop_triangles], np.int32)
    gtr = coords.gtr_from_blender(points - bounds.center) * 0.95 / bounds.radius
    colors = np.random.default_rng(0).integers(0, 256, (len(points), 3), dtype=np.uint8)
    result = MeshResult(np.ascontiguousarray(gtr, np.float32), faces, colors)
    return result, Placement(bounds.center, bounds.radius, "OVER", bounds.width, [obj.name]), points


def capture_scene_cleanup():
    from blender_addon.capture import remove_temporary

    remove_temporary()


def world_points(obj):
    return np.array([obj.matrix_world @ vertex.co for vertex in obj.data.vertices])


def check_true_surface_lands_on_its_source():
    source = monkey((7, -3, 2))
    result, placement, points = true_surface(source)
    obj = scene.create_object(result, placement, "Suzanne_GTR")
    bpy.context.view_layer.update()
    assert np.abs(world_points(obj) - points).max() < 1e-5 * placement.radius
    assert tuple(obj.scale) == (1, 1, 1)
    assert tuple(obj.rotation_euler) == (0, 0, 0)
    assert np.allclose(obj.location, placement.center)
    assert source.hide_get()
    assert not source.hide_render
    volume = np.einsum("ij,ij->i", *(lambda t: (t[:, 0], np.cross(t[:, 1], t[:, 2])))(world_points(obj)[result.faces]))
    assert volume.sum() > 0, "faces look inwards"
    assert np.allclose(scene.points_in_gtr(obj), result.vertices, atol=1e-6)
    assert np.array_equal(scene.read_colors(obj), result.colors)


def check_places_and_names():
    beside = scene.create_object(tetrahedron(), Placement((1, 2, 3), 1.9, "BESIDE", 4.0), "A_GTR")
    assert np.allclose(beside.location, (1 + 1.2 * 4, 2, 3))
    bpy.context.scene.cursor.location = (5, 6, 7)
    cursor = scene.create_object(tetrahedron(), Placement((1, 2, 3), 1.9, "CURSOR", 4.0), "A_GTR")
    assert tuple(cursor.location) == (5, 6, 7)
    assert (beside.name, cursor.name) == ("A_GTR", "A_GTR.001")
    assert [c.name for c in bpy.context.scene.collection.children] == ["GTR"]
    assert beside.name in bpy.data.collections["GTR"].objects
    # Blender (x, y, z) = GTR (x, -z, y), times 1.9 / 0.95.
    assert np.allclose([v.co for v in beside.data.vertices], [(-2, 0, -1), (2, 0, -1), (0, -0.6, 2), (0, 2, 0)])


def check_a_switched_off_collection_does_not_hide_the_result():
    scene.create_object(tetrahedron(), PLACE, "A")
    layer_collection = bpy.context.view_layer.layer_collection.children["GTR"]
    layer_collection.exclude = True
    assert scene.create_object(tetrahedron(), PLACE, "B").name in bpy.context.view_layer.objects
    layer_collection.exclude, layer_collection.hide_viewport = False, True
    assert scene.create_object(tetrahedron(), PLACE, "C").visible_get()


def check_colors_are_visible():
    obj = scene.create_object(tetrahedron(), PLACE, "A")
    attribute = obj.data.color_attributes["Color"]
    assert (attribute.data_type, attribute.domain) == ("FLOAT_COLOR", "POINT")
    assert np.allclose(attribute.data[2].color, BROWN_LINEAR, atol=1e-6)
    attributes = obj.data.color_attributes
    assert attributes.active_color.name == "Color"
    assert attributes[attributes.render_color_index].name == "Color"
    nodes = obj.material_slots[0].material.node_tree.nodes
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    link = shader.inputs["Base Color"].links[0]
    assert (link.from_node.type, link.from_node.layer_name) == ("VERTEX_COLOR", "Color")
    assert shader.inputs["Metallic"].default_value == 0
    every = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    vertices = np.random.default_rng(1).normal(size=(256, 3)).astype(np.float32)
    faces = np.arange(255, dtype=np.int32)[: 255 // 3 * 3].reshape(-1, 3)
    many = scene.create_object(MeshResult(vertices, faces, every), PLACE, "B")
    assert np.array_equal(scene.read_colors(many), every)


def check_colors_in_another_working_space():
    if not hasattr(bpy.ops.wm, "set_working_color_space") or not hasattr(bpy.data, "colorspace"):
        return  # before 5.0 there is only one
    bpy.ops.wm.set_working_color_space(working_space="ACEScg")
    assert bpy.data.colorspace.working_space == "ACEScg"
    obj = scene.create_object(tetrahedron(), PLACE, "A")
    assert np.array_equal(scene.read_colors(obj), tetrahedron().colors)
    shown = obj.data.color_attributes["Color"].data[0].color[:3]
    assert np.abs(np.subtract(shown, BROWN_LINEAR[:3])).max() > 0.02, "values of this space are other ones"
    depsgraph = bpy.context.evaluated_depsgraph_get()
    found = export.read_mesh(obj.evaluated_get(depsgraph), depsgraph, obj.matrix_world)
    assert np.abs(found.colors[0] - BROWN_LINEAR[:3]).max() < 1e-3, "files mean Rec.709 by linear"


def check_refined_colors_compare_and_revert():
    obj = scene.create_object(tetrahedron(), PLACE, "A")
    result_objects.remember(obj, refined=True)
    refined = tetrahedron((10, 20, 30)).colors
    scene.set_colors(obj, refined, keep_base=True)
    assert np.array_equal(scene.read_colors(obj), refined)
    node = next(node for node in obj.material_slots[0].material.node_tree.nodes if node.type == "VERTEX_COLOR")
    result_objects.compare(obj, True)
    assert obj.data.color_attributes.active_color.name == node.layer_name == "Color_base"
    scene.set_colors(obj, refined, keep_base=True)
    assert node.layer_name == "Color_base", "live colours must not end the comparison"
    result_objects.compare(obj, False)
    assert obj.data.color_attributes.active_color.name == node.layer_name == "Color"
    result_objects.compare(obj, True)
    scene.revert(obj)
    assert np.array_equal(scene.read_colors(obj), tetrahedron().colors)
    assert node.layer_name == "Color"


def check_edit_mode_paint_and_new_vertices_hold_colors():
    obj = scene.create_object(tetrahedron(), PLACE, "A")
    scene.select_only(obj)
    assert bpy.context.active_object == obj
    assert scene.readiness(obj, 4) == "ready"
    assert scene.readiness(obj, 5) == "changed"
    raised_values = tetrahedron().colors[:3]
    try:
        scene.set_colors(obj, raised_values, keep_base=True)
    except ValueError:
        pass
    else:
        raise AssertionError("three colours for four vertices were taken")
    bpy.ops.object.mode_set(mode="EDIT")
    assert scene.readiness(obj, 4) == "edit_mode"
    raises("edit_mode", scene.set_colors, obj, tetrahedron().colors, keep_base=True)
    raises("edit_mode", scene.replace_mesh, obj, tetrahedron())
    bpy.ops.object.mode_set(mode="OBJECT")
    assert scene.readiness(obj, 4) == "ready"
    obj.data.color_attributes["Color"].data[0].color = (1, 0, 0, 1)
    assert scene.readiness(obj, 4) == "painted"


def check_a_source_being_edited_is_not_hidden():
    source = sphere()
    bpy.ops.object.mode_set(mode="EDIT")
    placement = Placement((0, 0, 0), 1.0, "OVER", 2.0, [source.name])
    obj = scene.create_object(tetrahedron(), placement, "Ball_GTR")
    assert not source.hide_get()
    assert bpy.context.mode == "EDIT_MESH"
    assert np.array_equal(scene.read_colors(obj), tetrahedron().colors)
    scene.select_only(obj)
    assert bpy.context.view_layer.objects.active == source
    bpy.ops.object.mode_set(mode="OBJECT")


def check_preview_becomes_result_and_can_be_dropped():
    source = sphere()
    before = block_counts()
    placement = Placement((0, 0, 0), 1.0, "OVER", 2.0, [source.name])
    obj = scene.create_object(tetrahedron(), placement, "Ball_GTR")
    result_id = result_objects.info(obj)["id"]
    scene.replace_mesh(obj, MeshResult(*(a[:3] for a in vars(tetrahedron()).values())))
    assert result_objects.find(result_id) == obj
    assert (len(obj.data.vertices), len(obj.data.polygons), len(obj.data.color_attributes)) == (3, 1, 2)
    assert source.hide_get()
    scene.remove_object(obj)
    assert not source.hide_get()
    assert result_objects.find(result_id) is None
    bpy.data.collections.remove(bpy.data.collections["GTR"])
    assert block_counts() == before


def check_memory_survives_the_file():
    obj = scene.create_object(tetrahedron(), PLACE, "A")
    result_objects.remember(obj, job="j1", settings={"steps": 20})
    record = result_objects.info(obj)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.wm.open_mainfile(filepath=path)
    found = result_objects.find(record["id"])
    assert result_objects.info(found) == record
    assert (record["job"], record["settings"]) == ("j1", {"steps": 20})
    assert np.array_equal(scene.read_colors(found), tetrahedron().colors)
    assert scene.readiness(found, 4) == "ready"


def lines_run(action):
    """How many lines of Python an action runs, and its outcome: what is done for each vertex would show."""
    count = 0

    def trace(_frame, _event, _argument):
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        outcome = action()
    finally:
        sys.settrace(before)
    return count, outcome


def check_large_result_is_made_without_a_loop_over_its_vertices():
    side = 448  # 200 704 vertices, 399 618 triangles
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, side, dtype=np.float32)] * 2, indexing="ij"), -1).reshape(-1, 2)
    vertices = np.ascontiguousarray(np.insert(grid, 1, 0, axis=1))
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).reshape(-1, 1)
    faces = np.concatenate([corner + np.array(ends) for ends in ((0, 1, side + 1), (0, side + 1, side))])
    faces = faces.astype(np.int32)
    colors = np.zeros((side * side, 3), np.uint8)
    made, obj = lines_run(lambda: scene.create_object(MeshResult(vertices, faces, colors), PLACE, "Big"))
    updated, _ = lines_run(lambda: scene.set_colors(obj, colors, keep_base=True))
    assert (len(obj.data.vertices), len(obj.data.polygons)) == (len(vertices), len(faces))
    assert 0 < made < 20_000, made
    assert 0 < updated < 20_000, updated


def check_one_undo_step_each():
    bpy.ops.ed.undo_push(message="Start")
    obj = scene.create_object(tetrahedron(), PLACE, "A")
    result_id = result_objects.info(obj)["id"]
    scene.push_undo("GTR Reconstruct")
    scene.set_colors(obj, tetrahedron((1, 2, 3)).colors, keep_base=True)
    scene.push_undo("GTR Refine Texture")
    sphere("Users")
    bpy.ops.ed.undo_push(message="Users")
    bpy.ops.ed.undo()
    assert "Users" not in bpy.data.objects
    assert scene.read_colors(result_objects.find(result_id))[0].tolist() == [1, 2, 3]
    bpy.ops.ed.undo()
    assert scene.read_colors(result_objects.find(result_id))[0].tolist() == list(BROWN)
    bpy.ops.ed.undo()
    assert result_objects.find(result_id) is None
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    assert scene.read_colors(result_objects.find(result_id))[0].tolist() == [1, 2, 3]


run(globals())
