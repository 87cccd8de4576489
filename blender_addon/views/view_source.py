"""Views that come out of the scene: of which objects, with which settings, and whether they are stale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import bpy

from ..faults import SceneFault
from ..link.model_list import FIT
from ..preferences import get_preferences
from ..result import objects as result_objects
from ..values import CapturedView, Placement
from ..windows import view_context

if TYPE_CHECKING:
    from ..capture import Capture, CaptureSettings
    from ..run.run import Run
    from .cameras_preview import Camera
    from .capture_sources import Bounds


@dataclass(frozen=True)
class CapturedViews:
    """Views that were taken, kept until they no longer show the scene."""

    names: tuple[str, ...]
    settings: CaptureSettings
    signature: str
    views: tuple[CapturedView, ...]
    placement: Placement
    materials: frozenset[str]

    def fits(self, run: Run) -> bool:
        """Whether a run can use them: same objects, same settings, nothing has changed shape or place.

        Pictures with the scene's own lights are taken anew each time: nothing tells whether a light has changed.
        """
        if self.settings.colors == "RENDERED":
            return False
        return self.names == run.source_names and self.signature == signature_of(run.source_names)

    def placed(self, mode: str) -> Placement:
        """The placement for the mode that is chosen now."""
        return replace(self.placement, mode=mode)


def source_objects(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected objects, active one first; results of GTR stand for the objects that they were made from.

    After a reconstruction its result is selected, and *Reconstruct* again means the source, not the copy of it.
    """
    chosen = list(context.selected_objects)
    if context.active_object in chosen:
        chosen.remove(context.active_object)
        chosen.insert(0, context.active_object)
    found: dict[bpy.types.Object, None] = {}
    for obj in chosen:
        names = result_objects.info(obj).get("sources", []) if result_objects.is_result(obj) else []
        sources = [context.scene.objects[name] for name in names if name in context.scene.objects]
        found.update(dict.fromkeys(sources or (obj,)))
    return list(found)


def capture_settings(context: bpy.types.Context) -> CaptureSettings:
    """How to capture, from scene and preferences."""
    from ..capture import CaptureSettings

    settings, preferences = context.scene.gtr, get_preferences(context)
    return CaptureSettings(
        views=settings.views,
        size=preferences.size,
        colors=settings.colors,
        samples=preferences.samples,
        place=settings.place,
        learned=settings.model != FIT,
    )


def begin(run: Run) -> Capture:
    """Copy the run's objects into the temporary scene.

    Raises:
        SceneFault: nothing selected, nothing to render, no size.
    """
    from ..capture import Capture

    with view_context() as context:
        return Capture(context, _objects(context, run.source_names), capture_settings(context))


def taken(run: Run, capture: Capture, signature: str) -> CapturedViews:
    """What a finished capture leaves; ``signature`` is that of its beginning, when the objects were copied."""
    return CapturedViews(
        run.source_names,
        capture.settings,
        signature,
        tuple(capture.views),
        capture.placement,
        materials_of(capture.placement.source_names),
    )


def signature_of(names: Sequence[str]) -> str:
    """Hash of what a capture of these objects would show now; empty when they are gone."""
    from ..capture import capture_signature

    with view_context() as context:
        settings = replace(capture_settings(context), place="BESIDE")
        try:
            return capture_signature(context, _objects(context, names), settings)
        except SceneFault:
            return ""


def materials_of(names: Sequence[str]) -> frozenset[str]:
    """Names of the materials that these objects wear."""
    objects = [bpy.data.objects[name] for name in names if name in bpy.data.objects]
    return frozenset(slot.material.name for obj in objects for slot in obj.material_slots if slot.material)


def preview_cameras(context: bpy.types.Context) -> tuple[Sequence[Camera], Sequence[float], float]:
    """Cameras, centre and radius of what would be captured, or of the images.

    Raises:
        SceneFault: nothing is selected, or it has no surface.
        ClientError: the images have no cameras.
    """
    settings = context.scene.gtr
    if settings.source == "IMAGES":
        from . import images_input

        placement = images_input.placement(context)
        return images_input.cameras(context), placement.center, placement.radius
    from ..camera_sets import cameras

    size = get_preferences(context).size
    bounds = _bounds(context, source_objects(context))
    return cameras(settings.views, size, size, learned=settings.model != FIT), bounds.center, bounds.radius


def _bounds(context: bpy.types.Context, objects: list[bpy.types.Object]) -> Bounds:
    from .capture_sources import bounds_of, collect_surfaces, family

    surfaces = list(collect_surfaces(context.evaluated_depsgraph_get(), family(objects)))
    try:
        if not surfaces:
            raise SceneFault("nothing_renderable")
        return bounds_of(surfaces)
    finally:
        for mesh in {surface.mesh for surface in surfaces}:
            bpy.data.meshes.remove(mesh)


def _objects(context: bpy.types.Context, names: Sequence[str]) -> list[bpy.types.Object]:
    found = [context.scene.objects[name] for name in names if name in context.scene.objects]
    if len(found) != len(names):
        raise SceneFault("no_selection", "An object that was to be captured is gone.")
    return found
