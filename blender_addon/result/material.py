"""The material of a result: its vertex colours, straight into the base colour."""

from __future__ import annotations

import bpy

from .. import compat
from .vertex_colors import CURRENT

ROUGHNESS = 0.8
"""The colours already carry the look of the surface; a glossy coat over them would hide it."""


def new_material(name: str, *, unlit: bool) -> bpy.types.Material:
    """A material with one Color Attribute node.

    Args:
        name: of the material.
        unlit: emit the colours instead of lighting them.
    """
    material = bpy.data.materials.new(name)
    tree = compat.ensure_nodes(material)
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new("ShaderNodeEmission" if unlit else "ShaderNodeBsdfPrincipled")
    color = tree.nodes.new("ShaderNodeVertexColor")
    color.layer_name = CURRENT
    if not unlit:
        shader.inputs["Metallic"].default_value = 0.0
        shader.inputs["Roughness"].default_value = ROUGHNESS
    # Exporters find vertex colours only through a direct link.
    tree.links.new(color.outputs["Color"], shader.inputs["Color" if unlit else "Base Color"])
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    color.location, shader.location, output.location = (-250, 0), (0, 0), (300, 0)
    return material
