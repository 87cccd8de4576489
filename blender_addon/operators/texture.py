"""Refine, recolour, revert, apply held colours."""

import bpy
from bpy.props import BoolProperty

from .. import scene
from ..result import objects as result_objects
from ..run import plan
from ..run.session import session
from .guard import error_box, explain, outcome, why_not_start


def _why_no_result(context: bpy.types.Context) -> str | None:
    if result_objects.active(context) is None:
        return "Select a mesh that GTR made"
    return None


class GTR_OT_refine(bpy.types.Operator):
    """Bring the colours of the active result closer to the views; only colours change"""

    bl_idname = "gtr.refine"
    bl_label = "Refine Texture (GTR)"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait", description="Come back when it is done", default=False, options={"SKIP_SAVE", "HIDDEN"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A result is active and nothing runs."""
        return explain(cls, why_not_start() or _why_no_result(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the refinement and return."""
        with error_box():
            session.start([plan.refine_run(context)])
            if self.wait:
                session.pump()
        return outcome(self)


class GTR_OT_recolour(bpy.types.Operator):
    """Give an edited result (sculpted, decimated, remeshed) its colours again"""

    bl_idname = "gtr.recolour"
    bl_label = "Recolour Edited Mesh (GTR)"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait", description="Come back when it is done", default=False, options={"SKIP_SAVE", "HIDDEN"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A result is active, outside Edit mode, and nothing runs."""
        reason = why_not_start() or _why_no_result(context)
        if reason is None and context.mode == "EDIT_MESH":
            reason = "Leave Edit Mode first"
        return explain(cls, reason)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask for the colours at the vertices of now."""
        with error_box():
            session.start([plan.recolour_run(context)])
            if self.wait:
                session.pump()
        return outcome(self)


class GTR_OT_revert(bpy.types.Operator):
    """Go back to the colours before refinement"""

    bl_idname = "gtr.revert"
    bl_label = "GTR Revert"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """The active result was refined."""
        reason = why_not_start() or _why_no_result(context)
        if reason is None and not result_objects.can_compare(result_objects.active(context)):
            reason = "This result was not refined"
        if reason is None and context.mode == "EDIT_MESH":
            reason = "Leave Edit Mode first"
        return explain(cls, reason)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Copy the former colours back."""
        session.begin()
        scene.revert(result_objects.active(context))
        result_objects.remember(result_objects.active(context), refined=False)
        return {"FINISHED"}


class GTR_OT_apply_now(bpy.types.Operator):
    """Leave Edit Mode for a moment and apply the result that waits"""

    bl_idname = "gtr.apply_now"
    bl_label = "Apply GTR Result Now"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While a result waits."""
        return explain(cls, None if session.held else "Nothing waits")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Out of the mode, apply, back into it."""
        mode = context.mode
        bpy.ops.object.mode_set(mode="OBJECT")
        session.apply_held(force=True)
        if mode == "EDIT_MESH":
            bpy.ops.object.mode_set(mode="EDIT")
        return {"FINISHED"}


CLASSES = (GTR_OT_refine, GTR_OT_recolour, GTR_OT_revert, GTR_OT_apply_now)
