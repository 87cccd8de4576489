"""The buttons of the error box."""

import bpy
from bpy.props import StringProperty

from ..run import fixes
from ..run.session import session
from .guard import error_box, explain


class GTR_OT_fix(bpy.types.Operator):
    """Repair what the message says"""

    bl_idname = "gtr.fix"
    bl_label = "Fix GTR Error"

    action: StringProperty(name="Action", description="What to do", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Run the action; it leaves a new box when it cannot help."""
        if self.action not in fixes.ACTIONS:
            self.report({"WARNING"}, f"There is no action {self.action!r}")
            return {"CANCELLED"}
        with error_box():
            fixes.ACTIONS[self.action](context)
        return {"FINISHED"}


class GTR_OT_copy_details(bpy.types.Operator):
    """Copy the full text of the error to the clipboard"""

    bl_idname = "gtr.copy_details"
    bl_label = "Copy Details"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While there is an error."""
        return explain(cls, None if session.error else "There is no error")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Sentence, code and details."""
        fixes.copy_details(context)
        self.report({"INFO"}, "Copied")
        return {"FINISHED"}


CLASSES = (GTR_OT_fix, GTR_OT_copy_details)
