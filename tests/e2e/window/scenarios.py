"""What the window tests do, played inside Blender (see driver.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))

from driver import Driver, Steps, main  # noqa: E402


def panels(driver: Driver) -> Steps:
    """Every panel in every mode."""
    yield from driver.picture("panels_object")
    bpy.context.scene.gtr.source = "IMAGES"
    yield from driver.picture("panels_images")


if __name__ == "__main__":
    main({"panels": panels})
