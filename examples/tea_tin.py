"""A tea tin with printed text, built in Blender: the object of the demo and of the README's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CREAM, RED, INK, GOLD = (244, 232, 208), (178, 44, 38), (40, 36, 34), (214, 168, 72)


def draw_label(path: Path) -> None:
    """Print the four sides of a tea tin, side by side, 2048 x 768 pixels."""
    from PIL import Image, ImageDraw, ImageFont  # here, because Blender's own Python has no Pillow

    side, height = 512, 768
    image = Image.new("RGB", (4 * side, height), CREAM)
    draw = ImageDraw.Draw(image)

    def centred(x: float, y: float, text: str, size: int, fill: tuple[int, int, int]) -> None:
        draw.text((x, y), text, fill=fill, font=ImageFont.load_default(size), anchor="mm")

    for i in range(4):
        x = i * side
        draw.rectangle((x, 0, x + side, 90), fill=RED)
        draw.rectangle((x, height - 90, x + side, height), fill=RED)
        for k in range(16):
            draw.polygon([(x + 32 * k, 90), (x + 32 * k + 32, 90), (x + 32 * k + 16, 120)], fill=GOLD)
        draw.rectangle((x + 6, 6, x + side - 6, height - 6), outline=GOLD, width=6)
    for x in (side // 2, 5 * side // 2):
        centred(x, 240, "GTR", 190, RED)
        centred(x, 380, "BREAKFAST TEA", 52, INK)
        centred(x, 470, "No. 28", 80, GOLD)
        centred(x, 590, "net weight 125 g", 38, INK)
    lines = [
        "Warm the pot.",
        "One spoon for each",
        "person, and one",
        "for the pot.",
        "Wait four minutes.",
        "Refine to taste.",
    ]
    for i, line in enumerate(lines):
        centred(3 * side // 2, 200 + 72 * i, line, 46, INK)
    for y in range(170, 640, 90):
        draw.line((3 * side + 70, y, 4 * side - 70, y), fill=RED if y % 180 else GOLD, width=12)
    for y, text, size in ((305, "ASSAM", 74), (485, "2026", 74)):
        draw.rectangle((3 * side + 70, y - 60, 4 * side - 70, y + 60), fill=CREAM)
        centred(7 * side // 2, y, text, size, INK)
    image.save(path)


def plain_material(bpy: Any, name: str, rgb: tuple[int, int, int]) -> Any:
    """A Principled material of one sRGB colour."""
    material = bpy.data.materials.new(name)
    if not material.node_tree:
        material.use_nodes = True
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in rgb]
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (*linear, 1)
    return material


def printed_material(bpy: Any, image_path: Path) -> Any:
    """A Principled material whose base colour is the image."""
    material = plain_material(bpy, "Printed", CREAM)
    tree = material.node_tree
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(str(image_path))
    texture.image.pack()
    tree.links.new(texture.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    return material


def build_body(bpy: Any, label: Path) -> Any:
    """The box of the tin: 0.8 x 0.8 x 1.2 m, one quarter of the label on each side, rounded edges."""
    corners = [(-0.4, -0.4), (0.4, -0.4), (0.4, 0.4), (-0.4, 0.4)]
    vertices = [(x, y, z) for z in (0.0, 1.2) for x, y in corners]
    sides = [(i, (i + 1) % 4, 4 + (i + 1) % 4, 4 + i) for i in range(4)]
    mesh = bpy.data.meshes.new("Tin")
    mesh.from_pydata(vertices, [], [*sides, (3, 2, 1, 0), (4, 5, 6, 7)])
    uv = mesh.uv_layers.new().data
    for i in range(4):
        for k, (du, v) in enumerate([(0, 0), (1, 0), (1, 1), (0, 1)]):
            uv[4 * i + k].uv = ((i + du) / 4, v)
    mesh.materials.append(printed_material(bpy, label))
    mesh.materials.append(plain_material(bpy, "Red", RED))
    for polygon in mesh.polygons[4:]:
        polygon.material_index = 1
    body = bpy.data.objects.new("Tea Tin", mesh)
    bpy.context.collection.objects.link(body)
    bevel = body.modifiers.new("Rounded", "BEVEL")
    bevel.width, bevel.segments = 0.03, 3
    return body


def build_tin(bpy: Any, label: Path) -> list[Any]:
    """The tea tin with this label in the current scene: body, lid and knob, away from the origin, turned, selected."""
    body = build_body(bpy, label)
    parts = [body]
    for name, radius, depth, z, colour in (("Lid", 0.3, 0.12, 1.26, GOLD), ("Knob", 0.08, 0.12, 1.36, INK)):
        bpy.ops.mesh.primitive_cylinder_add(vertices=48, radius=radius, depth=depth, location=(0, 0, z))
        part = bpy.context.object
        part.name, part.parent = name, body
        part.data.materials.append(plain_material(bpy, name, colour))
        parts.append(part)
    body.location, body.rotation_euler = (1.5, 0.5, 0.0), (0, 0, 0.35)
    bpy.context.view_layer.update()
    for part in parts:
        part.select_set(True)
    bpy.context.view_layer.objects.active = body
    return parts
