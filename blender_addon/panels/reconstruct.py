"""Third panel: the big button, its settings, and how far it is."""

from __future__ import annotations

import bpy

from ..run.session import session
from .header import GtrPanel
from .models import draw_model
from .widgets import draw_progress, draw_text


class GTR_PT_reconstruct(GtrPanel, bpy.types.Panel):
    """Quality, place, Reconstruct."""

    bl_idname = "GTR_PT_reconstruct"
    bl_label = "Reconstruct"

    def draw(self, context: bpy.types.Context) -> None:
        """Settings, then the button or the progress bar in its place."""
        layout = self.layout
        settings = context.scene.gtr
        draw_model(layout, context)
        layout.row().prop(settings, "quality", expand=True)
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "face_limit")
        column.prop(settings, "place")
        row = layout.split(factor=0.4, align=True)
        row.prop(settings, "refine")
        steps = row.row(align=True)
        steps.active = settings.refine
        steps.prop(settings, "steps")
        if session.busy and session.kind not in ("refine", "bake"):
            draw_progress(layout)
            if session.queue_text:
                layout.label(text=session.queue_text)
        else:
            if session.former.offered:
                draw_text(layout, "A former job is still there.", icon="INFO")
                row = layout.row(align=True)
                row.operator("gtr.fetch_result", text="Fetch Result", icon="IMPORT")
                row.operator("gtr.forget_job", text="", icon="X")
            row = layout.row()
            row.scale_y = 1.6
            row.operator("gtr.reconstruct", text="Start and Reconstruct" if session.server_is_off else "Reconstruct")
            if session.message and not session.last_was_export:
                draw_text(layout, session.message, icon="CHECKMARK")


CLASSES = (GTR_PT_reconstruct,)
