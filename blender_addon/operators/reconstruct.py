"""Reconstruct, cancel, stop."""

import bpy
from bpy.props import BoolProperty

from ..run import plan
from ..run.session import session
from .guard import error_box, explain, outcome, why_not_start


class GTR_OT_reconstruct(bpy.types.Operator):
    """Build a coloured mesh from views of the selected objects (or from the images) and put it into the scene"""

    bl_idname = "gtr.reconstruct"
    bl_label = "Reconstruct with GTR"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait",
        description="Come back when the result is there: for scripts, where timers do not fire",
        default=False,
        options={"SKIP_SAVE", "HIDDEN"},
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Whenever nothing runs; what is wrong with the input is said after the click, with a way out."""
        return explain(cls, why_not_start())

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Capture when the views are stale, send, return."""
        with error_box():
            session.start(plan.reconstruct_runs(context))
            if self.wait:
                session.pump()
        return outcome(self)


class GTR_OT_fetch_result(bpy.types.Operator):
    """Put into the scene what the server made, or still makes, for this file in an earlier Blender"""

    bl_idname = "gtr.fetch_result"
    bl_label = "Fetch GTR Result"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait", description="Come back when it is done", default=False, options={"SKIP_SAVE", "HIDDEN"}
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """The server has a job of this file, and nothing runs."""
        return explain(cls, why_not_start() or (None if session.former.offered else "There is no former job"))

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Wait for the job at the server, place its mesh."""
        with error_box():
            session.start([session.former.offered.run(context)])
            if self.wait:
                session.pump()
        return outcome(self)


class GTR_OT_forget_job(bpy.types.Operator):
    """Do not offer this job again; the server keeps it until it needs the space"""

    bl_idname = "gtr.forget_job"
    bl_label = "Forget GTR Job"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Take its id out of the file."""
        session.former.drop()
        return {"FINISHED"}


class GTR_OT_cancel(bpy.types.Operator):
    """Stop what runs; the scene stays as it was before"""

    bl_idname = "gtr.cancel"
    bl_label = "Cancel GTR"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While something runs."""
        return explain(cls, None if session.busy else "Nothing runs")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the server to stop; it confirms within seconds."""
        session.cancel()
        return {"FINISHED"}


class GTR_OT_stop(bpy.types.Operator):
    """Stop refining after this step and keep the colours"""

    bl_idname = "gtr.stop"
    bl_label = "Stop Refining"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While a refinement runs."""
        return explain(cls, None if session.can_stop else "No refinement runs")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the server to finish with what it has."""
        session.stop()
        return {"FINISHED"}


CLASSES = (GTR_OT_reconstruct, GTR_OT_fetch_result, GTR_OT_forget_job, GTR_OT_cancel, GTR_OT_stop)
