"""Capture the views, look at them, show the cameras."""

import bpy
from bpy.props import BoolProperty, StringProperty

from ..run import plan
from ..run.session import session
from ..views import cameras_preview, view_source
from .guard import error_box, explain, outcome, why_not_start


class GTR_OT_capture(bpy.types.Operator):
    """Take the pictures of the selected objects and show them here, without sending anything"""

    bl_idname = "gtr.capture"
    bl_label = "Capture Views (GTR)"

    wait: BoolProperty(
        name="Wait", description="Come back when it is done", default=False, options={"SKIP_SAVE", "HIDDEN"}
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Whenever nothing runs."""
        return explain(cls, why_not_start())

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Begin; one view per beat of the timer."""
        with error_box():
            session.start([plan.capture_run(context)])
            if self.wait:
                session.pump()
        return outcome(self)


class GTR_OT_show_cameras(bpy.types.Operator):
    """Show or hide the cameras of the views in the viewport; nothing is added to the scene"""

    bl_idname = "gtr.show_cameras"
    bl_label = "Show GTR Cameras"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Toggle the drawing."""
        if cameras_preview.is_shown():
            cameras_preview.hide()
            return {"FINISHED"}
        session.begin()
        with error_box():
            cameras_preview.show(*view_source.preview_cameras(context))
        return outcome(self)


class GTR_OT_open_view(bpy.types.Operator):
    """Open this picture in an Image Editor"""

    bl_idname = "gtr.open_view"
    bl_label = "Open View"

    name: StringProperty(name="View", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Load the picture and show it in an Image Editor when there is one, else in a new window."""
        from ..views import thumbnails

        path = thumbnails.path_of_view(self.name)
        if path is None:
            self.report({"WARNING"}, "This picture is gone; capture again")
            return {"CANCELLED"}
        image = bpy.data.images.load(str(path), check_existing=True)
        areas = [area for area in context.window.screen.areas if area.type == "IMAGE_EDITOR"]
        if areas:
            areas[0].spaces.active.image = image
        else:
            bpy.ops.wm.window_new()
            area = context.window_manager.windows[-1].screen.areas[0]
            area.type = "IMAGE_EDITOR"
            area.spaces.active.image = image
        return {"FINISHED"}


CLASSES = (GTR_OT_capture, GTR_OT_show_cameras, GTR_OT_open_view)
