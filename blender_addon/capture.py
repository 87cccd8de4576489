"""Pictures of scene objects from all sides, with exact cameras, depth and normals: one view per step."""

from __future__ import annotations

import io
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import bpy

from . import camera_sets
from .coords import gtr_from_blender
from .faults import SceneFault
from .formats import exr
from .packages import numpy
from .values import CapturedView, Placement
from .views import blender_cameras
from .views.capture_material import NORMAL_PASS
from .views.capture_scene import FILL, CaptureScene, remove_temporary
from .views.capture_sources import family, signature

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Capture", "CaptureSettings", "capture_signature", "remove_temporary"]

_FAR = 1e9
"""Depth of pixels that see nothing is larger than this (Cycles writes 1e10)."""
_SAMPLE_FACTORS = {"SURFACE": 1, "LIT": 4, "RENDERED": 8}
"""Light needs more samples than colour alone."""


@dataclass(frozen=True)
class CaptureSettings:
    """How to capture.

    Args:
        views: number of cameras around the object.
        size: width and height of each picture in pixels.
        colors: SURFACE = colour of the material itself, LIT = in a white studio, RENDERED = with the scene's lights.
        samples: Cycles samples per pixel of a SURFACE picture (8 are 46 dB from the exact one on a printed box, 4 only
            39 dB); LIT takes four times as many, RENDERED eight times.
        place: where the result will go.
        learned: the views are for a learned model, which looks at colours only: no depth and no normals are taken.
    """

    views: int = 14
    size: int = 512
    colors: Literal["SURFACE", "LIT", "RENDERED"] = "SURFACE"
    samples: int = 8
    place: Literal["BESIDE", "OVER", "CURSOR"] = "BESIDE"
    learned: bool = False

    @property
    def samples_per_pixel(self) -> int:
        """Samples of a picture with these colours."""
        return self.samples * _SAMPLE_FACTORS[self.colors]


class Capture:
    """One capture; main thread only. ``close`` must be called at the end, whatever happened.

    The scene may change between steps: the objects are copied at the start. When the copies vanish (undo, a saved
    file), the next step makes them again and goes on.

    Args:
        context: its scene, view layer and evaluated objects are read here and not kept.
        objects: what to capture, children included.
        settings: how.

    Raises:
        SceneFault: ``no_selection``, ``nothing_renderable``, ``tiny_object``.
    """

    def __init__(
        self, context: bpy.types.Context, objects: Iterable[bpy.types.Object], settings: CaptureSettings | None = None
    ) -> None:
        self.settings = settings or CaptureSettings()
        members = family(objects)
        self._names = [member.name for member in members]
        size = self.settings.size
        self._cameras = camera_sets.cameras(self.settings.views, size, size, learned=self.settings.learned)
        self._views: list[CapturedView] = []
        self._closed = False
        self._folder = Path(tempfile.mkdtemp(prefix="gtr_capture_", dir=bpy.app.tempdir or None))
        try:
            self._scene = CaptureScene(context, members, self.settings)
        except BaseException:
            self._folder.rmdir()
            raise
        bounds = self._scene.bounds
        self._bounds = bounds
        self.placement = Placement(
            bounds.center, bounds.radius, self.settings.place, bounds.width, [member.name for member in members]
        )

    @property
    def views(self) -> list[CapturedView]:
        """The pictures taken so far."""
        return list(self._views)

    @property
    def count(self) -> int:
        """How many pictures there will be."""
        return len(self._cameras)

    def step(self) -> str | None:
        """Take the next picture.

        Returns:
            "View 2 of 14" for the picture just taken, None when there are no more.

        Raises:
            SceneFault: the view could not be rendered, or the objects are gone; everything is removed then.
        """
        if self._closed or len(self._views) == self.count:
            self.close()
            return None
        if bpy.app.is_job_running("RENDER"):
            return "Waiting for the render"
        try:
            if not self._scene.alive():
                self._copy_again()
            self._views.append(self._take(len(self._views)))
        except BaseException:
            self.close()
            raise
        return f"View {len(self._views)} of {self.count}"

    def close(self) -> None:
        """Remove every trace from the file and the disk; calling it again does no harm."""
        if self._closed:
            return
        self._closed = True
        self._scene.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _copy_again(self) -> None:
        self._scene.close()
        members = [bpy.data.objects[name] for name in self._names if name in bpy.data.objects]
        if len(members) != len(self._names):
            raise SceneFault("no_selection", "The captured objects were deleted.")
        self._scene = CaptureScene(bpy.context, members, self.settings)

    def _take(self, index: int) -> CapturedView:
        camera = self._cameras[index]
        unit = self._bounds.radius / FILL
        pose = blender_cameras.pose_in_blender(camera.world_to_camera, self._bounds.center, unit)
        color, passes = self._folder / "color.png", self._folder / "passes.exr"
        self._scene.render_color(pose, color)
        if self.settings.learned:
            return CapturedView(camera.name, color.read_bytes(), camera.K, camera.world_to_camera)
        self._scene.render_passes(pose, passes)
        try:
            channels = exr.read_channels(passes.read_bytes())
        except ValueError as error:
            raise SceneFault("internal", f"The passes cannot be read: {error}") from error
        depth, normal = _depth_and_normal(channels, unit)
        return CapturedView(
            camera.name, color.read_bytes(), camera.K, camera.world_to_camera, _npy(depth), _npy(normal)
        )


def capture_signature(
    context: bpy.types.Context, objects: Iterable[bpy.types.Object], settings: CaptureSettings
) -> str:
    """Hash that changes when a capture would show something else; compare it to tell whether views are stale.

    Raises:
        SceneFault: ``no_selection``.
    """
    return signature(context, objects, settings)


def _depth_and_normal(
    channels: dict[str, NDArray[np.float32]], unit: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Camera z in GTR units (H,W) and unit normals in the GTR world (H,W,3), both 0 where nothing is seen."""
    np = numpy()
    depth = _channel(channels, "Depth.Z")
    normal = np.stack([_channel(channels, f"{NORMAL_PASS}.{axis}") for axis in "RGB"], axis=-1)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    seen = (depth < _FAR) & (depth > 0)
    depth = np.where(seen, depth / unit, 0).astype(np.float32)
    normal = np.where(seen[..., None] & (length > 0), normal / np.maximum(length, 1e-12), 0)
    return depth, np.ascontiguousarray(gtr_from_blender(normal), dtype=np.float32)


def _channel(channels: dict[str, NDArray[np.float32]], ending: str) -> NDArray[np.float32]:
    for name, values in channels.items():
        if name.endswith("." + ending):
            return values
    raise SceneFault("internal", f"The render wrote no {ending} pass, only {sorted(channels)}.")


def _npy(array: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    numpy().save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
