"""Blender's camera objects and GTR's cameras (OpenCV axes, Y up, object in the unit ball), both ways."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
from mathutils import Matrix, Vector

from ..coords import blender_from_gtr, gtr_from_blender
from ..values import Matrix as Rows

_FLIP = Matrix(((1, 0, 0, 0), (0, -1, 0, 0), (0, 0, -1, 0), (0, 0, 0, 1)))
"""OpenCV camera axes (y down, z forward) in Blender's (y up, z backward); its own inverse."""


def pose_in_blender(world_to_camera: Rows, center: Sequence[float], unit: float) -> Matrix:
    """Camera to world of a GTR camera, for an object in the scene.

    Args:
        world_to_camera: 4x4, OpenCV axes, GTR world.
        center: where the GTR origin lies in the scene.
        unit: length of one GTR unit in Blender units.
    """
    camera_to_world = Matrix(world_to_camera).inverted()
    axes = [blender_from_gtr(camera_to_world.col[i][:3]) for i in range(3)]
    eye = Vector(blender_from_gtr(camera_to_world.col[3][:3])) * unit + Vector(center)
    pose = Matrix((axes[0], axes[1], axes[2])).transposed().to_4x4()
    pose.translation = eye
    return pose @ _FLIP


def world_to_camera(camera: bpy.types.Object, center: Sequence[float], unit: float) -> Rows:
    """4x4 world to camera (OpenCV axes, GTR world) of a camera object; ``center`` and ``unit`` as above."""
    # A scaled camera object still takes undistorted pictures, so its scale must not enter.
    pose = Matrix.LocRotScale(camera.matrix_world.to_translation(), camera.matrix_world.to_quaternion(), None) @ _FLIP
    axes = [gtr_from_blender(pose.col[i][:3]) for i in range(3)]
    eye = Vector(gtr_from_blender((pose.translation - Vector(center)) / unit))
    rows = [[*axis, -Vector(axis).dot(eye)] for axis in axes]
    return [[float(value) for value in row] for row in (*rows, (0, 0, 0, 1))]


def intrinsics(
    camera: bpy.types.Camera, width: int, height: int, pixel_aspect: tuple[float, float] = (1.0, 1.0)
) -> Rows:
    """3x3 pixel intrinsics of a perspective camera, pixel centres at +0.5.

    Args:
        camera: the camera data.
        width: of the picture in pixels.
        height: of the picture in pixels.
        pixel_aspect: width and height of a pixel as the render settings have them.

    Raises:
        ValueError: the camera is orthographic or panoramic.
    """
    if camera.type != "PERSP":
        raise ValueError(f"{camera.name} is not a perspective camera")
    ax, ay = pixel_aspect
    fit = camera.sensor_fit
    if fit == "AUTO":
        horizontal, sensor = width * ax >= height * ay, camera.sensor_width
    else:
        horizontal = fit == "HORIZONTAL"
        sensor = camera.sensor_width if horizontal else camera.sensor_height
    if horizontal:
        fx = camera.lens / sensor * width
        fy = fx * ax / ay
        big_x, big_y = width, width * ax / ay
    else:
        fy = camera.lens / sensor * height
        fx = fy * ay / ax
        big_x, big_y = height * ay / ax, height
    return [
        [fx, 0.0, width / 2 - camera.shift_x * big_x],
        [0.0, fy, height / 2 + camera.shift_y * big_y],
        [0.0, 0.0, 1.0],
    ]
