"""First panel: how the server is, and its menu."""

from __future__ import annotations

import bpy

from ..run.session import session
from .widgets import draw_error, draw_missing_packages, draw_text

SERVER_ICONS = {
    "off": "RADIOBUT_OFF",
    "stopped": "RADIOBUT_OFF",
    "starting": "SORTTIME",
    "ready": "CHECKMARK",
    "lost": "UNLINKED",
    "incompatible": "ERROR",
    "failed": "ERROR",
}
HEADLINES = {"off": "Server off", "stopped": "Server off", "failed": "No server"}
"""Short words beside the *Start* button; what is wrong stands in the error box."""
LONGEST_LINE = 20
"""Characters that fit beside icon and menu at the default width; a longer device name gets a line of its own."""


class GtrPanel:
    """Where every panel of this add-on is."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "GTR"


class GTR_MT_server(bpy.types.Menu):
    """What can be done with the server."""

    bl_idname = "GTR_MT_server"
    bl_label = "Server"

    def draw(self, _context: bpy.types.Context) -> None:
        """One line per action; each explains itself when it is greyed out."""
        layout = self.layout
        layout.operator("gtr.server_start", text="Start", icon="PLAY")
        layout.operator("gtr.unload", text="Unload Model", icon="MEMORY")
        layout.operator("gtr.server_restart", text="Restart", icon="FILE_REFRESH")
        layout.operator("gtr.server_stop", text="Stop", icon="QUIT")
        layout.separator()
        layout.operator("gtr.open_log", text="Open Log", icon="TEXT")
        layout.operator("gtr.copy_diagnostics", text="Copy Diagnostics", icon="COPYDOWN")


class GTR_PT_server(GtrPanel, bpy.types.Panel):
    """The server line."""

    bl_idname = "GTR_PT_server"
    bl_label = "GTR"

    def draw_header_preset(self, _context: bpy.types.Context) -> None:
        """The way to the preferences."""
        row = self.layout.row()
        row.emboss = "NONE"
        row.operator("gtr.preferences", text="", icon="PREFERENCES")

    def draw(self, _context: bpy.types.Context) -> None:
        """State, device, free memory; Start when it is off."""
        layout = self.layout
        if draw_missing_packages(layout):
            return
        _draw_line(layout)
        draw_error(layout)
        for note in session.notes:
            draw_text(layout, note, icon="INFO")


def _draw_line(layout: bpy.types.UILayout) -> None:
    line = session.server
    startable = session.server_is_off and not session.busy
    row = layout.split(factor=0.58, align=True) if startable else layout.row(align=True)
    text, device = line.text.replace("Starting: l", "L"), ""
    if startable:
        text = HEADLINES.get(line.state, text)
    elif len(text) > LONGEST_LINE and line.device:
        text, device = text.replace(f" · {line.device}", ""), line.device
    row.label(text=text, icon=SERVER_ICONS.get(line.state, "QUESTION"))
    buttons = row.row(align=True)
    if startable:
        buttons.operator("gtr.server_start", text="Start")
    buttons.menu("GTR_MT_server", text="", icon="DOWNARROW_HLT")
    if device:
        draw_text(layout, device, icon="BLANK1")


CLASSES = (GTR_MT_server, GTR_PT_server)
