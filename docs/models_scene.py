"""Plays inside a Blender window for make_pictures.py: the choice of a model, and what is said without its weights."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "e2e" / "window")]

from driver import Driver, Steps, main

MENU_ABOVE_QUALITY = 47
"""Pixels from the quality buttons up to the model's menu."""


def models(driver: Driver) -> Steps:
    """Take ``menu.png`` with the list of models open, and ``missing.png`` with a model that has no file."""
    from gtr.run.session import session

    session.start_server()
    yield lambda: session.server.state == "ready"
    bpy.ops.gtr.choose_model(model="gtr-tiny")
    yield from driver.drawn()
    found: list[tuple[int, int]] = []
    yield from driver.find(".gtr.quality", found)
    x, y = found[0]
    yield from driver.click(x, y + MENU_ABOVE_QUALITY)
    yield from driver.drawn()
    yield from driver.picture("menu")
    yield from driver.key("ESC")
    bpy.ops.gtr.choose_model(model="gtr-mini")
    yield from driver.drawn()
    yield from driver.picture("missing")


if __name__ == "__main__":
    main({"models": models})
