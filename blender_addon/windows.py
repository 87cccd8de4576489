"""Blender's windows: a context for calls from a timer, redraws, the status bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy


@contextmanager
def view_context() -> Iterator[bpy.types.Context]:
    """A context with a window and a 3D view, as an operator would have; unchanged in background mode.

    A timer has no window of its own, and undo, mode switches and view settings need one.
    """
    found = _first_view()
    if found is None:
        yield bpy.context
        return
    window, area, region = found
    with bpy.context.temp_override(window=window, screen=window.screen, area=area, region=region):
        yield bpy.context


def selection(context: bpy.types.Context) -> tuple[str, ...]:
    """Names of the selected objects in order, then of the active one: to tell later whether the user chose others."""
    active = context.active_object
    return (*sorted(obj.name for obj in context.selected_objects), active.name if active is not None else "")


def redraw() -> None:
    """Ask for a new picture of every sidebar of a 3D view (and of the preferences)."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()
            elif area.type == "PREFERENCES":
                area.tag_redraw()


def set_status(text: str | None) -> None:
    """Show ``text`` in the status bar of every window; None gives it back to Blender."""
    for window in bpy.context.window_manager.windows:
        window.workspace.status_text_set(text)


def _first_view() -> tuple[bpy.types.Window, bpy.types.Area, bpy.types.Region] | None:
    if bpy.app.background:
        return None
    fallback = None
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if region.type != "WINDOW":
                    continue
                if area.type == "VIEW_3D":
                    return window, area, region
                fallback = fallback or (window, area, region)
    return fallback
