"""Start, restart, stop the server; log, diagnostics, preferences."""

import platform

import bpy
from bpy.props import StringProperty

from .. import packages
from ..preferences import get_preferences
from ..run.session import session
from .guard import error_box, explain


def _why_no_packages() -> str | None:
    missing = packages.missing()
    return f"Blender's Python lacks {' and '.join(missing)}" if missing else None


def _model_in_words(context: bpy.types.Context) -> str:
    model = session.model(context.scene.gtr.model)
    return f"preset {model.preset}, {model.state}"  # a file's name is the user's own


class GTR_OT_server_start(bpy.types.Operator):
    """Start the GTR server, or find the one that runs"""

    bl_idname = "gtr.server_start"
    bl_label = "Start GTR Server"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While none is ready."""
        reason = _why_no_packages()
        if reason is None and session.server.state in ("ready", "starting"):
            reason = "The server runs already"
        return explain(cls, reason)

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the job process; the header line tells the rest."""
        with error_box():
            session.start_server()
        return {"FINISHED"}


class GTR_OT_server_stop(bpy.types.Operator):
    """Stop the server that this Blender started"""

    bl_idname = "gtr.server_stop"
    bl_label = "Stop GTR Server"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While ours runs and has nothing to do."""
        reason = _why_no_packages()
        if reason is None and session.server.state != "ready":
            reason = "The server is off"
        elif reason is None and not session.server.managed:
            reason = "Somebody else started this server"
        elif reason is None and session.busy:
            reason = "Cancel the job first"
        return explain(cls, reason)

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the job process."""
        with error_box():
            session.mailbox.runner().stop_server()
        return {"FINISHED"}


class GTR_OT_server_restart(bpy.types.Operator):
    """Stop the server and start it again"""

    bl_idname = "gtr.server_restart"
    bl_label = "Restart GTR Server"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While nothing runs."""
        return explain(cls, _why_no_packages() or ("Cancel the job first" if session.busy else None))

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the job process for both."""
        with error_box():
            session.start_server(restart=True)
        return {"FINISHED"}


class GTR_OT_unload(bpy.types.Operator):
    """Free the memory of the model; the next job loads it again"""

    bl_idname = "gtr.unload"
    bl_label = "Unload GTR Model"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While the server is ready and has nothing to do."""
        reason = _why_no_packages()
        if reason is None and session.server.state != "ready":
            reason = "The server is not ready"
        return explain(cls, reason or ("Cancel the job first" if session.busy else None))

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the job process."""
        with error_box():
            session.mailbox.runner().unload_model()
        return {"FINISHED"}


class GTR_OT_choose_python(bpy.types.Operator):
    """Choose the Python that has the GTR server"""

    bl_idname = "gtr.choose_python"
    bl_label = "Choose Python"

    filepath: StringProperty(name="Python", subtype="FILE_PATH", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remember it and start the server with it."""
        get_preferences(context).server_python = self.filepath
        with error_box():
            session.start_server()
        return {"FINISHED"}


class GTR_OT_preferences(bpy.types.Operator):
    """Show the preferences of this add-on"""

    bl_idname = "gtr.preferences"
    bl_label = "GTR Preferences"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Open Preferences at our entry."""
        bpy.ops.preferences.addon_show(module=__package__.rpartition(".")[0])
        return {"FINISHED"}


class GTR_OT_open_log(bpy.types.Operator):
    """Show the server's log with the program that the system has for text files"""

    bl_idname = "gtr.open_log"
    bl_label = "Open GTR Log"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Hand the file to the desktop."""
        from ..server_process import home_folder

        logs = [home_folder() / name for name in ("server.log", "server-start.log")]
        path = next((path for path in logs if path.exists()), None)
        if path is None:
            self.report({"INFO"}, "There is no log yet: the server never ran")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(path))
        return {"FINISHED"}


class GTR_OT_copy_diagnostics(bpy.types.Operator):
    """Copy versions, device and the last error to the clipboard (no paths of your files)"""

    bl_idname = "gtr.copy_diagnostics"
    bl_label = "Copy GTR Diagnostics"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """A few lines for a bug report."""
        from ..version import addon_version

        line = session.server
        error = session.error
        context.window_manager.clipboard = "\n".join((
            f"GTR add-on {addon_version()}",
            f"Blender {bpy.app.version_string}, Python {platform.python_version()}, {platform.system()}",
            f"Server: {line.state}, {line.text}, device {line.device or 'unknown'}",
            f"Model: {_model_in_words(context)}",
            f"State: {session.state.value}",
            f"Last error: {f'{error.code}: {error.text}' if error else 'none'}",
        ))  # fmt: skip
        return {"FINISHED"}


CLASSES = (
    GTR_OT_server_start,
    GTR_OT_server_stop,
    GTR_OT_server_restart,
    GTR_OT_unload,
    GTR_OT_choose_python,
    GTR_OT_preferences,
    GTR_OT_open_log,
    GTR_OT_copy_diagnostics,
)
