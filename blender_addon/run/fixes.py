"""The actions behind the buttons of the error box; messages.py names them."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ..link.model_list import FIT
from ..packages import INSTALL_COMMAND
from ..preferences import get_preferences
from ..properties import GRID_RESOLUTION
from ..views import cameras_preview
from .session import session

Action = Callable[[bpy.types.Context], None]


def copy_details(context: bpy.types.Context) -> None:
    """Sentence, code and details to the clipboard."""
    if session.error is not None:
        context.window_manager.clipboard = f"{session.error.text}\n{session.error.details}".strip()


def _again(_context: bpy.types.Context) -> None:
    session.again()


def _reconstruct(context: bpy.types.Context) -> None:
    from . import plan

    session.start(plan.reconstruct_runs(context))


def _retry_lower(context: bpy.types.Context) -> None:
    order = list(GRID_RESOLUTION)
    settings = context.scene.gtr
    settings.quality = order[max(0, order.index(settings.quality) - 1)]
    _reconstruct(context)


def _use_cpu(context: bpy.types.Context) -> None:
    get_preferences(context).device = "cpu"
    _restart_server(context)
    session.again()


def _use_another_port(context: bpy.types.Context) -> None:
    preferences = get_preferences(context)
    preferences.server_mode = "MANAGED"
    preferences.port = 0
    _start_server(context)


def _start_server(_context: bpy.types.Context) -> None:
    session.start_server()


def _restart_server(_context: bpy.types.Context) -> None:
    session.start_server(restart=True)


def _check_server(_context: bpy.types.Context) -> None:
    session.begin()
    session.mailbox.runner().check_server()


def _choose_python(_context: bpy.types.Context) -> None:
    bpy.ops.gtr.choose_python("INVOKE_DEFAULT")


def _preferences(_context: bpy.types.Context) -> None:
    bpy.ops.gtr.preferences()


def _open_log(_context: bpy.types.Context) -> None:
    bpy.ops.gtr.open_log()


def _open_data_folder(_context: bpy.types.Context) -> None:
    from ..server_process import home_folder

    bpy.ops.wm.path_open(filepath=str(home_folder()))


def _remove_image(context: bpy.types.Context) -> None:
    settings = context.scene.gtr
    view = session.error.view if session.error is not None else None
    if view is not None and view < len(settings.slots):
        settings.slot_index = view
    bpy.ops.gtr.remove_image()
    session.begin()


def _add_images(_context: bpy.types.Context) -> None:
    bpy.ops.gtr.add_images("INVOKE_DEFAULT")


def _remove_background(context: bpy.types.Context) -> None:
    context.scene.gtr.background = "AUTO"
    session.begin()
    bpy.ops.gtr.show_masks()


def _show_mask(context: bpy.types.Context) -> None:
    view = session.error.view if session.error is not None else None
    if view is not None:
        context.scene.gtr.slot_index = view
    session.begin()
    bpy.ops.gtr.show_masks()


def _choose_camera_set(context: bpy.types.Context) -> None:
    settings = context.scene.gtr
    settings.source = "IMAGES"
    settings.camera_set = {4: "orthogonal", 6: "zero123plus"}.get(len(settings.slots), "scene")
    session.begin()


def _show_cameras(_context: bpy.types.Context) -> None:
    session.begin()
    if not cameras_preview.is_shown():
        bpy.ops.gtr.show_cameras()


def _select_all_meshes(context: bpy.types.Context) -> None:
    from ..result import objects as result_objects

    for obj in context.view_layer.objects:
        if obj.type == "MESH" and obj.visible_get() and not result_objects.is_result(obj):
            obj.select_set(True)
    session.begin()


def _downscale(context: bpy.types.Context) -> None:
    from ..views import images_input

    images_input.downscale(context)
    session.begin()


def _import_as_new(_context: bpy.types.Context) -> None:
    session.import_as_new()


def _apply_now(_context: bpy.types.Context) -> None:
    bpy.ops.gtr.apply_now()


def _recolour(_context: bpy.types.Context) -> None:
    bpy.ops.gtr.recolour()


def _choose_folder(_context: bpy.types.Context) -> None:
    bpy.ops.gtr.choose_folder("INVOKE_DEFAULT")


def _copy_install_command(context: bpy.types.Context) -> None:
    context.window_manager.clipboard = INSTALL_COMMAND


def _copy_convert_command(context: bpy.types.Context) -> None:
    # The last line of the details is the path of the file that was chosen.
    path = session.error.details.splitlines()[-1] if session.error is not None else "full_checkpoint.pth"
    context.window_manager.clipboard = f'gtr convert "{path}"'


def _choose_model_file(_context: bpy.types.Context) -> None:
    bpy.ops.gtr.choose_model_file("INVOKE_DEFAULT")


def _use_fit(context: bpy.types.Context) -> None:
    bpy.ops.gtr.choose_model(model=FIT)
    _reconstruct(context)


ACTIONS: dict[str, Action] = {
    "add_images": _add_images,
    "apply_now": _apply_now,
    "choose_camera_set": _choose_camera_set,
    "choose_folder": _choose_folder,
    "choose_model_file": _choose_model_file,
    "choose_python": _choose_python,
    "copy_convert_command": _copy_convert_command,
    "copy_details": copy_details,
    "copy_install_command": _copy_install_command,
    "downscale_images": _downscale,
    "import_as_new": _import_as_new,
    "open_data_folder": _open_data_folder,
    "open_log": _open_log,
    "open_preferences": _preferences,
    "read_key_again": _check_server,
    "recolour": _recolour,
    "reconstruct_again": _reconstruct,
    "remove_background": _remove_background,
    "remove_image": _remove_image,
    "restart_server": _restart_server,
    "resubmit": _again,
    "retry_lower": _retry_lower,
    "select_all_meshes": _select_all_meshes,
    "show_cameras": _show_cameras,
    "show_mask": _show_mask,
    "start_server": _start_server,
    "use_another_port": _use_another_port,
    "use_cpu": _use_cpu,
    "use_fit": _use_fit,
}
