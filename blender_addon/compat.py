"""Every difference between Blender versions that the add-on meets, and nowhere else."""

from __future__ import annotations

import bpy

VERSION: tuple[int, int, int] = tuple(bpy.app.version)


def uses_nodes(owner: bpy.types.ID) -> bool:
    """Whether a material or world is made of nodes (5.0 always says so and deprecates the switch)."""
    if owner.node_tree is None:
        return False
    return VERSION >= (5, 0, 0) or bool(owner.use_nodes)


def ensure_nodes(owner: bpy.types.ID) -> bpy.types.NodeTree:
    """The node tree of a material or world, made when it is absent."""
    if owner.node_tree is None or (VERSION < (5, 0, 0) and not owner.use_nodes):
        owner.use_nodes = True
    return owner.node_tree


def write_png(settings: bpy.types.ImageFormatSettings) -> None:
    """Set a render to write 8-bit RGBA PNG files."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = "PNG"
    settings.color_mode = "RGBA"
    settings.color_depth = "8"
    settings.compression = 15


def write_exr(settings: bpy.types.ImageFormatSettings) -> None:
    """Set a render to write all passes into one uncompressed float EXR file."""
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    settings.color_depth = "32"
    settings.exr_codec = "NONE"


def name_aov_output(node: bpy.types.Node, name: str) -> None:
    """Connect an AOV output node with the pass of this name (the property was ``name`` before 4.3)."""
    if hasattr(node, "aov_name"):
        node.aov_name = name
    else:
        node.name = name


def do_not_sample_as_light(material: bpy.types.Material) -> None:
    """Keep Cycles from listing every emitting triangle as a lamp, which costs seconds for a large mesh.

    The setting was a switch before 3.5. Without the Cycles add-on there is nothing to set.
    """
    cycles = getattr(material, "cycles", None)
    if hasattr(cycles, "emission_sampling"):
        cycles.emission_sampling = "NONE"
    elif hasattr(cycles, "sample_as_light"):
        cycles.sample_as_light = False


def flat_color_shader() -> str:
    """Name of the built-in gpu shader that draws one colour (renamed in 4.0)."""
    return "UNIFORM_COLOR" if VERSION >= (4, 0, 0) else "3D_UNIFORM_COLOR"


def has_operator(name: str) -> bool:
    """Whether an operator such as ``wm.obj_export`` exists in this build."""
    module, _, operator = name.partition(".")
    try:
        getattr(getattr(bpy.ops, module), operator).get_rna_type()
    except (AttributeError, KeyError):
        return False
    return True
