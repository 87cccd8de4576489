"""What the checks of captures share."""

import io
import tempfile
from pathlib import Path

import bpy
import numpy as np
from scenario import BROWN

from blender_addon.capture import Capture, CaptureSettings

SMALL = CaptureSettings(views=4, size=64)


def take(objects, settings=SMALL, steps=None):
    shot = Capture(bpy.context, objects, settings)
    try:
        while shot.step() is not None and len(shot.views) != steps:
            pass
    finally:
        shot.close()
    return shot


def pixels(view):
    """(H,W,4) uint8 of a view's PNG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "view.png"
        path.write_bytes(view.png)
        image = bpy.data.images.load(str(path))
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        width, height = image.size
        bpy.data.images.remove(image)
    return np.rint(values * 255).astype(np.uint8).reshape(height, width, 4)[::-1]


def colors_seen(obj, settings=SMALL, steps=1):
    """Set of the colours of all opaque pixels."""
    image = pixels(take([obj], settings, steps).views[0])
    return {tuple(int(v) for v in color[:3]) for color in image[image[..., 3] == 255]}


def array(data):
    return np.load(io.BytesIO(data), allow_pickle=False)


def brown_image(alpha=255):
    image = bpy.data.images.new("Picture", 8, 8, alpha=True)
    values = np.empty((8, 8, 4), np.float32)
    values[...] = [v / 255 for v in (*BROWN, alpha)]
    image.pixels.foreach_set(values.ravel())
    image.pack()
    return image
