"""From the settings of the panel to the runs that a click starts."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import scene, windows
from ..errors import ClientError
from ..faults import SceneFault
from ..formats.picture_files import read_picture
from ..link.model_list import FIT
from ..preferences import get_preferences
from ..properties import GRID_RESOLUTION
from ..result import objects as result_objects
from ..values import Background, ReconstructOptions, RefineOptions
from ..views import view_source
from .run import Run
from .session import session


def reconstruct_runs(context: bpy.types.Context) -> list[Run]:
    """One run for all selected objects, or one for each; or one for the images.

    Raises:
        SceneFault: nothing is selected, or the images cannot be used.
        ClientError: as above, said by the client's side.
    """
    settings = context.scene.gtr
    if settings.source == "IMAGES":
        return [_images_run(context)]
    objects = view_source.source_objects(context)
    if not objects:
        raise SceneFault("no_selection")
    groups = [[obj] for obj in objects] if settings.each and len(objects) > 1 else [objects]
    return [_scene_run(context, group) for group in groups]


def capture_run(context: bpy.types.Context) -> Run:
    """Only the pictures, to look at them.

    Raises:
        SceneFault: nothing is selected.
    """
    objects = view_source.source_objects(context)
    if not objects:
        raise SceneFault("no_selection")
    run = _run(context, "capture", objects[0].name)
    run.source_names = tuple(obj.name for obj in objects)
    run.key = f"capture {context.scene.gtr.views}"
    return run


def refine_run(context: bpy.types.Context) -> Run:
    """More refinement of the active result.

    Raises:
        ClientError: the active object is not a result that the server can know.
    """
    obj = _result(context)
    run = _run(context, "refine", obj.name)
    run.result_id = result_objects.info(obj)["id"]
    run.job_id = str(result_objects.info(obj)["job"])
    run.refine = refine_options(context)
    run.key = f"refine {session.server.device} {run.refine.steps} {result_objects.settings_of(obj).get('quality', '')}"
    return run


def recolour_run(context: bpy.types.Context) -> Run:
    """Colours of the active result's field at its vertices of now.

    Raises:
        ClientError: the active object is not a result that the server can know.
    """
    obj = _result(context)
    run = _run(context, "recolour", obj.name)
    run.result_id = result_objects.info(obj)["id"]
    run.job_id = str(result_objects.info(obj)["job"])
    run.points = scene.points_in_gtr(obj)
    run.key = f"recolour {session.server.device} {len(run.points) // 100_000}"
    return run


def texture_runs(context: bpy.types.Context, objects: list[bpy.types.Object]) -> list[Run]:
    """One textured file for each of these results.

    Raises:
        ClientError: one of them cannot be written (edit mode, no such folder, not a result).
    """
    from ..result import export_texture

    settings = context.scene.gtr
    runs = []
    for obj in objects:
        run = _run(context, "bake", obj.name)
        run.export = export_texture.prepare(
            context,
            obj,
            settings.export_folder,
            settings.export_format,
            settings.export_size,
            at_origin=settings.export_origin,
            overwrite=settings.export_overwrite,
            unlit=get_preferences(context).unlit,
        )
        run.key = f"bake {session.server.device} {settings.export_size} {len(obj.data.vertices) // 50_000}"
        runs.append(run)
    return runs


def refine_options(context: bpy.types.Context) -> RefineOptions:
    """Steps, strength, views and seed.

    Raises:
        ClientError: *Views to Fit* is not a list of numbers.
    """
    settings = context.scene.gtr
    words = settings.refine_views.replace(",", " ").split()
    if not all(word.isdigit() for word in words):
        raise ClientError("bad_input", "Views to Fit takes numbers, for example 0, 2, 3.")
    views = tuple(sorted({int(word) for word in words})) or None
    return RefineOptions(steps=settings.steps, strength=settings.strength, views=views, seed=settings.seed)


def _scene_run(context: bpy.types.Context, objects: list[bpy.types.Object]) -> Run:
    run = _reconstruct_run(context, objects[0].name)
    run.source_names = tuple(obj.name for obj in objects)
    run.key += f" {context.scene.gtr.views}"
    return run


def masks_run(context: bpy.types.Context) -> Run:
    """Foreground masks of all images of the list.

    Raises:
        ClientError: an image cannot be read.
    """
    run = _run(context, "masks", "Masks")
    paths = [Path(bpy.path.abspath(slot.filepath)) for slot in context.scene.gtr.slots]
    run.images = tuple(read_picture(path)[0] for path in paths)
    run.background = background(context)
    return run


def _images_run(context: bpy.types.Context) -> Run:
    from ..views import images_input

    run = _reconstruct_run(context, "Images")
    run.views = tuple(images_input.collect_views(context))
    run.placement = images_input.placement(context)
    if context.scene.gtr.camera_set != "scene":
        run.height = context.scene.gtr.height
    run.key += f" {len(run.views)} images"
    return run


def _reconstruct_run(context: bpy.types.Context, title: str) -> Run:
    settings = context.scene.gtr
    run = _run(context, "reconstruct", title)
    run.options = ReconstructOptions(
        model=settings.model,
        grid_resolution=GRID_RESOLUTION[settings.quality],
        face_limit=settings.face_limit,
        seed=settings.seed,
        background=background(context),
    )
    run.refine = refine_options(context) if settings.refine else None
    run.key = f"{session.server.device} {settings.quality} {run.refine.steps if run.refine else 0}"
    if settings.model != FIT:
        run.key += f" {settings.model}"
    return run


def background(context: bpy.types.Context) -> Background:
    """How images are told from their background; captured views carry alpha."""
    settings = context.scene.gtr
    if settings.source == "SCENE":
        return Background("alpha")
    if settings.background == "KEY":
        return Background("key", tuple(settings.key_color))
    return Background(settings.background.lower())


def _run(context: bpy.types.Context, kind: str, title: str) -> Run:
    area = context.area
    return Run(
        kind,
        title,
        context.scene.name,
        selection=windows.selection(context),
        area=area.as_pointer() if area is not None and area.type == "VIEW_3D" else 0,
        place=context.scene.gtr.place,
    )


def _result(context: bpy.types.Context) -> bpy.types.Object:
    obj = result_objects.active(context)
    if obj is None:
        raise ClientError("no_selection", "Select a mesh that GTR made.")
    if not result_objects.info(obj).get("job"):
        raise ClientError("unknown_job")
    return obj
