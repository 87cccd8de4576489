"""Materials as the cameras see them: their own colour without light, and the direction of the surface as a pass."""

from __future__ import annotations

import bpy

from .. import compat

NORMAL_PASS = "gtr_normal"
"""Name of the render pass that carries the geometric normal (world axes)."""
DEFAULT_COLOR = (0.8, 0.8, 0.8)
"""Linear colour of a face without material, as Blender shows it."""
MARK = "gtr_temporary"
"""Custom property of every data-block that a capture makes and takes away again."""

_COLOR_INPUTS = ("Base Color", "Color", "Main Color")
_SHADERS = {
    "BSDF_PRINCIPLED", "BSDF_DIFFUSE", "BSDF_GLOSSY", "BSDF_ANISOTROPIC", "BSDF_GLASS", "BSDF_REFRACTION",
    "BSDF_TRANSLUCENT", "BSDF_VELVET", "BSDF_SHEEN", "BSDF_TOON", "BSDF_HAIR", "BSDF_HAIR_PRINCIPLED", "BSDF_METALLIC",
    "SUBSURFACE_SCATTERING", "EEVEE_SPECULAR",
}  # fmt: skip


class MaterialCopies:
    """Makes each material's copy once.

    Args:
        flat: replace every light-scattering shader by the emission of its colour.
    """

    def __init__(self, *, flat: bool) -> None:
        self._flat = flat
        self._copies: dict[str, bpy.types.Material] = {}
        self._groups: dict[str, bpy.types.NodeTree] = {}

    def of(self, material: bpy.types.Material | None) -> bpy.types.Material:
        """The copy of a material; None stands for a face without material."""
        key = "" if material is None else material.name_full
        if key not in self._copies:
            copy = self._plain(material) if _is_plain(material) else self._with_nodes(material)
            if self._flat:
                compat.do_not_sample_as_light(copy)
            self._copies[key] = copy
        return self._copies[key]

    def _plain(self, material: bpy.types.Material | None) -> bpy.types.Material:
        copy = bpy.data.materials.new(".gtr_capture")
        copy[MARK] = True
        tree = compat.ensure_nodes(copy)
        tree.nodes.clear()
        output = tree.nodes.new("ShaderNodeOutputMaterial")
        shader = tree.nodes.new("ShaderNodeEmission" if self._flat else "ShaderNodeBsdfDiffuse")
        color = DEFAULT_COLOR if material is None else material.diffuse_color[:3]
        shader.inputs["Color"].default_value = (*color, 1.0)
        tree.links.new(shader.outputs[0], output.inputs["Surface"])
        _add_normal_pass(tree)
        return copy

    def _with_nodes(self, material: bpy.types.Material) -> bpy.types.Material:
        copy = material.copy()
        copy[MARK] = True
        copy.use_fake_user = False
        tree = copy.node_tree
        output = tree.get_output_node("CYCLES") or tree.get_output_node("EEVEE")
        if output is not None:
            output.target = "ALL"
            output.is_active_output = True
            if self._flat:
                for link in list(output.inputs["Volume"].links):
                    tree.links.remove(link)
        if self._flat:
            self._flatten(tree)
        _add_normal_pass(tree)
        return copy

    def _flatten(self, tree: bpy.types.NodeTree) -> None:
        for node in list(tree.nodes):
            if node.type == "SHADERTORGB" and not node.mute:
                _bypass_shader_to_rgb(tree, node)
        for node in list(tree.nodes):
            if node.mute:
                continue
            if node.type in _SHADERS:
                _replace_by_emission(tree, node)
            elif node.type == "EMISSION":
                _limit_strength(tree, node)
            elif node.type == "GROUP" and node.node_tree is not None:
                node.node_tree = self._group(node.node_tree)

    def _group(self, tree: bpy.types.NodeTree) -> bpy.types.NodeTree:
        key = tree.name_full
        if key not in self._groups:
            copy = tree.copy()
            copy[MARK] = True
            copy.use_fake_user = False
            self._groups[key] = copy
            self._flatten(copy)
        return self._groups[key]


def _is_plain(material: bpy.types.Material | None) -> bool:
    return material is None or not compat.uses_nodes(material)


