"""Fourth panel: refine the colours of a result, compare, go back, recolour an edited mesh."""

from __future__ import annotations

import bpy

from ..link.model_list import FIT
from ..result import objects as result_objects
from ..run import stale
from ..run.session import session
from .header import GtrPanel
from .widgets import draw_progress, draw_text


class GTR_PT_texture(GtrPanel, bpy.types.Panel):
    """What can be done with the colours of the active result."""

    bl_idname = "GTR_PT_texture"
    bl_label = "Texture"

    def draw(self, context: bpy.types.Context) -> None:
        """The active result, its steps, and the buttons."""
        layout = self.layout
        settings = context.scene.gtr
        active = result_objects.active(context)
        if active is None:
            draw_text(layout, "Select a result of GTR to refine its colours.", icon="INFO")
        else:
            layout.label(text=result_objects.describe(active), icon="GROUP_VCOL")
            model = str(result_objects.settings_of(active).get("model", FIT))
            if model != FIT:
                draw_text(layout, f"Made by {model}", icon="BLANK1")
        column = layout.column()
        column.enabled = active is not None
        row = column.row(align=True)
        row.prop(settings, "steps")
        row.prop(settings, "show_detail", text="", icon="OPTIONS")
        if settings.show_detail:
            detail = column.column()
            detail.use_property_split = True
            detail.use_property_decorate = False
            detail.prop(settings, "refine_views")
            detail.prop(settings, "strength")
            detail.prop(settings, "seed")
        if session.busy and session.kind == "refine":
            draw_progress(layout)
        else:
            row = column.row(align=True)
            row.operator("gtr.refine", text="Refine", icon="BRUSH_DATA")
            row.operator("gtr.revert", text="Revert", icon="LOOP_BACK")
        if active is None:
            return
        if session.held is not None:
            box = layout.box()
            reason = "You painted here. Replace it?" if session.held_by_paint else "Leave Edit Mode to apply colours."
            draw_text(box, reason, icon="INFO")
            box.operator("gtr.apply_now", text="Apply Now")
        row = layout.row()
        row.enabled = result_objects.can_compare(active)
        row.prop(context.window_manager.gtr, "compare")
        if stale.is_edited(active):
            layout.operator("gtr.recolour", text="Recolour Edited Mesh", icon="MOD_VERTEX_WEIGHT")


CLASSES = (GTR_PT_texture,)
