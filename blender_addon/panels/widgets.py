"""Pieces that several panels share: wrapped text, the progress bar, the error box."""

from __future__ import annotations

import blf
import bpy

from .. import packages
from ..messages import ROWS
from ..run.session import session

HAS_PROGRESS = "progress" in bpy.types.UILayout.bl_rna.functions
"""``layout.progress`` exists from Blender 4.0; asking ``hasattr`` is answered wrongly by every version."""

MARGIN, ICON = 62, 22
"""Pixels that tabs, frame and box take of a region's width at scale 1, and what an icon takes beside them."""


def draw_text(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """Draw ``text`` over as many lines as the region needs; the icon stands before the first."""
    scale = bpy.context.preferences.system.ui_scale
    margin = MARGIN if icon == "NONE" else MARGIN + ICON
    width = (bpy.context.region.width if bpy.context.region else 300) - margin * scale
    blf.size(0, bpy.context.preferences.ui_styles[0].widget.points * scale)
    column = layout.column(align=True)
    column.scale_y = 0.85
    for number, line in enumerate(_wrap(text, width)):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


def _wrap(text: str, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and blf.dimensions(0, longer)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def draw_progress(layout: bpy.types.UILayout) -> None:
    """Bar, then what happens, then how long it takes: each on a line of its own."""
    line = session.progress
    row = layout.row(align=True)
    if HAS_PROGRESS:
        row.progress(factor=line.fraction, type="BAR", text=f"{round(100 * line.fraction)} %")
    else:
        bar = row.row(align=True)
        bar.enabled = False
        bar.prop(bpy.context.window_manager.gtr, "progress", text="", slider=True)
    button = row.row(align=True)
    button.enabled = session.can_cancel
    if session.can_stop:
        button.operator("gtr.stop", text="Stop", icon="PAUSE")
    else:
        button.operator("gtr.cancel", text="", icon="X")
    layout.label(text=line.text)
    if line.times:
        layout.label(text=line.times, icon="TIME")


def draw_error(layout: bpy.types.UILayout) -> None:
    """The error of the last action with the buttons that repair it."""
    error = session.error
    if error is None:
        return
    box = layout.box()
    draw_text(box, error.text, icon="ERROR")
    row = box.row(align=True)
    for label, action in error.buttons:
        row.operator("gtr.fix", text=label).action = action
    if all(action != "copy_details" for _, action in error.buttons):
        row.operator("gtr.copy_details", text="" if error.buttons else "Copy Details", icon="COPYDOWN")


def draw_missing_packages(layout: bpy.types.UILayout) -> bool:
    """Say in one sentence what Blender's Python lacks; True when something is missing."""
    if not packages.missing():
        return False
    row = ROWS["missing_packages"]
    box = layout.box()
    draw_text(box, row.text, icon="ERROR")
    for label, action in row.buttons:
        box.operator("gtr.fix", text=label, icon="COPYDOWN").action = action
    return True