def _replace_by_emission(tree: bpy.types.NodeTree, shader: bpy.types.Node) -> None:
    """Put the shader's colour, as an emission that shows through where it is transparent, in the shader's place."""
    color = _color_socket(shader)
    emission = tree.nodes.new("ShaderNodeEmission")
    _carry(tree, color, emission.inputs["Color"])
    result = _with_own_light(tree, shader, emission.outputs[0])
    alpha = shader.inputs.get("Alpha") if shader.type == "BSDF_PRINCIPLED" else None
    if alpha is not None and (alpha.is_linked or alpha.default_value < 1):
        mix = tree.nodes.new("ShaderNodeMixShader")
        clear = tree.nodes.new("ShaderNodeBsdfTransparent")
        _carry(tree, alpha, mix.inputs[0])
        tree.links.new(clear.outputs[0], mix.inputs[1])
        tree.links.new(result, mix.inputs[2])
        result = mix.outputs[0]
    for link in list(shader.outputs[0].links):
        tree.links.new(result, link.to_socket)


def _bypass_shader_to_rgb(tree: bpy.types.NodeTree, node: bpy.types.Node) -> None:
    """Hand on the colour of the shader before it, as if fully lit; Cycles itself would hand on black."""
    links = node.inputs["Shader"].links
    if not links or links[0].from_node.type not in _SHADERS:
        return
    color = _color_socket(links[0].from_node)
    if color.is_linked:
        source = color.links[0].from_socket
    else:
        rgb = tree.nodes.new("ShaderNodeRGB")
        source = rgb.outputs[0]
        source.default_value = color.default_value
    opaque = tree.nodes.new("ShaderNodeValue").outputs[0]
    opaque.default_value = 1.0
    for output, value in ((node.outputs["Color"], source), (node.outputs["Alpha"], opaque)):
        for link in list(output.links):
            tree.links.new(value, link.to_socket)


def _with_own_light(
    tree: bpy.types.NodeTree, shader: bpy.types.Node, surface: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """Add what a Principled shader emits by itself: a screen, a lamp, a picture without shading."""
    color = shader.inputs.get("Emission Color") or shader.inputs.get("Emission")
    strength = shader.inputs.get("Emission Strength")
    if color is None or strength is None or shader.type != "BSDF_PRINCIPLED":
        return surface
    dark = not color.is_linked and max(color.default_value[:3]) <= 0
    if dark or (not strength.is_linked and strength.default_value <= 0):
        return surface
    light = tree.nodes.new("ShaderNodeEmission")
    _carry(tree, color, light.inputs["Color"])
    _carry(tree, strength, light.inputs["Strength"])
    _limit_strength(tree, light)
    both = tree.nodes.new("ShaderNodeAddShader")
    tree.links.new(surface, both.inputs[0])
    tree.links.new(light.outputs[0], both.inputs[1])
    return both.outputs[0]


def _limit_strength(tree: bpy.types.NodeTree, emission: bpy.types.Node) -> None:
    # A lamp of strength 10 would clip every channel to white; its colour is what belongs on the surface.
    strength = emission.inputs["Strength"]
    if not strength.is_linked:
        strength.default_value = min(strength.default_value, 1.0)
        return
    least = tree.nodes.new("ShaderNodeMath")
    least.operation = "MINIMUM"
    least.inputs[1].default_value = 1.0
    tree.links.new(strength.links[0].from_socket, least.inputs[0])
    tree.links.new(least.outputs[0], strength)


def _color_socket(shader: bpy.types.Node) -> bpy.types.NodeSocket | None:
    for name in _COLOR_INPUTS:
        if name in shader.inputs:
            return shader.inputs[name]
    return next((socket for socket in shader.inputs if socket.type == "RGBA"), None)


def _carry(tree: bpy.types.NodeTree, source: bpy.types.NodeSocket | None, target: bpy.types.NodeSocket) -> None:
    """Give ``target`` the link or else the value of ``source``."""
    if source is None:
        return
    if source.is_linked and not source.links[0].is_muted:
        tree.links.new(source.links[0].from_socket, target)
    else:
        target.default_value = source.default_value


def _add_normal_pass(tree: bpy.types.NodeTree) -> None:
    geometry = tree.nodes.new("ShaderNodeNewGeometry")
    output = tree.nodes.new("ShaderNodeOutputAOV")
    compat.name_aov_output(output, NORMAL_PASS)
    tree.links.new(geometry.outputs["True Normal"], output.inputs["Color"])
