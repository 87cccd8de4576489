"""Outlines of the capture cameras, drawn into the 3D views: no objects are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import bpy
from mathutils import Vector

from .. import compat
from ..values import Matrix as Rows
from .blender_cameras import pose_in_blender

DEPTH = 0.6
"""How long a drawn camera is, in GTR units."""
COLOR = (1.0, 0.55, 0.1, 1.0)

_handler: Any = None
_batch: Any = None
_lines: list[Vector] = []


class Camera(Protocol):
    """What is needed of a camera: 3x3 K in pixels and 4x4 world to camera (OpenCV axes, GTR world)."""

    K: Rows
    world_to_camera: Rows


def show(cameras: Sequence[Camera], center: Sequence[float], radius: float) -> None:
    """Draw these cameras until :func:`hide`; a second call draws the new ones instead.

    Args:
        cameras: cameras around the object.
        center: of the object's bounding sphere, in Blender units.
        radius: of that sphere.
    """
    global _handler, _batch
    from .capture_scene import FILL

    _lines[:] = [point for camera in cameras for point in outline(camera, center, radius / FILL)]
    _batch = None
    if _handler is None:
        _handler = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")
    _redraw()


def hide() -> None:
    """Stop drawing; calling it again does no harm."""
    global _handler, _batch
    if _handler is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handler, "WINDOW")
    _handler = _batch = None
    _lines.clear()
    _redraw()


def is_shown() -> bool:
    """Whether cameras are drawn."""
    return _handler is not None


def outline(camera: Camera, center: Sequence[float], unit: float) -> list[Vector]:
    """Ends of line segments, two by two: a pyramid towards the object and a mark on the camera's upper side."""
    pose = pose_in_blender(camera.world_to_camera, center, unit)
    (fx, _, cx), (_, fy, cy), _ = camera.K
    depth = DEPTH * unit
    # Principal point in the middle of the picture or not: half widths to both sides are cx and width - cx; pictures
    # of this add-on are centred, so cx serves for both.
    x, y = cx / fx * depth, cy / fy * depth
    corners = [Vector((sx * x, sy * y, -depth)) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    eye = Vector((0, 0, 0))
    ends = []
    for index, corner in enumerate(corners):
        ends += [eye, corner, corner, corners[index - 1]]
    left, right = Vector((-x / 2, y * 1.1, -depth)), Vector((x / 2, y * 1.1, -depth))
    top = Vector((0, y * 1.6, -depth))
    ends += [left, right, right, top, top, left]
    return [pose @ end for end in ends]


def _draw() -> None:
    global _batch
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin(compat.flat_color_shader())
    if _batch is None:
        _batch = batch_for_shader(shader, "LINES", {"pos": [tuple(point) for point in _lines]})
    before = gpu.state.depth_test_get()
    gpu.state.depth_test_set("LESS_EQUAL")
    shader.bind()
    shader.uniform_float("color", COLOR)
    _batch.draw(shader)
    gpu.state.depth_test_set(before)


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
