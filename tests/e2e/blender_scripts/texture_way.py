"""Export with a texture through the installed add-on, in one Blender without a window; measures into a JSON file.

``python texture_way.py ADDON_ZIP OUT_FOLDER PRINT_PNG``; GTR_HOME and GTR_PYTHON tell where the server lives.
"""

import json
import sys
import time
from pathlib import Path

import bpy
import numpy as np
from holding import hold, let_go


def printed_box(picture):
    """A box with the print on all its sides and a corner cut into it, so that the result is no mere cube."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.mesh.primitive_cube_add(size=2, location=(3, -1, 2), rotation=(0.2, 0.1, 0.5))
    obj = bpy.context.object
    obj.name = "Printed box"
    obj.scale = (1.0, 0.7, 0.8)
    material = bpy.data.materials.new("Print")
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = bpy.data.images.load(str(picture))
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    obj.data.materials.append(material)
    bpy.context.view_layer.update()
    return obj


def save_source(obj, path):
    """Triangles of the source in the scene's axes with their places on the print, v up."""
    mesh = obj.data
    mesh.calc_loop_triangles()
    points = np.array([obj.matrix_world @ vertex.co for vertex in mesh.vertices])
    loops = np.array([triangle.loops for triangle in mesh.loop_triangles])
    corners = np.array([loop.vertex_index for loop in mesh.loops])
    uv = np.array([entry.uv for entry in mesh.uv_layers.active.data])
    np.savez(path, points=points[corners], faces=loops, uv=uv)


def select(obj):
    for other in bpy.context.selected_objects:
        other.select_set(False)
    obj.select_set(True)
    bpy.context.view_layer.objects.active = obj


def state():
    """What an export must leave as it is."""
    return {
        "counts": [len(getattr(bpy.data, kind)) for kind in ("scenes", "objects", "meshes", "materials", "images")],
        "layers": [len(obj.data.uv_layers) for obj in bpy.data.objects if obj.type == "MESH"],
        "selected": [obj.name for obj in bpy.context.selected_objects],
        "mode": bpy.context.mode,
    }


def export(facts, session, key, file_format, colors="TEXTURE", size=1024):
    settings = bpy.context.scene.gtr
    settings.export_format, settings.export_colors, settings.export_size = file_format, colors, size
    before, began = state(), time.process_time()
    outcome = sorted(bpy.ops.gtr.export(wait=True))
    facts[key] = {
        "outcome": outcome,
        "error": session.error.text if session.error else "",
        "code": session.error.code if session.error else "",
        "lines": list(session.exported),
        "notes": list(session.notes),
        "message": session.message,
        "untouched": state() == before,
        "cpu": time.process_time() - began,
    }


def two(facts, session, result, out):
    """Several objects are written one after the other."""
    copy = result.copy()
    copy.data, copy.name = result.data.copy(), "Second"
    bpy.context.scene.collection.objects.link(copy)
    copy.select_set(True)
    settings = bpy.context.scene.gtr
    settings.export_scope, settings.export_folder = "SELECTED", str(out / "two")
    export(facts, session, "two", "GLB", size=256)
    settings.export_scope = "ACTIVE"
    bpy.data.objects.remove(copy)


def cancel(facts, session):
    """A click on the cross ends the export and leaves no file."""
    seen, fractions, show = [], [], session.show

    def note(run, stage, *more):
        seen.append(stage)
        show(run, stage, *more)
        fractions.append(run.fraction)

    session.show = note
    hold("color")
    bpy.ops.gtr.export()
    while session.busy:
        session.tick()
        if "color" in seen and session.run is not None and not session.run.cancelling:
            bpy.ops.gtr.cancel()
        time.sleep(0.01)
    let_go()
    del session.show
    facts["cancel"] = {"stages": seen, "message": session.message, "lines": list(session.exported)}
    facts["cancel"]["rising"] = fractions == sorted(fractions)


def main():
    addon, out, picture = (Path(path) for path in sys.argv[1:4])
    facts = {}
    bpy.ops.preferences.addon_install(filepath=str(addon), overwrite=True)
    bpy.ops.preferences.addon_enable(module="gtr")
    from gtr.run.session import session

    source = printed_box(picture)
    save_source(source, out / "source.npz")
    settings = bpy.context.scene.gtr
    settings.quality, settings.views, settings.place, settings.refine = "DRAFT", 14, "OVER", False
    preferences = bpy.context.preferences.addons["gtr"].preferences
    preferences.size, preferences.samples = 384, 4
    facts["reconstruct"] = sorted(bpy.ops.gtr.reconstruct(wait=True))
    result = bpy.context.view_layer.objects.active
    facts["vertices"] = len(result.data.vertices)
    select(result)
    for key, file_format, colors in (
        ("vertex", "GLB", "VERTEX"), ("glb", "GLB", "TEXTURE"), ("obj", "OBJ", "TEXTURE"), ("ply", "PLY", "TEXTURE")
    ):  # fmt: skip
        settings.export_folder = str(out / key)
        export(facts, session, key, file_format, colors)
    two(facts, session, result, out)
    settings.export_folder = str(out / "cancelled")
    settings.export_format, settings.export_size = "GLB", 2048
    cancel(facts, session)
    paint(result)
    settings.export_folder = str(out / "bent")
    bend(result)
    export(facts, session, "bent", "GLB", size=512)
    source.hide_set(False)
    select(source)
    settings.export_folder = str(out / "foreign")
    export(facts, session, "foreign", "GLB")
    bpy.ops.preferences.addon_disable(module="gtr")
    facts["seconds"] = time.process_time()
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def paint(obj):
    attribute = obj.data.color_attributes["Color"]
    values = np.empty(4 * len(attribute.data), np.float32)
    attribute.data.foreach_get("color", values)
    values[:4] = 1 - values[:4]
    attribute.data.foreach_set("color", values)


def bend(obj):
    """Move every vertex by a modifier: the texture must follow the vertices."""
    modifier = obj.modifiers.new("Bend", "SIMPLE_DEFORM")
    modifier.deform_method, modifier.deform_axis, modifier.angle = "BEND", "Z", 1.2


main()
