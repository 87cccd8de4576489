"""What is captured of a selection, and what is refused."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from capturing import SMALL, array, take
from scenario import add, monkey, raises, run, sphere

from blender_addon.capture import Capture, CaptureSettings, capture_signature


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


run(globals())
