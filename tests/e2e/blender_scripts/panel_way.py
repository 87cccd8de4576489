"""The whole way through the installed add-on, in one Blender without a window; prints what was measured as JSON.

``python panel_way.py ADDON_ZIP OUT_FOLDER``; GTR_HOME and GTR_PYTHON tell where the server lives.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import bpy
import numpy as np
from holding import hold, let_go

ORANGE = (200, 100, 50)


def settings():
    found = bpy.context.scene.gtr
    found.quality, found.views, found.steps, found.place = "DRAFT", 8, 10, "OVER"
    preferences = bpy.context.preferences.addons["gtr"].preferences
    preferences.size, preferences.samples = 256, 4


def orange_monkey():
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.mesh.primitive_monkey_add(size=3, location=(2, -1, 4), rotation=(0.2, 0.1, 0.5))
    obj = bpy.context.object
    obj.modifiers.new("Subdivision", "SUBSURF").levels = 2
    material = bpy.data.materials.new("Orange")
    if material.node_tree is None:
        material.use_nodes = True
    linear = [((v / 255 + 0.055) / 1.055) ** 2.4 for v in ORANGE]
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*linear, 1)
    obj.data.materials.append(material)
    bpy.context.view_layer.update()
    return obj


def printed_ball():
    """A glossy ball with dots in a white studio: its rim is brighter in each view than in the blend of all."""
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.75, location=(0, 6, 0))
    obj = bpy.context.object
    obj.name = "Printed"
    image = bpy.data.images.new("print", 64, 64)
    dots = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.float32)
    image.pixels.foreach_set(np.stack([dots, 1 - dots, 0 * dots + 0.3, 0 * dots + 1], -1).ravel())
    material = bpy.data.materials.new("Dots")
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.1
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    obj.data.materials.append(material)
    return obj


def bounds(obj):
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    matrix = np.array(obj.matrix_world)
    points = points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    evaluated.to_mesh_clear()
    return points.min(0).tolist(), points.max(0).tolist()


def colors(obj, name="Color"):
    attribute = obj.data.color_attributes[name]
    values = np.empty(4 * len(attribute.data), np.float32)
    attribute.data.foreach_get("color_srgb", values)
    return values.reshape(-1, 4)[:, :3] * 255


def record(obj):
    return json.loads(obj["gtr"])


def counts():
    return {kind: len(getattr(bpy.data, kind)) for kind in ("scenes", "objects", "meshes", "materials", "images")}


def reconstruct(facts, session):
    source = orange_monkey()
    settings()
    before = counts()
    facts["reconstruct"] = sorted(bpy.ops.gtr.reconstruct(wait=True))
    facts["error"] = str(session.error)
    result = bpy.context.view_layer.objects.active
    facts["message"] = session.message
    facts["name"], facts["scale"], facts["rotation"] = result.name, list(result.scale), list(result.rotation_euler)
    facts["collections"] = [collection.name for collection in result.users_collection]
    facts["source_bounds"], facts["result_bounds"] = bounds(source), bounds(result)
    facts["source_hidden"], facts["source_renders"] = source.hide_get(), not source.hide_render
    facts["base"] = colors(result, "Color_base").tolist()
    facts["refined"] = colors(result).tolist()
    facts["record"] = record(result)
    facts["grown"] = {kind: count - before[kind] for kind, count in counts().items()}
    return result


def texture(facts, session, out):
    source = printed_ball()
    bpy.context.scene.gtr.colors, bpy.context.scene.gtr.refine_views = "LIT", "0"

    bpy.context.scene.gtr.refine = False
    bpy.ops.gtr.reconstruct(wait=True)
    result = bpy.context.view_layer.objects.active
    facts["printed"] = result.name
    base = colors(result)
    first_job = record(result)["job"]
    facts["refine"] = sorted(bpy.ops.gtr.refine(wait=True))
    facts["refine_error"] = str(session.error)
    facts["refine_change"] = float(np.abs(colors(result) - base).max())
    facts["base_kept"] = float(np.abs(colors(result, "Color_base") - base).max())
    facts["job_changed"] = record(result)["job"] != first_job
    bpy.context.window_manager.gtr.compare = True
    facts["comparing"] = result.data.color_attributes.active_color.name
    bpy.context.window_manager.gtr.compare = False
    facts["recolour"] = sorted(edit_and_recolour(result))
    facts["recolour_error"] = str(session.error)
    facts["recolour_spread"] = float(colors(result).std(0).max())
    facts["recolour_vertices"] = [len(result.data.vertices), len(result.data.color_attributes["Color"].data)]
    bpy.ops.gtr.refine(wait=True)
    facts["refine_again_error"] = str(session.error)
    facts["revert"] = sorted(bpy.ops.gtr.revert())
    facts["reverted"] = float(np.abs(colors(result) - colors(result, "Color_base")).max())
    bpy.context.scene.gtr.export_folder = str(out)
    facts["export"] = sorted(bpy.ops.gtr.export())
    facts["exported"] = list(session.exported)
    facts["export_bounds"] = bounds(result)
    bpy.context.scene.gtr.export_colors, bpy.context.scene.gtr.export_size = "TEXTURE", 256
    bpy.context.scene.gtr.export_overwrite = True
    bpy.context.scene.gtr.export_folder = str(out / "textured")
    facts["texture"] = sorted(bpy.ops.gtr.export(wait=True))
    facts["texture_error"], facts["textured"] = str(session.error), list(session.exported)
    return source


def edit_and_recolour(obj):
    """Remesh, which drops all colours, as a user would."""
    modifier = obj.modifiers.new("Remesh", "REMESH")
    modifier.mode, modifier.voxel_size = "VOXEL", 0.05
    bpy.ops.object.modifier_apply(modifier=modifier.name)
    return bpy.ops.gtr.recolour(wait=True)


def kill(facts, session, source):
    """The server is killed in mid-job: the panel says so, keeps the inputs, and one click runs it again."""
    for obj in bpy.context.selected_objects:
        obj.select_set(False)
    source.hide_set(False)
    source.select_set(True)
    bpy.context.view_layer.objects.active = source
    bpy.context.scene.gtr.seed = 7  # another job than before: its answer is not there yet
    bpy.context.scene.gtr.views = 9
    hold("extract")
    bpy.ops.gtr.reconstruct()
    wait_for(session, lambda: session.run.stage == "extract")
    views = session.run.views
    os.kill(json.loads((Path(os.environ["GTR_HOME"]) / "server.json").read_text())["pid"], signal.SIGKILL)
    let_go()
    wait_for(session, lambda: not session.busy)
    facts["killed_state"] = session.state.value
    facts["killed_code"] = session.error.code if session.error else ""
    facts["killed_text"] = session.error.text if session.error else ""
    facts["killed_buttons"] = [list(button) for button in session.error.buttons] if session.error else []
    facts["killed_inputs"] = [len(views), session.last is not None and session.last.views == views]
    count = len(bpy.data.objects)
    bpy.ops.gtr.fix(action=session.error.buttons[0][1])
    wait_for(session, lambda: not session.busy)
    facts["again_error"] = str(session.error)
    facts["again_state"] = session.state.value
    facts["again_objects"] = len(bpy.data.objects) - count


def wait_for(session, condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still {session.state} after {seconds} s: {session.run}"
        session.tick()
        time.sleep(0.02)


def main():
    addon, out = (Path(path) for path in sys.argv[1:3])
    facts = {}
    bpy.ops.preferences.addon_install(filepath=str(addon), overwrite=True)
    facts["enable"] = sorted(bpy.ops.preferences.addon_enable(module="gtr"))
    from gtr.run.session import session

    reconstruct(facts, session)
    source = texture(facts, session, out)
    kill(facts, session, source)
    facts["disable"] = sorted(bpy.ops.preferences.addon_disable(module="gtr"))
    facts["left"] = [hasattr(bpy.types.Scene, "gtr"), hasattr(bpy.types, "GTR_PT_input")]
    facts["seconds"] = time.process_time()
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


main()
