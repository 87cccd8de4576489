"""The list of pictures: add, remove, split a grid, load a folder, look at the masks."""

import bpy
from bpy.props import CollectionProperty, StringProperty

from ..run import plan
from ..run.session import session
from .guard import error_box, explain, outcome, why_not_start

IMAGE_FILTER = "*.png;*.jpg;*.jpeg;*.webp"


class _FileDialog:
    """Ask for files before doing anything."""

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class GTR_OT_add_images(_FileDialog, bpy.types.Operator):
    """Add pictures of the object, one for each view"""

    bl_idname = "gtr.add_images"
    bl_label = "Add Images"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", "HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE", "HIDDEN"})
    filter_glob: StringProperty(default=IMAGE_FILTER, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """One slot per file."""
        from ..views import images_input

        session.begin()
        with error_box():
            images_input.add_files(context, self.directory, [entry.name for entry in self.files])
        return outcome(self)


class GTR_OT_remove_image(bpy.types.Operator):
    """Take the chosen picture out of the list; the file stays"""

    bl_idname = "gtr.remove_image"
    bl_label = "Remove Image"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """The list is not empty."""
        return explain(cls, None if context.scene.gtr.slots else "The list is empty")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove the chosen slot."""
        settings = context.scene.gtr
        settings.slots.remove(min(settings.slot_index, len(settings.slots) - 1))
        settings.slot_index = max(0, min(settings.slot_index, len(settings.slots) - 1))
        session.begin()
        return {"FINISHED"}


class GTR_OT_paste_grid(_FileDialog, bpy.types.Operator):
    """Load one picture that shows six views in three rows and two columns (Zero123++)"""

    bl_idname = "gtr.paste_grid"
    bl_label = "Paste Grid"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE", "HIDDEN"})
    filter_glob: StringProperty(default=IMAGE_FILTER, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Six slots."""
        from ..views import images_input

        session.begin()
        with error_box():
            images_input.paste_grid(context, self.filepath)
        return outcome(self)


class GTR_OT_load_folder(_FileDialog, bpy.types.Operator):
    """Load a folder with transforms.json, with rgb and cam files, or with plain pictures"""

    bl_idname = "gtr.load_folder"
    bl_label = "Load Folder"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Slots and cameras of the folder."""
        from ..views import images_input

        session.begin()
        with error_box():
            images_input.load_folder(context, self.directory)
        return outcome(self)


class GTR_OT_from_active_camera(bpy.types.Operator):
    """Add a picture of the selected objects (of all, with none selected) through the scene's active camera"""

    bl_idname = "gtr.from_active_camera"
    bl_label = "From Active Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Nothing runs: two captures would disturb each other."""
        return explain(cls, why_not_start())

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Render one picture and list it under the camera's name."""
        from ..views import active_camera

        session.begin()
        with error_box():
            active_camera.add_slot(context)
        return outcome(self)


class GTR_OT_show_masks(bpy.types.Operator):
    """Let the server tell the object from its background in every picture, and show the masks"""

    bl_idname = "gtr.show_masks"
    bl_label = "Show Masks"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There are pictures and nothing runs."""
        return explain(cls, why_not_start() or (None if context.scene.gtr.slots else "Add images first"))

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the server."""
        with error_box():
            session.start([plan.masks_run(context)])
        return outcome(self)


CLASSES = (
    GTR_OT_add_images,
    GTR_OT_remove_image,
    GTR_OT_paste_grid,
    GTR_OT_load_folder,
    GTR_OT_from_active_camera,
    GTR_OT_show_masks,
)
