"""What the server sends, put into the scene: rough surface, mesh, live and final colours.

Functions that may meet the user's Edit mode or his own paint answer whether they could act; the session asks again.
"""

from __future__ import annotations

import time
from dataclasses import replace

import bpy

from .. import scene, windows
from ..errors import ClientError
from ..formats import view_folder
from ..messages import failure
from ..preferences import get_preferences
from ..result import objects as result_objects
from ..values import MeshResult, Placement
from ..views import kept_files, thumbnails
from ..windows import view_context
from . import stale
from .run import Run


def show_preview(run: Run, mesh: MeshResult) -> None:
    """Show the rough surface at the place of the result; no undo step."""
    if run.scene_closed or run.placement is None:
        return
    obj = result_objects.find(run.preview_id)
    with view_context() as context:
        if obj is None:
            run.preview_id = result_objects.info(_create(context, run, mesh))["id"]
            result_objects.remember(result_objects.find(run.preview_id), preview=True)
        elif obj.mode != "EDIT":
            scene.replace_mesh(obj, mesh)


def drop_preview(run: Run) -> None:
    """Take the rough surface away and show the sources again that it had hidden."""
    obj = result_objects.find(run.preview_id)
    run.preview_id = ""
    if obj is not None:
        with view_context():
            scene.remove_object(obj)


def place_mesh(run: Run) -> None:
    """Put the mesh into the scene, in place of the rough surface when that is still there: one undo step."""
    if run.scene_closed or run.mesh is None or run.placement is None:
        return
    obj = result_objects.find(run.preview_id)
    with view_context() as context:
        preferences = get_preferences(context)
        if obj is not None and run.height > 0:
            scene.remove_object(obj)  # its size was that of the rough surface
            obj = None
        if obj is not None and obj.mode != "EDIT":
            scene.replace_mesh(obj, run.mesh)
        else:
            obj = _create(context, run, run.mesh)
        run.preview_id, run.result_id = "", result_objects.info(obj)["id"]
        _write_record(run, obj)
        if preferences.keep_captures and run.source_names and run.views:
            _keep_captures(context, run, obj)
        if preferences.show_colors:
            scene.show_vertex_colors(_clicked_view(run))
        if context.mode == "OBJECT" and windows.selection(context) == run.selection:
            scene.select_only(obj)
        if preferences.replace:
            _hide_former(context, obj)
    scene.push_undo("GTR Reconstruct")


def live_colors(run: Run) -> None:
    """Show colours of a refinement that still runs, when the object is there and untouched; no undo step."""
    obj = result_objects.find(run.result_id)
    if obj is None or scene.readiness(obj, len(run.colors)) != "ready":
        return
    if run.colors_before is None:
        run.colors_before = scene.read_colors(obj)
    run.shown_at, run.show_cost = time.monotonic(), None
    scene.set_colors(obj, run.colors, keep_base=True)


def finish_colors(run: Run, *, force: bool = False) -> str:
    """Write the final colours of a refinement or a recolouring: one undo step.

    Args:
        run: with colours and the job to continue from.
        force: also over the user's own paint.

    Returns:
        ready (done), edit_mode or painted (hold them), changed (recolour at the new vertices), gone (no such object).
    """
    obj = result_objects.find(run.result_id)
    if obj is None:
        return "gone"
    found = scene.readiness(obj, len(run.colors))
    if found == "painted" and (force or run.kind == "recolour"):
        found = "ready"
    refined = run.kind != "recolour" or run.after_refine
    if run.kind != "recolour" and found in ("changed", "ready"):
        result_objects.remember(obj, job=run.job_id)  # a recolouring leaves nothing to continue from
    if found != "ready":
        return found
    run.unchanged = run.kind != "recolour" and _shows_already(obj, run)
    scene.set_colors(obj, run.colors, keep_base=refined)
    result_objects.remember(obj, refined=refined, shape=stale.shape_digest(obj))
    stale.forget_shapes()
    scene.push_undo("GTR Refine Texture" if refined else "GTR Recolour")
    return "ready"


