"""What a capture sees, and that it leaves nothing behind."""

import io
import math
import random
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Matrix, Vector
from scenario import BROWN, BROWN_LINEAR, add, block_counts, monkey, node_material, raises, run, sphere

from blender_addon import blender_cameras, capture, capture_scene, coords
from blender_addon.capture import Capture, CaptureSettings, capture_signature

SMALL = CaptureSettings(views=4, size=64)


def take(objects, settings=SMALL, steps=None):
    shot = Capture(bpy.context, objects, settings)
    try:
        while shot.step() is not None and len(shot.views) != steps:
            pass
    finally:
        shot.close()
    return shot


def pixels(view):
    """(H,W,4) uint8 of a view's PNG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "view.png"
        path.write_bytes(view.png)
        image = bpy.data.images.load(str(path))
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        width, height = image.size
        bpy.data.images.remove(image)
    return np.rint(values * 255).astype(np.uint8).reshape(height, width, 4)[::-1]


def colors_seen(obj, settings=SMALL, steps=1):
    """Set of the colours of all opaque pixels."""
    image = pixels(take([obj], settings, steps).views[0])
    return {tuple(int(v) for v in color[:3]) for color in image[image[..., 3] == 255]}


def painted_ball(material):
    ball = sphere()
    ball.data.materials.append(material)
    return ball


def array(data):
    return np.load(io.BytesIO(data), allow_pickle=False)


# --- colours --------------------------------------------------------------------------------------------------------


def check_constant_color():
    material, _, shader = node_material()
    shader.inputs["Base Color"].default_value = BROWN_LINEAR
    shader.inputs["Metallic"].default_value = 1.0
    shader.inputs["Roughness"].default_value = 0.0
    assert colors_seen(painted_ball(material)) == {BROWN}


def brown_image(alpha=255):
    image = bpy.data.images.new("Picture", 8, 8, alpha=True)
    values = np.empty((8, 8, 4), np.float32)
    values[...] = [v / 255 for v in (*BROWN, alpha)]
    image.pixels.foreach_set(values.ravel())
    image.pack()
    return image


def check_image_texture():
    material, tree, shader = node_material()
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = brown_image()
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    assert colors_seen(painted_ball(material)) == {BROWN}


def check_image_alpha_shows_through():
    material, tree, shader = node_material()
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = brown_image(alpha=51)
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(node.outputs["Alpha"], shader.inputs["Alpha"])
    bpy.ops.mesh.primitive_plane_add(rotation=(math.pi / 2, 0, 0))
    plane = bpy.context.object
    plane.data.materials.append(material)
    middle = pixels(take([plane], CaptureSettings(views=4, size=64, samples=64), 1).views[0])[32, 32]
    assert abs(int(middle[3]) - 51) <= 2, middle
    assert np.abs(middle[:3].astype(int) - BROWN).max() <= 2, middle


def vertex_painted(kind, domain):
    material, tree, shader = node_material()
    node = tree.nodes.new("ShaderNodeVertexColor")
    node.layer_name = "Paint"
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    ball = painted_ball(material)
    attribute = ball.data.color_attributes.new("Paint", kind, domain)
    attribute.data.foreach_set("color", np.tile(np.array(BROWN_LINEAR, np.float32), len(attribute.data)))
    return ball


def check_vertex_colors():
    assert colors_seen(vertex_painted("FLOAT_COLOR", "POINT")) == {BROWN}
    assert colors_seen(vertex_painted("BYTE_COLOR", "CORNER")) == {BROWN}


def check_group_and_mix_of_shaders():
    group = bpy.data.node_groups.new("Inner", "ShaderNodeTree")
    inner, group_out = group.nodes.new("ShaderNodeBsdfPrincipled"), group.nodes.new("NodeGroupOutput")
    inner.inputs["Base Color"].default_value = (1, 0, 0, 1)
    if hasattr(group, "interface"):
        group.interface.new_socket("Shader", in_out="OUTPUT", socket_type="NodeSocketShader")
    else:
        group.outputs.new("NodeSocketShader", "Shader")
    group.links.new(inner.outputs[0], group_out.inputs[0])
    material, tree, shader = node_material()
    shader.inputs["Base Color"].default_value = (0, 0, 1, 1)
    node, mix = tree.nodes.new("ShaderNodeGroup"), tree.nodes.new("ShaderNodeMixShader")
    node.node_tree = group
    mix.inputs[0].default_value = 0.25
    tree.links.new(shader.outputs[0], mix.inputs[1])
    tree.links.new(node.outputs[0], mix.inputs[2])
    output = next(n for n in tree.nodes if n.type == "OUTPUT_MATERIAL")
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    # Linear 0.25 red and 0.75 blue are 137 and 225 in sRGB. Noise picks one shader per sample, so look at the mean.
    shot = take([painted_ball(material)], CaptureSettings(views=4, size=64, samples=16), 1)
    image = pixels(shot.views[0])
    mean = image[image[..., 3] == 255][:, :3].mean(axis=0)
    assert np.abs(mean - (137, 0, 225)).max() < 4, mean
    assert {"Inner"} == {g.name for g in bpy.data.node_groups}


def check_faces_without_material():
    assert colors_seen(sphere()) == {(231, 231, 231)}
    plain = bpy.data.materials.new("Plain")
    if bpy.app.version < (5, 0, 0):
        plain.diffuse_color = BROWN_LINEAR
        assert colors_seen(painted_ball(plain)) == {BROWN}


def check_slot_linked_to_object():
    red, _, shader = node_material("Red")
    shader.inputs["Base Color"].default_value = (1, 0, 0, 1)
    brown, _, shader = node_material("Brown")
    shader.inputs["Base Color"].default_value = BROWN_LINEAR
    ball = painted_ball(red)
    ball.material_slots[0].link = "OBJECT"
    ball.material_slots[0].material = brown
    assert colors_seen(ball) == {BROWN}


def check_own_light_of_a_black_surface():
    material, _, shader = node_material()
    shader.inputs["Base Color"].default_value = (0, 0, 0, 1)
    color = shader.inputs.get("Emission Color") or shader.inputs["Emission"]
    color.default_value = BROWN_LINEAR
    shader.inputs["Emission Strength"].default_value = 7.0
    assert colors_seen(painted_ball(material)) == {BROWN}


def check_white_studio_shows_a_ball_as_it_is():
    # A convex body under uniform light sends out its albedo.
    image = pixels(take([sphere()], CaptureSettings(views=4, size=64, colors="LIT"), 1).views[0])
    mean = image[image[..., 3] == 255][:, :3].mean(axis=0)
    assert np.abs(mean - 231).max() < 5, mean


def check_scene_lights():
    ball = sphere()
    settings = CaptureSettings(views=4, size=64, colors="RENDERED", samples=4)
    assert colors_seen(ball, settings) == {(0, 0, 0)}
    lamp = add(bpy.data.lights.new("Sun", "SUN"))
    lamp.rotation_euler = (0, math.pi / 2, 0)  # shines towards -X: seen from the right the ball is bright
    shot = take([ball], settings, 4)
    right, left = (pixels(shot.views[i])[32, 32, :3].max() for i in (1, 3))
    assert right > 100, right
    assert left == 0, left


# --- what is captured -----------------------------------------------------------------------------------------------


def check_every_kind_of_surface():
    text = add(bpy.data.curves.new("Words", "FONT"), "Words", (0, 0, 5))
    text.data.body, text.data.extrude = "GTR", 0.1
    curve = bpy.data.curves.new("Wire", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.1
    spline = curve.splines.new("POLY")
    spline.points.add(1)
    spline.points[1].co = (0, 0, -4, 1)
    wire = add(curve, "Wire")
    bpy.ops.object.metaball_add(location=(-6, 0, 0))
    meta = bpy.context.object
    bpy.context.view_layer.update()
    for obj, low, high in ((text, 5, 5.5), (wire, -4, 0), (meta, -3, 3)):
        shot = take([obj], SMALL, 1)
        z = shot.placement.center[2]
        assert low <= z <= high, (obj.type, z)
        assert (array(shot.views[0].depth_npy) > 0).any(), obj.type


def check_children_instances_and_hidden():
    parent = add(None, "Rig")
    child, hidden = sphere("Child", (4, 0, 0)), sphere("Hidden", (-40, 0, 0))
    for obj in (child, hidden):
        obj.parent = parent
    hidden.hide_render = True
    group = bpy.data.collections.new("Kit")
    group.objects.link(sphere("Part", (0, 0, 0), 0.5))
    copies = add(None, "Copies", (0, 0, 9))
    copies.instance_type, copies.instance_collection = "COLLECTION", group
    copies.parent = parent
    shot = take([parent], SMALL, 1)
    assert np.allclose(shot.placement.center, (2.25, 0, 4.25), atol=1e-4), shot.placement
    assert abs(shot.placement.width - 5.5) < 1e-4, shot.placement


def check_modifiers_count():
    ball = sphere()
    ball.modifiers.new("Row", "ARRAY").count = 3
    bpy.context.view_layer.update()
    placement = take([ball], SMALL, 1).placement
    assert abs(placement.width - 6) < 1e-4, placement


def check_geometry_nodes_instances():
    tree = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    if hasattr(tree, "interface"):
        tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
        tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    else:
        tree.inputs.new("NodeSocketGeometry", "Geometry")
        tree.outputs.new("NodeSocketGeometry", "Geometry")
    ends = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    scatter, cube = tree.nodes.new("GeometryNodeInstanceOnPoints"), tree.nodes.new("GeometryNodeMeshCube")
    tree.links.new(ends[0].outputs[0], scatter.inputs["Points"])
    tree.links.new(cube.outputs["Mesh"], scatter.inputs["Instance"])
    tree.links.new(scatter.outputs[0], ends[1].inputs[0])
    mesh = bpy.data.meshes.new("Points")
    mesh.from_pydata([(0, 0, 0), (7, 0, 0)], [], [])
    obj = add(mesh)
    obj.modifiers.new("Scatter", "NODES").node_group = tree
    bpy.context.view_layer.update()
    placement = take([obj], SMALL, 1).placement
    assert abs(placement.width - 8) < 1e-4, placement


def check_refusals():
    raises("no_selection", Capture, bpy.context, [], SMALL)
    raises("nothing_renderable", Capture, bpy.context, [add(None), add(bpy.data.lights.new("L", "POINT"))], SMALL)
    line = bpy.data.meshes.new("Line")
    line.from_pydata([(0, 0, 0), (1, 0, 0), (2, 0, 0)], [], [(0, 1, 2)])
    raises("tiny_object", Capture, bpy.context, [add(line)], SMALL)
    assert not bpy.data.scenes[1:]


def check_signature():
    ball = monkey()
    first = capture_signature(bpy.context, [ball], SMALL)
    assert capture_signature(bpy.context, [ball], SMALL) == first
    assert capture_signature(bpy.context, [ball], CaptureSettings(views=6)) != first
    ball.modifiers[0].levels = 1
    bpy.context.view_layer.update()
    second = capture_signature(bpy.context, [ball], SMALL)
    assert second != first
    ball.location.x += 1
    bpy.context.view_layer.update()
    assert capture_signature(bpy.context, [ball], SMALL) != second


# --- cameras, depth, normals ----------------------------------------------------------------------------------------


def check_views_have_the_cameras_they_say():
    obj = monkey()
    shot = Capture(bpy.context, [obj], CaptureSettings(views=14, size=512))
    scene = bpy.data.scenes[shot._scene.name]
    unit, center = shot.placement.radius / 0.95, Vector(shot.placement.center)
    scene.render.resolution_x = scene.render.resolution_y = 512
    rng, worst = random.Random(1), 0.0
    for camera in shot._cameras:
        scene.camera.matrix_world = blender_cameras.pose_in_blender(camera.world_to_camera, center, unit)
        scene.view_layers[0].update()
        for _ in range(50):
            point = Vector([rng.uniform(-0.6, 0.6) for _ in range(3)])
            view = world_to_camera_view(scene, scene.camera, Vector(coords.blender_from_gtr(point)) * unit + center)
            x, y, z = (Matrix(camera.world_to_camera) @ point.to_4d())[:3]
            u, v = (camera.K[i][i] * c / z + camera.K[i][2] for i, c in ((0, x), (1, y)))
            worst = max(worst, abs(u - view.x * 512), abs(v - (1 - view.y) * 512))
    shot.close()
    assert worst < 1e-3, worst


def check_any_camera_object():
    data = bpy.data.cameras.new("Eye")
    camera = add(data, "Eye", (4, -7, 3))
    camera.rotation_euler, camera.scale = (1.1, 0.2, 0.4), (2, 3, 0.5)
    scene = bpy.context.scene
    rng, worst = random.Random(2), 0.0
    for fit in ("AUTO", "HORIZONTAL", "VERTICAL"):
        for width, height in ((640, 480), (480, 640), (512, 512)):
            for aspect in ((1, 1), (2, 1), (1, 1.5)):
                data.sensor_fit, data.sensor_width, data.sensor_height, data.lens = fit, 36, 22, 41
                data.shift_x, data.shift_y = 0.1, -0.07
                scene.render.resolution_x, scene.render.resolution_y = width, height
                scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
                bpy.context.view_layer.update()
                K = blender_cameras.intrinsics(data, width, height, aspect)
                w2c = Matrix(blender_cameras.world_to_camera(camera, (1, 2, 3), 2.5))
                for _ in range(20):
                    local = Vector((rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4), -1)) * rng.uniform(2, 9)
                    rigid = Matrix.LocRotScale(camera.location, camera.rotation_euler, None)
                    point = rigid @ local
                    seen = world_to_camera_view(scene, camera, point)
                    gtr = Vector(coords.gtr_from_blender((point - Vector((1, 2, 3))) / 2.5))
                    x, y, z = (w2c @ gtr.to_4d())[:3]
                    u, v = (K[i][i] * c / z + K[i][2] for i, c in ((0, x), (1, y)))
                    worst = max(worst, abs(u - seen.x * width), abs(v - (1 - seen.y) * height))
    assert worst < 1e-3, worst


def check_depth_and_normals_are_where_rays_hit():
    obj = monkey()
    shot = take([obj], CaptureSettings(views=6, size=128))
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    center, unit = np.array(shot.placement.center), shot.placement.radius / 0.95
    to_local = obj.matrix_world.inverted()
    rng = random.Random(3)
    distances, angles = [], []
    for view in shot.views:
        depth, normal = array(view.depth_npy), array(view.normal_npy)
        assert (depth.dtype, depth.shape, normal.dtype, normal.shape) == (
            np.float32,
            (128, 128),
            np.float32,
            (128, 128, 3),
        )
        assert ((depth > 0) == (np.linalg.norm(normal, axis=-1) > 0.5)).all()
        pose, K = np.linalg.inv(view.world_to_camera), np.array(view.K)
        rows, columns = np.nonzero(depth)
        for k in rng.sample(range(len(rows)), 150):
            r, c = rows[k], columns[k]
            ray = np.linalg.inv(K) @ (c + 0.5, r + 0.5, 1) * depth[r, c]
            point = pose[:3, :3] @ ray + pose[:3, 3]
            in_scene = Vector(coords.blender_from_gtr(tuple(point))) * unit + Vector(center)
            eye = Vector(coords.blender_from_gtr(tuple(pose[:3, 3]))) * unit + Vector(center)
            start = to_local @ eye
            hit, where, face_normal, _ = evaluated.ray_cast(start, (to_local @ in_scene) - start)
            if hit:
                distances.append(((obj.matrix_world @ where) - in_scene).length)
                world = (to_local.transposed().to_3x3() @ face_normal).normalized()
                cosine = world.dot(Vector(coords.blender_from_gtr(tuple(normal[r, c].tolist()))))
                angles.append(math.degrees(math.acos(max(-1.0, min(1.0, cosine)))))
    assert len(distances) > 850, len(distances)
    assert np.median(distances) <= 1e-5 * shot.placement.radius, np.median(distances)
    assert np.median(angles) < 0.1, np.median(angles)


# --- nothing is left behind -----------------------------------------------------------------------------------------


def snapshot():
    scene = bpy.context.scene
    settings = {
        f"{group}.{prop.identifier}": repr(getattr(block, prop.identifier))
        for group, block in (
            ("render", scene.render), ("image", scene.render.image_settings), ("view", scene.view_settings),
            ("cycles", getattr(scene, "cycles", scene.render)),
        )
        for prop in block.bl_rna.properties
        if prop.type in {"BOOLEAN", "INT", "FLOAT", "ENUM", "STRING"}
        and not getattr(prop, "is_array", False)
    }  # fmt: skip
    layer = bpy.context.view_layer
    return {
        "blocks": block_counts(),
        "settings": settings,
        "scene": (scene.name, scene.frame_current, scene.camera and scene.camera.name),
        "selected": sorted(obj.name for obj in layer.objects if obj.select_get()),
        "active": layer.objects.active and layer.objects.active.name,
        "mode": bpy.context.mode,
        "matrices": {obj.name: [tuple(row) for row in obj.matrix_world] for obj in bpy.data.objects},
        "files": sorted(path.name for path in Path(bpy.app.tempdir or tempfile.gettempdir()).glob("gtr_capture_*")),
    }


def assert_same(before, after):
    flat = [{**state, **state["blocks"], **state["settings"]} for state in (before, after)]
    changed = {key: (flat[0][key], flat[1][key]) for key in flat[0] if flat[0][key] != flat[1][key]}
    changed.pop("blocks", None), changed.pop("settings", None)
    assert not changed, changed


def busy_scene():
    scene = bpy.context.scene
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.resolution_x, scene.render.filepath = 333, "//mine.png"
    scene.camera = add(bpy.data.cameras.new("Mine"), "Mine")
    scene.frame_set(7)
    sphere("Other", (9, 0, 0))
    material, tree, shader = node_material()
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = brown_image()
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    obj = monkey(levels=1)
    obj.data.materials.append(material)
    obj.keyframe_insert("location", frame=7)
    bpy.context.view_layer.update()
    return obj


def check_untouched_in_every_mode():
    obj = busy_scene()
    calls = []
    handlers = (bpy.app.handlers.render_pre, bpy.app.handlers.render_complete, bpy.app.handlers.frame_change_post)
    for handler in handlers:
        handler.append(lambda *args: calls.append(args))
    for mode in ("OBJECT", "EDIT", "SCULPT", "VERTEX_PAINT"):
        bpy.ops.object.mode_set(mode=mode)
        before = snapshot()
        shot = take([obj], SMALL, 2)
        assert len(shot.views) == 2
        assert (array(shot.views[0].depth_npy) > 0).any(), mode
        assert_same(before, snapshot())
    bpy.ops.object.mode_set(mode="OBJECT")
    assert not calls
    assert [len(handler) for handler in handlers] == [1, 1, 1]


def check_untouched_after_a_failure():
    obj = busy_scene()
    before = snapshot()
    real = capture.exr.read_channels

    def broken(data):
        raise ValueError("cut off")

    capture.exr.read_channels = broken
    try:
        raises("internal", take, [obj])
    finally:
        capture.exr.read_channels = real
    assert_same(before, snapshot())
    shot = Capture(bpy.context, [obj], SMALL)
    shot.step()
    folder, shot._folder = shot._folder, Path(__file__) / "no folder"
    raises("internal", shot.step)
    assert shot.step() is None
    shot.close()
    shutil.rmtree(folder)
    assert_same(before, snapshot())
    shot = Capture(bpy.context, [obj], SMALL)
    shot.step()
    shot.close()
    shot.close()
    assert_same(before, snapshot())


def check_goes_on_when_its_scene_vanishes():
    obj = monkey(levels=1)
    whole = take([obj])
    shot = Capture(bpy.context, [obj], SMALL)
    shot.step()
    capture_scene.remove_temporary()
    while shot.step() is not None:
        pass
    assert [view.name for view in shot.views] == [view.name for view in whole.views]
    assert all(a.depth_npy == b.depth_npy for a, b in zip(shot.views, whole.views, strict=True))
    shot = Capture(bpy.context, [obj], SMALL)
    shot.step()
    capture_scene.remove_temporary()
    bpy.data.objects.remove(obj)
    raises("no_selection", shot.step)
    assert not bpy.data.scenes[1:]


run(globals())
