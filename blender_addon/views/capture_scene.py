"""The temporary scene of a capture: copies of the surfaces, one camera, exact render settings; all of it removable."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
from mathutils import Matrix

from .. import compat
from ..camera_sets import FOV_DEGREES
from ..faults import SceneFault
from .capture_material import MARK, NORMAL_PASS, MaterialCopies
from .capture_sources import Bounds, Surface, bounds_of, collect_surfaces

if TYPE_CHECKING:
    from ..capture import CaptureSettings

FILL = 0.95
"""The bounding sphere gets this radius in the GTR world."""

_CENTER_SAMPLE = 0.01
"""Filter width in pixels (the least that Cycles takes): one sample per pixel then sits at the pixel's centre."""
_MARKED = ("scenes", "objects", "meshes", "cameras", "materials", "node_groups", "worlds")
_QUIET_HANDLERS = (
    "render_init", "render_pre", "render_post", "render_write", "render_stats", "render_complete", "render_cancel",
    "frame_change_pre", "frame_change_post", "depsgraph_update_pre", "depsgraph_update_post",
)  # fmt: skip


class CaptureScene:
    """Copies of what the members show, ready to be rendered from any side.

    Args:
        context: tells the scene, its lights and its evaluated objects.
        members: objects to show.
        settings: size, colours and samples.

    Raises:
        SceneFault: ``nothing_renderable``, ``tiny_object``; nothing is left behind then.
    """

    def __init__(self, context: bpy.types.Context, members: list[bpy.types.Object], settings: CaptureSettings) -> None:
        self._settings = settings
        self._had_result = _render_result() is not None
        try:
            surfaces = _take(context.evaluated_depsgraph_get(), members)
            self.bounds: Bounds = bounds_of(surfaces)
            self.name = self._build(context, surfaces)
        except BaseException:
            self.close()
            raise

    def alive(self) -> bool:
        """Whether the scene still exists: undo, redo and File > New take it away."""
        scene = bpy.data.scenes.get(self.name)
        return scene is not None and MARK in scene and scene.camera is not None

    def look_through(self, camera: bpy.types.Camera, render: bpy.types.RenderSettings) -> None:
        """Take the next pictures with this lens and the format of these settings, the longer side as long as ``size``.

        Args:
            camera: perspective; shift and sensor count, depth of field does not.
            render: tells the proportions of the picture and of its pixels.
        """
        scene = bpy.data.scenes[self.name]
        scene.camera.data = _marked(camera.copy())
        scene.camera.data.dof.use_dof = False
        scale = self._settings.size / max(render.resolution_x, render.resolution_y)
        scene.render.resolution_x = max(1, round(render.resolution_x * scale))
        scene.render.resolution_y = max(1, round(render.resolution_y * scale))
        scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = render.pixel_aspect_x, render.pixel_aspect_y

    def render_color(self, pose: Matrix, path: Path) -> None:
        """Write an 8-bit RGBA PNG, sRGB with straight alpha.

        Args:
            pose: camera to world in Blender's axes (the camera looks along -Z).
            path: file to write.
        """
        scene = bpy.data.scenes[self.name]
        compat.write_png(scene.render.image_settings)
        scene.cycles.samples = self._settings.samples_per_pixel
        scene.cycles.filter_width = 1.0
        self._render(scene, pose, path)

    def render_passes(self, pose: Matrix, path: Path) -> None:
        """Write an EXR file with depth and geometric normal, sampled once at every pixel's centre."""
        scene = bpy.data.scenes[self.name]
        compat.write_exr(scene.render.image_settings)
        scene.cycles.samples = 1
        scene.cycles.filter_width = _CENTER_SAMPLE
        self._render(scene, pose, path)

    def close(self) -> None:
        """Remove everything; calling it again does no harm."""
        remove_temporary()
        result = _render_result()
        if result is not None and not self._had_result:
            result.user_clear()
            bpy.data.images.remove(result)

    def _render(self, scene: bpy.types.Scene, pose: Matrix, path: Path) -> None:
        scene.camera.matrix_world = pose
        scene.render.filepath = str(path)
        with _quiet():
            try:
                path.unlink(missing_ok=True)
                bpy.ops.render.render(write_still=True, scene=scene.name)
            except (RuntimeError, OSError) as error:
                raise SceneFault("internal", f"The view could not be rendered: {error}") from error
        if not path.is_file():
            raise SceneFault("internal", "The render wrote no file.")

    def _build(self, context: bpy.types.Context, surfaces: list[Surface]) -> str:
        scene = _marked(bpy.data.scenes.new(".gtr_capture"))
        scene.frame_current = context.scene.frame_current
        flat = self._settings.colors == "SURFACE"
        _place(scene, surfaces, MaterialCopies(flat=flat))
        if self._settings.colors == "LIT":
            scene.world = _white_world()
        elif self._settings.colors == "RENDERED":
            scene.world = context.scene.world
            _copy_lights(scene, context.view_layer)
        _add_camera(scene, self.bounds.radius)
        _set_up_render(scene, self._settings.size, flat=flat)
        return scene.name


