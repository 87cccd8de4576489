"""What the window tests do, played inside Blender (see driver.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import addon_utils
import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))

from driver import Driver, Steps, main

ORANGE = (200, 100, 50)
BLUE = (40, 90, 200)


def prepare(views: int = 6, steps: int = 8) -> None:
    """A glossy ball with a print in place of the default cube; small and quick settings."""
    preferences = bpy.context.preferences.addons["gtr"].preferences
    preferences.size, preferences.samples = 192, 2
    settings = bpy.context.scene.gtr
    settings.views, settings.steps, settings.quality = views, steps, "DRAFT"
    # Each view of something glossy in a white studio differs from the blend of all: refining has something to do.
    settings.colors, settings.refine_views = "LIT", "0"
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    bpy.ops.mesh.primitive_uv_sphere_add()
    ball = bpy.context.object
    ball.name = "Ball"
    image = bpy.data.images.new("print", 8, 8)
    cells = [ORANGE if (row // 2 + column // 2) % 2 else BLUE for row in range(8) for column in range(8)]
    image.pixels = [value for color in cells for value in (*(part / 255 for part in color), 1.0)]
    material = bpy.data.materials.new("printed")
    material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image, node.interpolation = image, "Closest"
    shader = next(n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.1
    material.node_tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    ball.data.materials.append(material)
    bpy.ops.ed.undo_push(message="prepared")


def session():
    """The add-on's session."""
    from gtr.run.session import session as found

    return found


def result() -> bpy.types.Object | None:
    """The newest result."""
    from gtr.result import objects as result_objects

    found = [obj for obj in bpy.context.scene.objects if result_objects.is_result(obj)]
    return found[-1] if found else None


def shown_colors() -> str:
    """Name of the colour attribute that the result shows."""
    return result().data.color_attributes.active_color.name


def digest(name: str = "Color") -> bytes:
    """The bytes of a colour attribute of the result."""
    import numpy as np

    attribute = result().data.color_attributes[name]
    values = np.empty(len(attribute.data) * 4, np.float32)
    attribute.data.foreach_get("color", values)
    return values.tobytes()


def whole_way(driver: Driver) -> Steps:
    """Reconstruct, refine, stop, compare, revert, undo, export: every step by a click or a key."""
    prepare(steps=10_000)
    bpy.context.scene.gtr.refine = False
    yield from driver.picture("1_before")
    yield from driver.press("gtr.reconstruct", until=lambda: session().busy)
    yield lambda: session().run is not None and session().run.handle != ""
    yield from driver.picture("2_running")
    yield lambda: not session().busy
    driver.check(session().error is None, f"{session().error}")
    driver.check(driver.area.spaces.active.shading.color_type == "VERTEX", "Solid view does not show the colours")
    driver.check(bpy.context.view_layer.objects.active == result(), "the result is not active")
    with bpy.context.temp_override(window=driver.window, area=driver.area, region=driver.region("WINDOW")):
        bpy.ops.view3d.view_selected()
    yield from driver.picture("3_mesh")
    yield from _solid_shows_the_print(driver)
    yield from _refine(driver)
    yield from _go_back(driver)
    yield from _export(driver)


def _solid_shows_the_print(driver: Driver) -> Steps:
    shading = driver.area.spaces.active.shading
    shading.light = "FLAT"
    yield from driver.picture("4_flat")
    shading.light = "STUDIO"
    pixels = driver.pixels("4_flat")
    for color in (ORANGE, BLUE):
        near = sum(1 for pixel in pixels if max(abs(a - b) for a, b in zip(pixel, color, strict=True)) < 40)
        driver.check(near > 2000, f"only {near} pixels look like {color}")


