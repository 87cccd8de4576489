"""A picture of the scene through its active camera, as one more image of the list."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import bpy
from mathutils import Matrix

from ..errors import ClientError
from ..result import objects as result_objects
from . import thumbnails, view_source
from .capture_scene import CaptureScene
from .capture_sources import family
from .kept_files import folder_for

_UNSAFE = frozenset('<>:"/\\|?*')
"""Characters that some file system does not take."""
_LONGEST_NAME = 60
_NOT_SUBJECTS = frozenset({"CAMERA", "LIGHT", "LIGHT_PROBE", "SPEAKER"})
"""Selected objects of these kinds show nothing, so they choose nothing either."""


def add_slot(context: bpy.types.Context) -> None:
    """Render the selected objects (all, with none selected) and list the picture under the camera's name.

    The list then uses the scene's cameras. A former picture of the same camera is replaced.

    Raises:
        ClientError: ``camera_missing`` without an active camera, ``camera_invalid`` when it is no perspective camera,
            ``folder_denied``.
        SceneFault: ``no_selection``, ``nothing_renderable``, ``tiny_object``.
    """
    camera = _camera(context)
    path = folder_for(context, "cameras") / f"{_file_name(camera.name)}.png"
    _render(context, camera, path)
    settings = context.scene.gtr
    settings.source, settings.camera_set = "IMAGES", "scene"
    slots = settings.slots
    index = next((i for i, slot in enumerate(slots) if Path(bpy.path.abspath(slot.filepath)) == path), len(slots))
    slot = slots[index] if index < len(slots) else slots.add()
    slot.filepath, slot.view, slot.mask = str(path), camera.name, "UNKNOWN"
    settings.slot_index = index
    thumbnails.read_again(slot.filepath)


def _camera(context: bpy.types.Context) -> bpy.types.Object:
    camera = context.scene.camera
    if camera is None or camera.type != "CAMERA":
        raise ClientError("camera_missing", "The scene has no active camera.")
    if camera.data.type != "PERSP":
        raise ClientError("camera_invalid", f"{camera.name} is not a perspective camera.")
    return camera


def _render(context: bpy.types.Context, camera: bpy.types.Object, path: Path) -> None:
    settings = view_source.capture_settings(context)
    scene = CaptureScene(context, family(_subjects(context)), settings)
    try:
        scene.look_through(camera.data, context.scene.render)
        # A scaled camera object still takes undistorted pictures, so its scale must not enter.
        pose = camera.matrix_world
        scene.render_color(Matrix.LocRotScale(pose.to_translation(), pose.to_quaternion(), None), path)
    finally:
        scene.close()


def _subjects(context: bpy.types.Context) -> Sequence[bpy.types.Object]:
    chosen = [obj for obj in view_source.source_objects(context) if obj.type not in _NOT_SUBJECTS]
    return chosen or [obj for obj in context.view_layer.objects if not result_objects.is_result(obj)]


def _file_name(name: str) -> str:
    """The camera's name, by which the picture is paired; a digest marks names that no file can have."""
    safe = "".join("_" if c in _UNSAFE or not c.isprintable() else c for c in name).strip(". ")[:_LONGEST_NAME]
    return name if safe == name else f"{safe}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
