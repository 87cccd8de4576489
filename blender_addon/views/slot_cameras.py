"""Which camera took which picture of the list: by name where names tell, else in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import bpy
from mathutils import Matrix, Vector

from .. import camera_sets
from ..camera_sets import PlacedCamera
from ..errors import ClientError
from ..formats import camera_files
from ..formats.camera_files import FileCamera
from . import blender_cameras
from .capture_scene import FILL

NEEDED = 2
"""Fewer pictures than this have no shape."""


class SlotCameras:
    """The cameras of the listed pictures, as the settings name them.

    Args:
        context: its scene's settings and cameras are read.

    Raises:
        ClientError: ``too_few_views``, ``camera_missing``, ``camera_invalid``, ``bad_input``.
    """

    def __init__(self, context: bpy.types.Context) -> None:
        settings = context.scene.gtr
        self._context = context
        self._set = settings.camera_set
        self._names = [slot.view for slot in settings.slots]
        self._paths = [Path(bpy.path.abspath(slot.filepath)) for slot in settings.slots]
        if len(self._paths) < NEEDED:
            needed = len(camera_sets.CAMERA_SETS.get(self._set, ())) or NEEDED
            raise ClientError("too_few_views", values={"needed": needed, "loaded": len(self._paths)})
        self._files: list[FileCamera] = []
        self._objects: list[bpy.types.Object] = []
        self._spots: tuple[camera_sets.Place, ...] = ()
        if self._set == "file":
            self._files = self._from_file(settings.camera_file)
        elif self._set == "scene":
            self._objects = self._from_scene()
        else:
            self._spots = self._from_set()

    def placed(self, index: int, width: int, height: int) -> PlacedCamera:
        """The camera of one picture, for its size in pixels."""
        name = self._names[index] or self._paths[index].name
        if self._files:
            camera = self._files[index]
            return PlacedCamera(name, camera.intrinsics_for(width, height), camera.world_to_camera)
        if self._objects:
            obj, render = self._objects[index], self._context.scene.render
            center, radius = scene_frame(self._context)
            aspect = (render.pixel_aspect_x, render.pixel_aspect_y)
            K = blender_cameras.intrinsics(obj.data, width, height, aspect)
            return PlacedCamera(name, K, blender_cameras.world_to_camera(obj, center, radius / FILL))
        return camera_sets.place(self._spots[index], height, width)

    def file(self, index: int) -> FileCamera | None:
        """The camera's entry in a camera file, which may name depth and normals."""
        return self._files[index] if self._files else None

    def _from_file(self, text: str) -> list[FileCamera]:
        if not text:
            raise ClientError("camera_missing", "Choose a camera file.", values={"name": self._paths[0].name})
        cameras = camera_files.read_cameras(Path(bpy.path.abspath(text)))
        by_key = {camera_files.key_of(camera.picture): camera for camera in cameras}
        keys = [camera_files.key_of(path) for path in self._paths]
        if not any(key in by_key for key in keys) and len(cameras) == len(keys):
            return cameras
        return [by_key[key] for key in _all_in(keys, by_key, self._paths)]

    def _from_scene(self) -> list[bpy.types.Object]:
        cameras = [obj for obj in self._context.scene.objects if obj.type == "CAMERA" and obj.data.type == "PERSP"]
        by_name = {obj.name.lower(): obj for obj in cameras}
        names = [(path.stem.lower(), view.lower()) for path, view in zip(self._paths, self._names, strict=True)]
        keys = [view if stem not in by_name and view in by_name else stem for stem, view in names]
        if not any(key in by_name for key in keys) and len(cameras) >= len(keys):
            return sorted(cameras, key=lambda obj: obj.name)[: len(keys)]
        return [by_name[key] for key in _all_in(keys, by_name, self._paths)]

    def _from_set(self) -> tuple[camera_sets.Place, ...]:
        spots = camera_sets.CAMERA_SETS[self._set]
        by_name = {name.lower(): (name, azimuth, elevation) for name, azimuth, elevation in spots}
        keys = [name.strip().lower() for name in self._names]
        if len(set(keys)) == len(keys) and all(key in by_name for key in keys):
            return tuple(by_name[key] for key in keys)
        if len(keys) < len(spots):
            raise ClientError("too_few_views", values={"needed": len(spots), "loaded": len(keys)})
        if len(keys) > len(spots):
            raise ClientError("camera_missing", values={"name": self._paths[len(spots)].name}, view=len(spots))
        return spots


def scene_frame(context: bpy.types.Context) -> tuple[Vector, float]:
    """Centre and radius of what the scene's cameras look at: the selected objects, else the point nearest to all axes.

    Raises:
        ClientError: ``camera_invalid`` when the cameras do not look at one place.
    """
    solids = [obj for obj in context.selected_objects if obj.type not in {"CAMERA", "LIGHT", "EMPTY"}]
    if solids:
        corners = [obj.matrix_world @ Vector(corner) for obj in solids for corner in obj.bound_box]
        low = Vector([min(corner[axis] for corner in corners) for axis in range(3)])
        high = Vector([max(corner[axis] for corner in corners) for axis in range(3)])
        return (low + high) / 2, max((high - low).length / 2, 1e-9)
    cameras = [obj for obj in context.scene.objects if obj.type == "CAMERA" and obj.data.type == "PERSP"]
    center = _meeting_point([obj.matrix_world for obj in cameras])
    spheres = [
        (obj.matrix_world.translation - center).length * math.sin(min(obj.data.angle_x, obj.data.angle_y) / 2)
        for obj in cameras
    ]
    return center, sum(spheres) / len(spheres)


def _meeting_point(poses: Sequence[Matrix]) -> Vector:
    """Least squares of the distance to the optical axes."""
    left, right = Matrix.Diagonal((1e-9,) * 3), Vector((0, 0, 0))
    for pose in poses:
        axis = pose.to_quaternion() @ Vector((0, 0, -1))
        away = Matrix.Identity(3) - Matrix([[a * b for b in axis] for a in axis])
        left += away
        right += away @ pose.translation
    try:
        return left.inverted() @ right
    except ValueError as error:
        raise ClientError("camera_invalid", "The cameras do not look at one place.") from error


def _all_in(keys: list[str], known: dict[str, object], paths: list[Path]) -> list[str]:
    for index, key in enumerate(keys):
        if key not in known:
            raise ClientError("camera_missing", values={"name": paths[index].name}, view=index)
    return keys