def _refine(driver: Driver) -> Steps:
    base = digest()
    yield from driver.press("gtr.refine", until=lambda: session().kind == "refine")
    # Neither Escape nor a right click anywhere may end the job; ten thousand steps leave time for both.
    run, before = session().run, len(bpy.data.objects)
    yield from driver.key("ESC")
    yield from driver.click(*driver.middle(), button="RIGHTMOUSE")
    yield from driver.key("ESC")
    driver.check(session().run is run and not run.cancelling, "Escape or a right click ended the job")
    driver.check(len(bpy.data.objects) == before, "Escape or a right click changed the scene")
    yield lambda: run.step > 0 and digest() != base
    yield from driver.picture("5_refining")
    yield from driver.press("gtr.stop", near="gtr.refine", until=lambda: run.stopping or session().run is not run)
    yield lambda: not session().busy
    driver.check(session().error is None, f"{session().error}")
    driver.check(session().message.startswith("Stopped"), session().message)
    driver.check(digest() != base, "refining changed nothing")
    driver.check(digest("Color_base") == base, "refining changed the colours before it")


def _go_back(driver: Driver) -> Steps:
    refined, base = digest(), digest("Color_base")
    yield from driver.press(".gtr.compare", near="gtr.refine", until=lambda: shown_colors() == "Color_base")
    yield from driver.picture("6_compare")
    yield from driver.press(".gtr.compare", until=lambda: shown_colors() == "Color")
    yield from driver.press("gtr.revert", near="gtr.refine", until=lambda: digest() == base)
    # Every result is one step of its own: revert, refine, reconstruct.
    for expected in (refined, base):
        yield from driver.key("Z", ctrl=True)
        yield lambda expected=expected: digest() == expected
    yield from driver.key("Z", ctrl=True)
    yield lambda: result() is None
    driver.check("Ball" in bpy.data.objects, "undo took the source away")
    for expected in (base, refined, base):
        yield from driver.key("Z", ctrl=True, shift=True)
        yield lambda expected=expected: result() is not None and digest() == expected


def _export(driver: Driver) -> Steps:
    bpy.context.scene.gtr.export_folder = str(driver.out / "assets")
    yield from driver.press("gtr.export", until=lambda: bool(session().exported) or session().error is not None)
    driver.check(session().error is None, f"{session().error}")
    driver.facts["exported"] = session().exported
    yield from driver.picture("7_exported")


MODES = ("EDIT", "SCULPT", "VERTEX_PAINT", "WEIGHT_PAINT", "TEXTURE_PAINT", "OBJECT")


def panels(driver: Driver) -> Steps:
    """Every panel in every mode, with and without objects, with every error; an exception in a draw is printed."""
    from gtr import messages
    from gtr.run.run import ErrorBox, Run

    yield from driver.picture("object")
    driver.check(session().state.value == "off", f"{session().state}")
    for mode in MODES:
        bpy.ops.object.mode_set(mode=mode)
        yield from driver.drawn()
    for code, row in messages.ROWS.items():
        session().fail(ErrorBox(code, row.text, row.buttons, view=0))
        yield from driver.drawn()
    session().fail(ErrorBox("out_of_memory", messages.ROWS["no_response"].text, messages.ROWS["no_response"].buttons))
    yield from driver.picture("error")
    session().begin()
    session().message, session().notes = "Done in 31 s · 198 k verts", ("The inside of the object was never seen.",)
    yield from driver.picture("done")
    session().begin()
    session().run = Run("reconstruct", "Cube", "Scene", text="Build surface")
    session().run.fraction = 0.42
    yield from driver.picture("running")
    session().run = None
    yield from _image_panels(driver)
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    yield from driver.picture("empty")
    import gtr.packages as packages

    missing, packages.missing = packages.missing, lambda: ["numpy"]
    yield from driver.picture("missing_packages")
    packages.missing = missing
    yield from _preferences(driver)


def _preferences(driver: Driver) -> Steps:
    area = driver.area
    addon = next(module for module in addon_utils.modules() if module.__name__ == "gtr")
    addon_utils.module_bl_info(addon)["show_expanded"] = True
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "GTR"
    area.type = "PREFERENCES"
    yield None
    path = driver.out / "preferences.png"
    with bpy.context.temp_override(window=driver.window, screen=driver.window.screen, area=area):
        bpy.ops.screen.screenshot(filepath=str(path))
    yield path.exists
    area.type = "VIEW_3D"
    yield lambda: bool(driver.area)


