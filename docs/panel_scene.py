"""Plays inside a Blender window for make_pictures.py: the tea tin, one click on Reconstruct, a picture."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "e2e" / "window")]

from driver import Driver, Steps, main

from examples.tea_tin import build_tin


def panel(driver: Driver) -> Steps:
    """Reconstruct the tin beside itself and show source, result and panel."""
    from gtr.run.session import session

    bpy.data.objects.remove(bpy.data.objects["Cube"])
    source = build_tin(bpy, driver.out.parent / "label.png")
    space = driver.area.spaces.active
    space.shading.type = "MATERIAL"
    yield from driver.press("gtr.reconstruct", until=lambda: session.busy)
    yield lambda: session.run is not None and session.run.mesh is not None
    yield lambda: not session.busy
    driver.check(session.error is None, f"{session.error}")
    for obj in source:
        obj.select_set(True)
    with bpy.context.temp_override(window=driver.window, area=driver.area, region=driver.region("WINDOW")):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()
    space.region_3d.view_distance *= 1.4  # the sidebar covers a quarter of the view
    space.region_3d.view_location.x += 0.5
    for obj in source:
        obj.select_set(False)
    yield from driver.picture("warm_up")
    yield from driver.picture("panel")


if __name__ == "__main__":
    main({"panel": panel})