def remove_temporary() -> None:
    """Remove every data-block of a capture, also those that an undo brought back or an old file carried."""
    marked = [block for kind in _MARKED for block in getattr(bpy.data, kind) if MARK in block]
    if marked:
        bpy.data.batch_remove(marked)


def _take(depsgraph: bpy.types.Depsgraph, members: list[bpy.types.Object]) -> list[Surface]:
    surfaces = list(collect_surfaces(depsgraph, members))
    if not surfaces:
        raise SceneFault("nothing_renderable")
    return surfaces


def _place(scene: bpy.types.Scene, surfaces: list[Surface], copies: MaterialCopies) -> None:
    for surface in surfaces:
        mesh = surface.mesh
        while len(mesh.materials) < len(surface.materials):
            mesh.materials.append(None)
        obj = _marked(bpy.data.objects.new(".gtr_capture", mesh))
        # Slots belong to the object, because instances of one mesh can wear different materials.
        for slot, material in zip(obj.material_slots, surface.materials, strict=True):
            slot.link = "OBJECT"
            slot.material = copies.of(material)
        obj.color = surface.source.color
        obj.pass_index = surface.source.pass_index
        obj.matrix_world = surface.matrix
        scene.collection.objects.link(obj)


def _add_camera(scene: bpy.types.Scene, radius: float) -> None:
    data = _marked(bpy.data.cameras.new(".gtr_capture"))
    data.sensor_fit = "HORIZONTAL"
    data.angle = math.radians(FOV_DEGREES)
    data.clip_start = 0.05 * radius
    data.clip_end = 20 * radius
    camera = _marked(bpy.data.objects.new(".gtr_capture", data))
    scene.collection.objects.link(camera)
    scene.camera = camera


def _copy_lights(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> None:
    for obj in view_layer.objects:
        if obj.type == "LIGHT" and not obj.hide_render:
            light = _marked(bpy.data.objects.new(".gtr_capture", obj.data))
            light.matrix_world = obj.matrix_world
            scene.collection.objects.link(light)


def _white_world() -> bpy.types.World:
    world = _marked(bpy.data.worlds.new(".gtr_capture"))
    tree = compat.ensure_nodes(world)
    tree.nodes.clear()
    background = tree.nodes.new("ShaderNodeBackground")
    background.inputs["Color"].default_value = (1, 1, 1, 1)
    output = tree.nodes.new("ShaderNodeOutputWorld")
    tree.links.new(background.outputs[0], output.inputs["Surface"])
    return world


def _set_up_render(scene: bpy.types.Scene, size: int, *, flat: bool) -> None:
    render = scene.render
    try:
        render.engine = "CYCLES"
    except TypeError as error:
        raise SceneFault("internal", "The Cycles add-on is switched off; captures need it.") from error
    render.resolution_x = render.resolution_y = size
    render.resolution_percentage = 100
    render.film_transparent = True
    render.dither_intensity = 0
    render.use_compositing = render.use_sequencer = False
    render.use_file_extension = False
    # Keeps the uploaded geometry between views; without it every view pays for it again.
    render.use_persistent_data = True
    view = scene.view_settings
    scene.display_settings.display_device = "sRGB"
    view.view_transform, view.look, view.exposure, view.gamma = "Standard", "None", 0, 1
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.use_denoising = False
    cycles.use_adaptive_sampling = False
    cycles.pixel_filter_type = "BOX"
    cycles.transparent_max_bounces = 32
    if flat:
        cycles.max_bounces = 0
    layer = scene.view_layers[0]
    layer.use_pass_z = True
    normal = layer.aovs.add()
    normal.name, normal.type = NORMAL_PASS, "COLOR"


def _marked(block: bpy.types.ID) -> bpy.types.ID:
    block[MARK] = True
    return block


def _render_result() -> bpy.types.Image | None:
    return next((image for image in bpy.data.images if image.type == "RENDER_RESULT"), None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep other add-ons' render and frame handlers out of our renders."""
    lists = [getattr(bpy.app.handlers, name) for name in _QUIET_HANDLERS if hasattr(bpy.app.handlers, name)]
    saved = [list(handlers) for handlers in lists]
    for handlers in lists:
        handlers.clear()
    try:
        yield
    finally:
        for handlers, before in zip(lists, saved, strict=True):
            handlers.extend(before)