def _image_panels(driver: Driver) -> Steps:
    settings = bpy.context.scene.gtr
    settings.source, settings.background, settings.camera_set = "IMAGES", "KEY", "file"
    yield from driver.drawn()
    path = driver.out / "1_before.png"
    image = bpy.data.images.new("slot", 32, 32)
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    for name in ("Front", "Right"):
        slot = settings.slots.add()
        slot.filepath, slot.view = str(path), name
    slot = settings.slots.add()
    slot.filepath, slot.view, slot.mask = str(driver.out / "gone.png"), "Back", "BAD"
    yield from driver.picture("images")
    settings.source = "SCENE"


def moments(driver: Driver) -> Steps:
    """What the user may do meanwhile: edit the result, undo it, delete it, save the file, open another one."""
    prepare(views=12, steps=1000)
    bpy.context.scene.gtr.refine = False
    ball = bpy.data.objects["Ball"]
    ball.location.z = 0.5
    bpy.ops.ed.undo_push(message="moved")
    bpy.ops.gtr.reconstruct()
    yield lambda: session().capturing.active
    # Undo in the middle of a capture takes back the user's step, not the capture.
    yield from driver.key("Z", ctrl=True)
    yield lambda: bpy.data.objects["Ball"].location.z == 0
    driver.check(session().busy, f"undo ended the capture: {session().error}")
    saved = driver.out / "while_running.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(saved), copy=True)
    yield lambda: not session().busy
    driver.check(session().error is None, f"{session().error}")
    with bpy.data.libraries.load(str(saved)) as (inside, _):
        driver.check(inside.scenes == ["Scene"], f"the file holds a trace of the capture: {inside.scenes}")
    sizes = [size / 2 for size in result().dimensions]
    driver.check(all(abs(size - 1) < 0.07 for size in sizes), f"the capture mixed two places of the ball: {sizes}")
    bpy.context.scene.gtr.steps = 3
    yield from _held_in_edit_mode(driver)
    yield from _deleted(driver)
    bpy.context.scene.gtr.steps = 10_000
    bpy.ops.gtr.refine()
    yield lambda: session().run.step > 0
    bpy.ops.wm.read_homefile(use_empty=True)
    yield lambda: not session().busy
    driver.check(session().error is None, f"{session().error}")
    yield lambda: session().state.value in ("ready", "done", "starting")
    yield from driver.picture("new_file")


def _held_in_edit_mode(driver: Driver) -> Steps:
    before = digest()
    bpy.ops.gtr.refine()
    bpy.ops.object.mode_set(mode="EDIT")
    yield lambda: not session().busy
    driver.check(session().held is not None, "the colours were not held")
    yield from driver.picture("held")
    yield from driver.key("TAB")
    yield lambda: session().held is None
    driver.check(session().error is None, f"{session().error}")
    driver.check(digest() != before, "the held colours were not applied")


def _deleted(driver: Driver) -> Steps:
    bpy.ops.gtr.reconstruct()
    yield lambda: not session().busy
    bpy.context.scene.gtr.refine = True
    driver.hold("texture")
    bpy.ops.gtr.reconstruct()
    yield lambda: session().run.mesh is not None
    bpy.data.objects.remove(bpy.context.view_layer.objects.active)
    driver.let_go()
    yield lambda: not session().busy
    driver.check(session().error is not None and session().error.code == "object_gone", f"{session().error}")
    count = len(bpy.data.objects)
    yield from driver.press("gtr.fix", until=lambda: len(bpy.data.objects) == count + 1)
    driver.check(session().error is None, f"{session().error}")


if __name__ == "__main__":
    main({"whole_way": whole_way, "panels": panels, "moments": moments})
