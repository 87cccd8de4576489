"""Choose what makes the surface: a preset, or a file of weights."""

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..errors import ClientError
from ..link.model_list import FIT, add_model_file, models_folder
from ..preferences import get_preferences
from ..run.session import session
from .guard import error_box, explain, outcome

USUAL_VIEWS = {True: 4, False: 14}
"""Cameras around the object that a learned model wants, and ``fit``."""


def choose(context: bpy.types.Context, model: str) -> None:
    """Take a model; the number of views follows it unless the user has set another."""
    settings = context.scene.gtr
    if settings.views == USUAL_VIEWS[settings.model != FIT]:
        settings.views = USUAL_VIEWS[model != FIT]
    settings.model = model
    session.begin()


class GTR_OT_choose_model(bpy.types.Operator):
    """Make the surface with this model"""

    bl_idname = "gtr.choose_model"
    bl_label = "Choose GTR Model"
    bl_options = {"REGISTER", "UNDO"}

    model: StringProperty(name="Model", description="A preset or a file of the models folder", default=FIT)

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """What is known of the model."""
        model = session.model(properties.model)
        return model.text or ("Needs no weights" if model.id == FIT else f"A network for the preset {model.preset}")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remember it in the scene."""
        choose(context, self.model)
        return {"FINISHED"}


class GTR_OT_choose_model_file(bpy.types.Operator):
    """Choose a file of weights (.safetensors); it is linked into the models folder"""

    bl_idname = "gtr.choose_model_file"
    bl_label = "Choose Model File"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(name="File", subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.safetensors;*.pth;*.pt;*.ckpt", options={"HIDDEN"})

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """While nothing runs."""
        return explain(cls, "Something runs already: wait for it or cancel it" if session.busy else None)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Open the file browser in the models folder."""
        folder = _folder(context)
        if folder.is_dir():
            self.filepath = f"{folder}/"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Bring it into the models folder, choose it, and let the server look at it."""
        session.begin()
        with error_box():
            name = add_model_file(Path(bpy.path.abspath(self.filepath)), _folder(context))
            choose(context, name)
            if session.server.state == "ready":
                session.mailbox.runner().check_server()
        return outcome(self)


class GTR_OT_look_for_models(bpy.types.Operator):
    """Look again which model files are there"""

    bl_idname = "gtr.look_for_models"
    bl_label = "Look for GTR Models"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """A server answers."""
        return explain(cls, None if session.server.state == "ready" else "Start the server first")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the server."""
        with error_box():
            session.mailbox.runner().check_server()
        return {"FINISHED"}


def _folder(context: bpy.types.Context) -> Path:
    """The models folder of the server.

    Raises:
        ClientError: it is not on this computer.
    """
    if get_preferences(context).server_mode == "MANAGED" and not session.server.models_folder:
        return models_folder()
    folder = Path(session.server.models_folder or "/nonexistent")
    if get_preferences(context).server_mode == "ATTACHED" and not folder.is_dir():
        raise ClientError("missing_weights", "Put the file into the models folder of the attached server.")
    return folder


CLASSES = (GTR_OT_choose_model, GTR_OT_choose_model_file, GTR_OT_look_for_models)
