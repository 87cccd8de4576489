"""Settings saved with the scene, and run state that never reaches a .blend file."""

# No postponed annotations here: Blender reads property annotations as objects.
import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from bpy.types import PropertyGroup

from .result import objects as result_objects

GRID_RESOLUTION = {"DRAFT": 128, "NORMAL": 256, "HIGH": 512}

SOURCES = (
    ("SCENE", "Scene", "Capture the selected objects from all sides"),
    ("IMAGES", "Images", "Use pictures from files"),
)
COLORS = (
    ("SURFACE", "Surface", "The colour of the material itself, without any light"),
    ("LIT", "Lit", "The object in a white studio"),
    ("RENDERED", "As Rendered", "The object with the lights of this scene"),
)
CAMERA_SETS = (
    ("orthogonal", "Front Right Back Left", "Four views around the object, at eye level"),
    (
        "zero123plus",
        "Zero123++ Grid",
        "Six views: azimuth 30 to 330 degrees, looking down 20 and up 10 degrees in turn",
    ),
    ("scene", "Scene Cameras", "Camera objects of this scene, paired with the images by name, then by order"),
    ("file", "Camera File", "transforms.json, or camera text files cam_000.txt beside rgb_000.png"),
)
BACKGROUNDS = (
    ("AUTO", "Automatic", "The transparency of the image when it has some, else the colour of its border"),
    ("ALPHA", "Alpha", "Only the transparency of the image"),
    ("KEY", "Key Colour", "One colour is the background"),
)
QUALITIES = (
    ("DRAFT", "Draft", "Grid 128: seconds, for a first look"),
    ("NORMAL", "Normal", "Grid 256: fine enough for most objects"),
    ("HIGH", "High", "Grid 512: the finest detail, needs the most memory and time"),
)
PLACES = (
    ("BESIDE", "Beside", "Next to the source, 1.2 widths along X"),
    ("OVER", "Over", "Exactly over the source; the source is hidden in the viewport"),
    ("CURSOR", "At Cursor", "At the 3D cursor"),
)
FORMATS = (
    ("GLB", "glTF Binary", "One .glb file with linear vertex colours"),
    ("PLY", "Stanford PLY", "One binary .ply file with 8-bit vertex colours"),
    ("OBJ", "Wavefront OBJ", "One .obj file; colours follow each vertex position"),
)
EXPORT_COLORS = (
    ("VERTEX", "Vertex", "One colour at each vertex"),
    ("TEXTURE", "Texture", "A picture of the reconstruction's colours, finer than the vertices: GLB and OBJ"),
)
EXPORT_SCOPE = (
    ("ACTIVE", "Active", "Only the active object"),
    ("SELECTED", "Selected", "All selected meshes"),
    ("ALL", "All GTR", "Every result of GTR in this scene"),
)
MASK_STATES = (
    ("UNKNOWN", "Not checked", "The background has not been looked at yet"),
    ("OK", "Object found", "The object was separated from its background"),
    ("EMPTY", "Nothing found", "Nothing is left after the background is removed"),
    ("BAD", "Unreadable", "This file cannot be read as an image"),
)


class GTR_PG_slot(PropertyGroup):
    """One picture of the object: its file, the name of its view and what is known of its background."""

    filepath: StringProperty(name="Image", description="Picture of the object", subtype="FILE_PATH")
    view: StringProperty(name="View", description="From where the object is seen, for example Front")
    mask: EnumProperty(name="Mask", items=MASK_STATES, default="UNKNOWN")


