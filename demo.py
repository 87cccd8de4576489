"""The whole way in real Blender: build an object, click Reconstruct, refine, export, and draw what came out.

Leaves ``out/demo.blend``, ``out/demo.glb`` and ``out/demo.png``. Needs no weights, no GPU and no compiler.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from examples.tea_tin import build_tin, draw_label

ROOT = Path(__file__).resolve().parent
OUT = ROOT / "out"
PICTURE = 320
STEPS = 50
INK = (40, 36, 34)


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own font in this size (pixels)."""
    return ImageFont.load_default(size)


def install_addon(bpy: Any) -> None:
    """Build the zip and install it the way a user does: Preferences, Add-ons, Install."""
    from build_addon import build

    archive = build(OUT)
    bpy.ops.preferences.addon_install(filepath=str(archive), overwrite=True)
    bpy.ops.preferences.addon_enable(module="gtr")


def look_from(bpy: Any, objects: list[Any], azimuth: float, elevation: float, zoom: float) -> None:
    """Place the scene's camera around ``objects``; angles in degrees, azimuth 0 is Blender's front view."""
    from math import cos, radians, sin

    from mathutils import Vector

    corners = [o.matrix_world @ Vector(corner) for o in objects for corner in o.bound_box]
    low = Vector([min(c[i] for c in corners) for i in range(3)])
    high = Vector([max(c[i] for c in corners) for i in range(3)])
    a, e = radians(azimuth), radians(elevation)
    backward = Vector((sin(a) * cos(e), -cos(a) * cos(e), sin(e)))
    camera = bpy.context.scene.camera
    camera.data.type, camera.data.ortho_scale = "ORTHO", (high - low).length / zoom
    camera.location = (low + high) / 2 + 4 * backward
    camera.rotation_euler = backward.to_track_quat("Z", "Y").to_euler()