def recolouring_after(run: Run) -> list[Run]:
    """The run that brings a refinement to a mesh that the user edited meanwhile; none when the object is gone.

    Raises:
        SceneFault: ``edit_mode``.
    """
    obj = result_objects.find(run.result_id)
    if obj is None:
        return []
    again = Run("recolour", obj.name, run.scene, result_id=run.result_id, job_id=run.job_id, after_refine=True)
    again.points = scene.points_in_gtr(obj)
    return [again]


def import_as_new(run: Run) -> None:
    """Put mesh and last colours of a run into the scene once more, after its object was deleted."""
    colors = run.colors
    run.selection = windows.selection(bpy.context)
    place_mesh(run)
    if colors is not None and run.mesh is not None and len(colors) == len(run.mesh.vertices):
        finish_colors(run)


def show_masks(run: Run) -> None:
    """Keep the masks as thumbnails of their images."""
    for slot, mask in zip(bpy.context.scene.gtr.slots, run.masks, strict=False):
        thumbnails.keep_mask(slot.filepath, mask)
        slot.mask = "OK"


def size_in_words(run: Run) -> str:
    """`` · 198 k verts`` of the run's result, or nothing."""
    obj = result_objects.find(run.result_id)
    return f" · {result_objects.count_in_words(len(obj.data.vertices))} verts" if obj is not None else ""


def _shows_already(obj: bpy.types.Object, run: Run) -> bool:
    before = run.colors_before if run.colors_before is not None else scene.read_colors(obj)
    return bool((before == run.colors).all())


def _create(context: bpy.types.Context, run: Run, mesh: MeshResult) -> bpy.types.Object:
    preferences = get_preferences(context)
    name = preferences.collection_name.strip() or "GTR"
    assert run.placement is not None
    placement = _standing(run, mesh) if run.height > 0 else run.placement
    untouched = windows.selection(context) == run.selection
    obj = scene.create_object(mesh, placement, f"{run.title}_GTR", name, unlit=preferences.unlit)
    if untouched:
        run.selection = windows.selection(context)  # a source that OVER hides is no longer selected
    return obj


def _standing(run: Run, mesh: MeshResult) -> Placement:
    """The placement that gives a mesh from images the height that the user asked for, standing on the ground."""
    assert run.placement is not None
    low, high = float(mesh.vertices[:, 1].min()), float(mesh.vertices[:, 1].max())
    unit = run.height / max(high - low, 1e-6)
    return replace(run.placement, radius=unit * scene.FILL, center=(0.0, 0.0, -low * unit))


def _write_record(run: Run, obj: bpy.types.Object) -> None:
    from ..version import addon_version

    assert run.options is not None
    placement = run.placement
    result_objects.remember(
        obj,
        preview=False,
        refined=False,
        job=run.job_id,
        mesh_job=run.job_id,
        shape=stale.shape_digest(obj),
        settings={
            "model": run.options.model,
            "grid_resolution": run.options.grid_resolution,
            "face_limit": run.options.face_limit,
            "seed": run.options.seed,
            "steps": run.refine.steps if run.refine else 0,
        },
        cameras=[{"name": view.name, "K": view.K, "world_to_camera": view.world_to_camera} for view in run.views],
        bounds={"center": placement.center, "radius": placement.radius} if placement else {},
        notes=run.ready.notes if run.ready else (),
        versions={"addon": addon_version(), "blender": bpy.app.version_string},
    )
    stale.forget_shapes()


def _keep_captures(context: bpy.types.Context, run: Run, obj: bpy.types.Object) -> None:
    """Write the views beside the file; a fault there must not cost the result, so it is only noted."""
    try:
        folder = kept_files.folder_for(context, result_objects.info(obj)["id"])
        view_folder.write_views(run.views, folder)
    except ClientError as error:
        run.kept_note = f"The views were not kept: {failure(error).text}"
        return
    # Relative to the file when it is beside it, so that both can move.
    kept = bpy.path.relpath(str(folder)) if bpy.data.filepath else str(folder)
    result_objects.remember(obj, views=kept)


def _hide_former(context: bpy.types.Context, new: bpy.types.Object) -> None:
    sources = result_objects.info(new).get("sources")
    for obj in context.view_layer.objects:
        if obj != new and result_objects.is_result(obj) and result_objects.info(obj).get("sources") == sources:
            obj.hide_set(True)


def _clicked_view(run: Run) -> bpy.types.Area | None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D" and area.as_pointer() == run.area:
                return area
    return None
