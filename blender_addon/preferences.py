"""Add-on preferences: the server, the results and the capture. They belong to the user, never to a file."""

# No postponed annotations here: Blender reads property annotations as objects.
from types import SimpleNamespace

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy.types import AddonPreferences

from .values import ServerSettings

SERVER_MODES = (
    ("MANAGED", "Managed", "This add-on starts the server and stops it"),
    ("ATTACHED", "Attached", "A server that somebody else runs; it is never stopped from here"),
)
DEVICES = (
    ("auto", "Automatic", "The graphics card when there is one, else the processor"),
    ("cpu", "Processor", "Works everywhere; slower"),
    ("cuda:0", "CUDA 0", "The first NVIDIA card"),
    ("cuda:1", "CUDA 1", "The second NVIDIA card"),
    ("mps", "Apple GPU", "The graphics unit of an Apple processor"),
)


class GTR_preferences(AddonPreferences):
    """What the user sets once."""

    bl_idname = __package__

    server_mode: EnumProperty(name="Mode", description="Who runs the server", items=SERVER_MODES, default="MANAGED")
    server_url: StringProperty(
        name="URL", description="Address of the server, for example 127.0.0.1:7070", default="127.0.0.1:7070"
    )
    server_python: StringProperty(
        name="Python",
        description="The Python that has the GTR server; empty = found by itself",
        subtype="FILE_PATH",
    )
    state_file: StringProperty(
        name="Key File",
        description="State file of the attached server, which holds its key; empty = the one in your home folder",
        subtype="FILE_PATH",
    )
    device: EnumProperty(name="Device", description="Where the server computes", items=DEVICES, default="auto")
    port: IntProperty(name="Port", description="Port of the server; 0 = any free one", default=0, min=0, max=65535)
    stop_with_blender: BoolProperty(
        name="Stop with Blender", description="Stop the server when the last Blender that uses it closes", default=True
    )
    collection_name: StringProperty(name="Collection", description="Where results are put", default="GTR")
    show_colors: BoolProperty(
        name="Show Colours in Solid", description="Switch Solid view to vertex colours for a new result", default=True
    )
    unlit: BoolProperty(
        name="Unlit Material", description="Show the colours without shading in Material Preview", default=False
    )
    replace: BoolProperty(
        name="Replace Old Result", description="Hide the former result of the same source", default=False
    )
    keep_captures: BoolProperty(
        name="Keep Captures",
        description="Keep the views of a saved file beside it, in the folder gtr; else they end with Blender",
        default=False,
    )
    samples: IntProperty(
        name="Samples",
        description="Cycles samples per pixel of a view; 0 = as many as the colours need",
        default=0,
        min=0,
        max=1024,
    )
    size: IntProperty(name="Size", description="Width and height of a view in pixels", default=512, min=64, max=2048)

    def draw(self, _context: bpy.types.Context) -> None:
        """Three groups of settings: server, results, capture."""
        from .panels.widgets import draw_error, draw_missing_packages

        layout = self.layout
        layout.use_property_split = True
        draw_missing_packages(layout)
        draw_error(layout)
        managed = ("server_python", "device", "port", "stop_with_blender")
        attached = ("server_url", "state_file")
        server = attached if self.server_mode == "ATTACHED" else managed
        self._draw_group("Server", ("server_mode", *server))
        self._draw_group("Results", ("collection_name", "show_colors", "unlit", "replace"))
        self._draw_group("Capture", ("samples", "size", "keep_captures"))

    def _draw_group(self, title: str, names: "tuple[str, ...]") -> None:
        box = self.layout.box()
        box.label(text=title)
        for name in names:
            box.prop(self, name)


def get_preferences(context: "bpy.types.Context | None" = None) -> GTR_preferences:
    """The preferences of this add-on, whatever name it is installed under.

    An add-on that was switched on by ``blender --addons`` has no entry there; it runs with the defaults.
    """
    entry = (context or bpy.context).preferences.addons.get(__package__)
    return entry.preferences if entry is not None else _defaults()


def _defaults() -> SimpleNamespace:
    properties = GTR_preferences.__annotations__.items()
    return SimpleNamespace(**{name: deferred.keywords.get("default", "") for name, deferred in properties})


def server_settings() -> ServerSettings:
    """The server part, copied for the worker thread, which never reads bpy."""
    preferences = get_preferences()
    return ServerSettings(
        mode=preferences.server_mode,
        url=preferences.server_url,
        python=bpy.path.abspath(preferences.server_python),
        state_file=bpy.path.abspath(preferences.state_file),
        device=preferences.device,
        port=preferences.port,
        stop_with_blender=preferences.stop_with_blender,
    )


def register() -> None:
    """Register the preferences."""
    bpy.utils.register_class(GTR_preferences)


def unregister() -> None:
    """Unregister the preferences."""
    bpy.utils.unregister_class(GTR_preferences)