def normal_material(bpy: Any) -> Any:
    """Emits the world normal as a colour: (n + 1) / 2."""
    material = bpy.data.materials.new("Normals")
    if not material.node_tree:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    geometry, scale = tree.nodes.new("ShaderNodeNewGeometry"), tree.nodes.new("ShaderNodeVectorMath")
    emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    scale.operation = "MULTIPLY_ADD"
    scale.inputs[1].default_value = scale.inputs[2].default_value = (0.5, 0.5, 0.5)
    tree.links.new(geometry.outputs["Normal"], scale.inputs[0])
    tree.links.new(scale.outputs["Vector"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material


def prepare_studio(bpy: Any) -> None:
    """A camera, a white world and plain colour management, for the pictures only."""
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Studio Camera", bpy.data.cameras.new("Studio Camera"))
    scene.collection.objects.link(scene.camera)
    scene.world = bpy.data.worlds.new("Studio")
    if not scene.world.node_tree:
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 16, False
    scene.view_settings.view_transform = "Standard"
    scene.render.film_transparent = True
    scene.render.resolution_x = scene.render.resolution_y = PICTURE


def photograph(bpy: Any, objects: list[Any], view: tuple[float, float, float], override: Any = None) -> Image.Image:
    """Render ``objects`` alone from (azimuth, elevation, zoom) over white."""
    scene = bpy.context.scene
    hidden = {o: o.hide_render for o in scene.objects}
    for o in scene.objects:
        o.hide_render = o not in objects
    look_from(bpy, objects, *view)
    bpy.context.view_layer.material_override = override
    scene.render.filepath = str(OUT / "picture.png")
    bpy.ops.render.render(write_still=True)
    bpy.context.view_layer.material_override = None
    for o, state in hidden.items():
        o.hide_render = state
    path = OUT / "picture.png"
    with Image.open(path) as picture:
        result = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")).convert("RGB")
    path.unlink()
    return result


def compose(rows: list[tuple[str, list[Image.Image]]], lines: list[str], path: Path) -> None:
    """Draw rows of pictures with a caption each, and lines of text in the last, shorter row."""
    width = 4 * PICTURE
    sheet = Image.new("RGB", (width, len(rows) * (PICTURE + 28)), "white")
    draw = ImageDraw.Draw(sheet)
    for r, (caption, pictures) in enumerate(rows):
        y = r * (PICTURE + 28)
        draw.text((8, y + 5), caption, fill=INK, font=font(17))
        for c, picture in enumerate(pictures):
            sheet.paste(picture, (c * PICTURE, y + 28))
    x, y = len(rows[-1][1]) * PICTURE + 16, (len(rows) - 1) * (PICTURE + 28) + 40
    for i, line in enumerate(lines):
        draw.text((x, y + 24 * i), line, fill=INK, font=font(16))
    sheet.save(path)


def reconstruct(bpy: Any) -> tuple[Any, dict[str, float]]:
    """Click Reconstruct without refinement, then Refine; the result and the seconds of each."""
    settings, seconds = bpy.context.scene.gtr, {}
    settings.place, settings.refine, settings.steps = "BESIDE", False, STEPS
    start = time.perf_counter()
    require(bpy.ops.gtr.reconstruct(wait=True))
    seconds["server start, capture, reconstruct"] = time.perf_counter() - start
    start = time.perf_counter()
    require(bpy.ops.gtr.refine(wait=True))
    seconds[f"refine, {STEPS} steps"] = time.perf_counter() - start
    return bpy.context.view_layer.objects.active, seconds


def require(result: set[str]) -> None:
    """Stop the demo when an operator did not finish; Blender has printed its sentence by then."""
    if result != {"FINISHED"}:
        raise SystemExit("The demo stopped: see the message above.")


def export(bpy: Any) -> None:
    """Export the active result as ``out/demo.glb`` through the panel's operator."""
    settings = bpy.context.scene.gtr
    settings.export_format, settings.export_folder, settings.export_overwrite = "GLB", str(OUT), True
    bpy.context.view_layer.objects.active.name = "demo"
    require(bpy.ops.gtr.export())


def draw_sheet(bpy: Any, source: list[Any], result: Any, seconds: dict[str, float]) -> None:
    """Photograph source, result, normals and the refinement; compose ``out/demo.png``."""
    prepare_studio(bpy)
    turned = (20, 110, 200, 290)  # the tin's own turn: no capture camera looks at its sides straight
    shots = [(azimuth + 22, 22, 1.0) for azimuth in turned]
    normals, close = normal_material(bpy), (20, 4, 2.6)
    rows = [
        ("Source", [photograph(bpy, source, shot) for shot in shots]),
        ("Reconstruction, from directions that no capture camera had", [photograph(bpy, [result], s) for s in shots]),
        ("Its normals", [photograph(bpy, [result], shot, normals) for shot in shots]),
    ]
    after = photograph(bpy, [result], close)
    bpy.context.window_manager.gtr.compare = True
    before = photograph(bpy, [result], close)
    bpy.context.window_manager.gtr.compare = False
    rows.append(
        ("Source close up, before refinement, after refinement", [photograph(bpy, source, close), before, after])
    )
    lines = [f"{len(result.data.vertices):,} vertices", f"{len(result.data.polygons):,} triangles", ""]
    lines += [f"{name}: {value:.1f} s" for name, value in seconds.items()]
    compose(rows, [*lines, "", f"{os.cpu_count()} CPU cores, no GPU, preset fit"], OUT / "demo.png")


def main() -> None:
    """Run the demo."""
    OUT.mkdir(exist_ok=True)
    os.environ["BLENDER_USER_RESOURCES"] = str(OUT / ".blender")
    os.environ["GTR_HOME"], os.environ["GTR_PYTHON"] = str(OUT / ".gtr"), sys.executable
    import bpy

    install_addon(bpy)
    draw_label(OUT / "label.png")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    source = build_tin(bpy, OUT / "label.png")
    result, seconds = reconstruct(bpy)
    export(bpy)
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "demo.blend"))
    draw_sheet(bpy, source, result, seconds)
    bpy.ops.preferences.addon_disable(module="gtr")
    (OUT / "label.png").unlink()
    for name, value in seconds.items():
        print(f"{name}: {value:.1f} s")
    print(f"Look at {OUT / 'demo.png'}; open {OUT / 'demo.blend'} or {OUT / 'demo.glb'}.")


if __name__ == "__main__":
    main()
