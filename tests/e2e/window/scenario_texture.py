"""Export with a texture, played inside Blender (see driver.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))

from driver import Driver, Steps, main
from scenarios import prepare, session


def textured_export(driver: Driver) -> Steps:
    """Export with a texture by a click; the window stays alive, the bar tells how far it is, cancel ends it."""
    prepare()
    bpy.context.scene.gtr.refine = False
    bpy.ops.gtr.reconstruct()
    yield lambda: not session().busy
    driver.check(session().error is None, f"{session().error}")
    settings = bpy.context.scene.gtr
    settings.export_folder = str(driver.out / "assets")
    settings.export_colors, settings.export_size = "TEXTURE", 4096
    yield from driver.drawn()
    yield from driver.picture("1_ready")
    driver.hold("color")
    yield from driver.press("gtr.export", until=lambda: session().busy)
    yield lambda: session().run is not None and session().run.stage == "color"
    yield from driver.picture("2_running")
    bpy.ops.gtr.cancel()  # looking for the small cross with the mouse would take longer than the export
    yield lambda: not session().busy
    driver.let_go()
    driver.check(session().message == "Cancelled", session().message)
    settings.export_size = 1024
    yield from driver.press("gtr.export", near="gtr.export", until=lambda: session().busy or bool(session().exported))
    yield lambda: not session().busy
    driver.check(session().error is None, f"{session().error}")
    driver.facts["exported"] = session().exported
    yield from driver.picture("3_exported")


if __name__ == "__main__":
    main({"textured": textured_export})
