"""The heart beat: the timer that drives the session, and the moments when Blender opens, saves, undoes or closes."""

from __future__ import annotations

import atexit
import sys

import bpy
from bpy.app.handlers import persistent

from .run.run import ErrorBox
from .run.session import session

BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.25


def beat() -> float:
    """One beat; returns the seconds until the next.

    A mistake of ours must neither end the timer for good nor be hidden: it is shown in the panel, printed by Blender,
    and the timer goes on.
    """
    finished = False
    try:
        session.tick()
        finished = True
    finally:
        if not finished:
            session.broken(ErrorBox("internal", "Something unexpected failed.", details=str(sys.exc_info()[1])))
            bpy.app.timers.register(beat, first_interval=IDLE_SECONDS, persistent=True)
    return BUSY_SECONDS if session.busy else IDLE_SECONDS


@persistent
def _before_file(_path: object, _second: object = None) -> None:
    session.file_closes()


@persistent
def _after_file(_path: object, _second: object = None) -> None:
    session.file_opened()


@persistent
def _before_undo_or_save(_path: object, _second: object = None) -> None:
    session.capturing.hide()


@persistent
def _after_change(_scene: object, depsgraph: bpy.types.Depsgraph) -> None:
    session.scene_changed(depsgraph)


_HANDLERS = (
    ("load_pre", _before_file),
    ("load_post", _after_file),
    ("save_pre", _before_undo_or_save),
    ("undo_pre", _before_undo_or_save),
    ("redo_pre", _before_undo_or_save),
    ("depsgraph_update_post", _after_change),
)


def register() -> None:
    """Start the timer and listen."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    session.open()
    if not bpy.app.background:
        bpy.app.timers.register(beat, first_interval=IDLE_SECONDS, persistent=True)
    atexit.register(session.mailbox.close)


def unregister() -> None:
    """Stop listening, end the timer, let the server go."""
    atexit.unregister(session.mailbox.close)
    if bpy.app.timers.is_registered(beat):
        bpy.app.timers.unregister(beat)
    for name, handler in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:
            handlers.remove(handler)
    session.shutdown()
