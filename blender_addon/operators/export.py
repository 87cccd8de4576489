"""Write results to files."""

import bpy
from bpy.props import BoolProperty, StringProperty

from ..faults import SceneFault
from ..messages import ROWS
from ..preferences import get_preferences
from ..result import objects as result_objects
from ..run import plan
from ..run.run import ErrorBox
from ..run.session import session
from .guard import error_box, explain, outcome


class GTR_OT_export(bpy.types.Operator):
    """Write the chosen results with their colours to a file each"""

    bl_idname = "gtr.export"
    bl_label = "Export GTR Asset"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait", description="Come back when it is done", default=False, options={"SKIP_SAVE", "HIDDEN"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is a mesh to write."""
        if session.busy and context.scene.gtr.export_colors == "TEXTURE":
            return explain(cls, "Something runs already: wait for it or cancel it")
        return explain(cls, None if any(obj.type == "MESH" for obj in context.scene.objects) else "There is no mesh")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write, check what was written, say so."""
        from .. import export
        from ..result import export_texture

        session.begin()
        settings = context.scene.gtr
        if settings.export_folder.startswith("//") and not bpy.data.filepath:
            row = ROWS["folder_denied"]
            session.fail(ErrorBox("folder_denied", "Save the file first or choose a folder.", row.buttons))
            return outcome(self)
        with error_box():
            if settings.export_colors == "TEXTURE" and settings.export_format in export_texture.TEXTURED_FORMATS:
                session.start(plan.texture_runs(context, _chosen(context)))
                if self.wait:
                    session.pump()
                return outcome(self)
            written = export.export_objects(
                context,
                _chosen(context),
                settings.export_folder,
                settings.export_format,
                at_origin=settings.export_origin,
                overwrite=settings.export_overwrite,
                unlit=get_preferences(context).unlit,
            )
            session.exported = tuple(entry.text for entry in written)
            self.report({"INFO"}, "; ".join(session.exported))
        return outcome(self)


def _chosen(context: bpy.types.Context) -> list[bpy.types.Object]:
    scope = context.scene.gtr.export_scope
    if scope == "ALL":
        found = [obj for obj in context.scene.objects if result_objects.is_result(obj)]
    elif scope == "SELECTED":
        found = [obj for obj in context.selected_objects if obj.type == "MESH"]
    else:
        found = [obj for obj in (context.active_object,) if obj is not None and obj.type == "MESH"]
    if not found:
        raise SceneFault("no_selection", "No mesh to export is chosen.")
    return found


class GTR_OT_choose_folder(bpy.types.Operator):
    """Choose where exported files go"""

    bl_idname = "gtr.choose_folder"
    bl_label = "Choose Export Folder"

    directory: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remember the folder."""
        context.scene.gtr.export_folder = self.directory
        session.begin()
        return {"FINISHED"}


class GTR_OT_open_folder(bpy.types.Operator):
    """Show the folder of the exported files"""

    bl_idname = "gtr.open_folder"
    bl_label = "Open Export Folder"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Hand the folder to the desktop."""
        bpy.ops.wm.path_open(filepath=bpy.path.abspath(context.scene.gtr.export_folder))
        return {"FINISHED"}


CLASSES = (GTR_OT_export, GTR_OT_choose_folder, GTR_OT_open_folder)