class GTR_PG_scene(PropertyGroup):
    """What the user chose; saved in the file. No address, path of a program or key lives here."""

    model: StringProperty(
        name="Model", description="What makes the surface: a preset, or a file of the models folder", default="fit"
    )
    source: EnumProperty(name="Source", description="Where the views come from", items=SOURCES, default="SCENE")
    views: IntProperty(
        name="Views",
        description="Number of cameras around the object. 14 see the whole sphere; a learned model wants 4",
        default=14,
        min=4,
        max=32,
    )
    colors: EnumProperty(name="Colours", description="What the cameras see", items=COLORS, default="SURFACE")
    each: BoolProperty(
        name="Each Separately",
        description="Reconstruct every selected object on its own, one after the other",
        default=False,
    )
    slots: CollectionProperty(type=GTR_PG_slot)
    slot_index: IntProperty(name="Image", default=0, min=0)
    camera_set: EnumProperty(
        name="Cameras", description="Where the pictures were taken from", items=CAMERA_SETS, default="orthogonal"
    )
    camera_file: StringProperty(
        name="Camera File", description="transforms.json, or a folder with cam_000.txt files", subtype="FILE_PATH"
    )
    background: EnumProperty(
        name="Background", description="How the object is told from its background", items=BACKGROUNDS, default="AUTO"
    )
    key_color: FloatVectorProperty(
        name="Key Colour",
        description="The colour of the background",
        subtype="COLOR_GAMMA",
        size=3,
        min=0.0,
        max=1.0,
        default=(1.0, 1.0, 1.0),
    )
    height: FloatProperty(
        name="Height", description="Height of the object in the scene", subtype="DISTANCE", default=1.0, min=0.001
    )
    quality: EnumProperty(name="Quality", description="Fineness of the surface", items=QUALITIES, default="NORMAL")
    face_limit: IntProperty(
        name="Face Limit", description="Most triangles of the result; 0 = no limit", default=0, min=0, max=20_000_000
    )
    place: EnumProperty(name="Place", description="Where the result goes", items=PLACES, default="BESIDE")
    refine: BoolProperty(name="Refine", description="Refine the texture right after the surface is built", default=True)
    steps: IntProperty(
        name="Steps",
        description="Refinement steps; more bring the colours closer to the views",
        default=50,
        min=1,
        max=10_000,
        soft_max=1000,
    )
    strength: FloatProperty(
        name="Strength", description="Size of each refinement step", default=1.0, min=0.05, max=10.0
    )
    refine_views: StringProperty(
        name="Views to Fit", description="Numbers of the views to refine with, for example 0, 2, 3; empty = all"
    )
    seed: IntProperty(name="Seed", description="Start of the random numbers", default=0, min=0)
    show_detail: BoolProperty(name="Detail", description="More settings of the refinement", default=False)
    running_job: StringProperty(
        name="Running Job", description="What the server works on for this scene, as JSON", options={"HIDDEN"}
    )
    export_format: EnumProperty(name="Format", description="File format", items=FORMATS, default="GLB")
    export_folder: StringProperty(
        name="Folder",
        description="Where the files go; // is the folder of this .blend",
        subtype="DIR_PATH",
        default="//assets/",
    )
    export_colors: EnumProperty(
        name="Colours", description="How the file carries the colours", items=EXPORT_COLORS, default="VERTEX"
    )
    export_size: IntProperty(
        name="Size", description="Width and height of the texture in pixels", default=2048, min=256, max=4096
    )
    export_scope: EnumProperty(name="Objects", description="What is written", items=EXPORT_SCOPE, default="ACTIVE")
    export_origin: BoolProperty(name="At Origin", description="Centre the file on the object's origin", default=False)
    export_overwrite: BoolProperty(
        name="Overwrite", description="Replace an existing file instead of numbering the new one", default=False
    )


def _get_compare(_self) -> bool:
    return result_objects.is_comparing(result_objects.active(bpy.context))


def _set_compare(_self, value: bool) -> None:
    obj = result_objects.active(bpy.context)
    if obj is not None:
        result_objects.compare(obj, value)


class GTR_PG_run(PropertyGroup):
    """What happens right now; lives on the window manager with SKIP_SAVE, so no file ever opens "busy"."""

    progress: FloatProperty(
        name="Progress", subtype="PERCENTAGE", min=0.0, max=100.0, default=0.0, precision=0, options={"SKIP_SAVE"}
    )
    compare: BoolProperty(
        name="Compare",
        description="Show the colours before refinement",
        get=_get_compare,
        set=_set_compare,
        options={"SKIP_SAVE"},
    )


CLASSES = (GTR_PG_slot, GTR_PG_scene, GTR_PG_run)


def register() -> None:
    """Register the groups and hang them on scenes and on the window manager."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.gtr = PointerProperty(type=GTR_PG_scene)
    bpy.types.WindowManager.gtr = PointerProperty(type=GTR_PG_run, options={"SKIP_SAVE"})


def unregister() -> None:
    """Take everything back, in the reverse order."""
    del bpy.types.WindowManager.gtr
    del bpy.types.Scene.gtr
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
