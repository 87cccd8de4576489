"""Fifth panel: write results to files."""

from __future__ import annotations

import bpy

from ..run.session import session
from .header import GtrPanel
from .widgets import draw_progress, draw_text


class GTR_PT_export(GtrPanel, bpy.types.Panel):
    """Format, folder, scope, Export."""

    bl_idname = "GTR_PT_export"
    bl_label = "Export"

    def draw(self, context: bpy.types.Context) -> None:
        """Settings, the button, and what the last export wrote."""
        layout = self.layout
        settings = context.scene.gtr
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "export_format")
        if settings.export_format == "PLY":
            column.label(text="Vertex colours only")
        else:
            column.row().prop(settings, "export_colors", expand=True)
            if settings.export_colors == "TEXTURE":
                column.prop(settings, "export_size")
        column.prop(settings, "export_folder")
        column.prop(settings, "export_scope")
        column.prop(settings, "export_origin")
        column.prop(settings, "export_overwrite")
        if session.kind == "bake":
            draw_progress(layout)
            if session.queue_text:
                layout.label(text=session.queue_text)
        else:
            layout.operator("gtr.export", text="Export Asset", icon="EXPORT")
        if session.last_was_export and session.message and not session.exported:
            draw_text(layout, session.message, icon="INFO")
        for line in session.exported:
            draw_text(layout, line, icon="CHECKMARK")
        if session.exported:
            layout.operator("gtr.open_folder", text="Open Folder", icon="FILE_FOLDER")


CLASSES = (GTR_PT_export,)
