"""Colours that a capture sees."""

import io
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from capturing import brown_image, colors_seen, pixels, take
from scenario import BROWN, BROWN_LINEAR, add, node_material, run, sphere

from blender_addon.capture import CaptureSettings


def painted_ball(material):
    ball = sphere()
    ball.data.materials.append(material)
    return ball


def check_constant_color():
    material, _, shader = node_material()
    shader.inputs["Base Color"].default_value = BROWN_LINEAR
    shader.inputs["Metallic"].default_value = 1.0
    shader.inputs["Roughness"].default_value = 0.0
    assert colors_seen(painted_ball(material)) == {BROWN}


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


def check_toon_shader():
    material, tree, shader = node_material()
    shader.inputs["Base Color"].default_value = (1, 1, 1, 1)
    to_rgb, ramp = tree.nodes.new("ShaderNodeShaderToRGB"), tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[1].color = BROWN_LINEAR
    tree.links.new(shader.outputs[0], to_rgb.inputs[0])
    tree.links.new(to_rgb.outputs["Color"], ramp.inputs[0])
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(ramp.outputs["Color"], output.inputs["Surface"])
    assert colors_seen(painted_ball(material)) == {BROWN}


def check_generated_coordinates_ignore_modifiers():
    material, tree, shader = node_material()
    coordinates, ramp = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeValToRGB")
    separate = tree.nodes.new("ShaderNodeSeparateXYZ")
    ramp.color_ramp.interpolation = "CONSTANT"
    ramp.color_ramp.elements[1].position = 0.6
    tree.links.new(coordinates.outputs["Generated"], separate.inputs[0])
    tree.links.new(separate.outputs["Z"], ramp.inputs[0])
    tree.links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.data.materials.append(material)
    cube.modifiers.new("Shrunk", "SUBSURF").levels = 3
    bpy.context.view_layer.update()
    shot = take([cube], CaptureSettings(views=4, size=128), 1)
    image = pixels(shot.views[0])
    column = image[:, 64]
    rows = np.nonzero(column[:, 3] == 255)[0]
    white = np.nonzero((column[:, 0] > 128) & (column[:, 3] == 255))[0]
    # White begins at z = 0.2 of the cube's own box, although the smoothed surface is smaller than that box.
    depth = np.load(io.BytesIO(shot.views[0].depth_npy))[white[-1], 64]
    z = (63.5 - white[-1]) / shot.views[0].K[1][1] * depth * shot.placement.radius / 0.95
    assert len(white) < len(rows)
    assert abs(z - 0.2) < 0.03, z


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


run(globals())
