"""Runs the checks of a script inside Blender and prints one line per outcome."""

import json
import sys
import traceback
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def run(namespace):
    """Call every ``check_*`` on an empty file; the program goes on after a failure."""
    for name, function in list(namespace.items()):
        if not name.startswith("check_"):
            continue
        bpy.ops.wm.read_factory_settings(use_empty=True)
        try:
            function()
            outcome = None
        except Exception:
            outcome = f"Blender {bpy.app.version_string}\n{traceback.format_exc()}"
        print("GTR_CHECK " + json.dumps([name, outcome]), flush=True)


def srgb_to_linear(value):
    """One sRGB byte as a linear number."""
    value /= 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


BROWN = (200, 100, 50)
BROWN_LINEAR = (*(srgb_to_linear(v) for v in BROWN), 1.0)


def add(data, name="Thing", location=(0, 0, 0)):
    """A new object of some data in the scene."""
    obj = bpy.data.objects.new(name, data)
    obj.location = location
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.update()
    return obj


def sphere(name="Ball", location=(0, 0, 0), radius=1.0, segments=32):
    """A UV sphere, selected and active."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=segments, ring_count=segments // 2, radius=radius, location=location)
    obj = bpy.context.object
    obj.name = obj.data.name = name
    return obj


def monkey(location=(3, 1, 2), levels=2):
    """Suzanne with a subdivision modifier, selected and active."""
    bpy.ops.mesh.primitive_monkey_add(location=location, rotation=(0.3, -0.2, 0.7))
    obj = bpy.context.object
    obj.modifiers.new("Subdivision", "SUBSURF").levels = levels
    bpy.context.view_layer.update()
    return obj


def node_material(name="Paint"):
    """A material with nodes: (material, tree, Principled node)."""
    from blender_addon import compat

    material = bpy.data.materials.new(name)
    tree = compat.ensure_nodes(material)
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    return material, tree, shader


def block_counts():
    """Data-blocks of every kind with their users.

    Images without users before 5.0: there ``material.copy()`` counts an image of its nodes twice, and nothing ever
    takes the second one back (Blender counts anew when the file is opened).
    """
    counts = {}
    for prop in bpy.data.bl_rna.properties:
        if prop.type == "COLLECTION":
            blocks = getattr(bpy.data, prop.identifier)
            exact = prop.identifier != "images" or bpy.app.version >= (5, 0, 0)
            counts[prop.identifier] = sorted((block.name_full, block.users if exact else 0) for block in blocks)
    return counts


def raises(code, function, *args, **kwargs):
    """The ClientError that the call must raise with this code."""
    from blender_addon.errors import ClientError

    caught = None
    try:
        function(*args, **kwargs)
    except ClientError as error:
        caught = error
    assert caught is not None, f"{code} was not raised"
    assert caught.code == code, f"{caught.code} instead of {code}: {caught}"
    return caught
