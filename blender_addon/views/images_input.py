"""Pictures from files as views: the list in the panel, grids, folders with cameras."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from .. import camera_sets
from ..camera_sets import PlacedCamera
from ..errors import ClientError
from ..formats import camera_files
from ..formats.picture_files import SUFFIXES, encode_png, read_picture
from ..packages import numpy
from ..values import CapturedView, Placement
from .slot_cameras import SlotCameras, scene_frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_PIXELS = 64_000_000
"""More than this the server refuses."""
GRID_ROWS, GRID_COLUMNS = 3, 2


def add_files(context: bpy.types.Context, directory: str, names: Sequence[str]) -> None:
    """Append one slot per image file, named after its view where the file name tells it.

    Raises:
        ClientError: ``bad_image`` for a file that is no image; nothing is added then.
    """
    paths = [Path(bpy.path.abspath(directory)) / name for name in names]
    for path in paths:
        read_picture(path)
    settings = context.scene.gtr
    known = [name for name, _, _ in camera_sets.CAMERA_SETS.get(settings.camera_set, ())]
    start = len(settings.slots)
    for offset, path in enumerate(paths):
        in_order = known[start + offset] if start + offset < len(known) else path.stem
        _add_slot(context, path, _view_in_name(path, known) or in_order)


def paste_grid(context: bpy.types.Context, filepath: str) -> None:
    """Replace the list by the six views of a Zero123++ picture (3 rows, 2 columns), written beside it.

    Raises:
        ClientError: ``bad_image``, or ``bad_input`` when the picture is no such grid, ``folder_denied``.
    """
    path = Path(bpy.path.abspath(filepath))
    _, width, height = read_picture(path)
    side, rest = divmod(height, GRID_ROWS)
    if rest or width != GRID_COLUMNS * side:
        raise ClientError("bad_input", f"{path.name} is {width} × {height} pixels, no grid of 2 × 3 square views.")
    pixels = _pixels(path)
    folder = _writable(path.parent / f"{path.stem}_views")
    files = []
    for index in range(GRID_ROWS * GRID_COLUMNS):
        row, column = divmod(index, GRID_COLUMNS)
        tile = pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]
        files.append(folder / f"view_{index + 1}.png")
        files[-1].write_bytes(encode_png(tile))
    settings = context.scene.gtr
    settings.slots.clear()
    settings.source, settings.camera_set = "IMAGES", "zero123plus"
    add_files(context, str(folder), [file.name for file in files])


def load_folder(context: bpy.types.Context, directory: str) -> None:
    """Replace the list by a folder's pictures, with its cameras when it has ``transforms.json`` or ``cam_*.txt``.

    Raises:
        ClientError: ``too_few_views``, ``bad_image``, and what :func:`camera_files.read_cameras` raises.
    """
    folder = Path(bpy.path.abspath(directory))
    with_cameras = camera_files.holds_cameras(folder)
    if with_cameras:
        paths = [camera.picture for camera in camera_files.read_cameras(folder)]
    else:
        paths = sorted((path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES), key=_natural)
    if not paths:
        raise ClientError("too_few_views", values={"needed": 4, "loaded": 0})
    for path in paths:
        read_picture(path)
    settings = context.scene.gtr
    settings.slots.clear()
    settings.source = "IMAGES"
    if with_cameras:
        settings.camera_set, settings.camera_file = "file", str(folder)
        for path in paths:
            _add_slot(context, path, path.stem)
    else:
        settings.camera_set = {6: "zero123plus"}.get(len(paths), "orthogonal")
        add_files(context, str(folder), [path.name for path in paths])


def downscale(context: bpy.types.Context) -> None:
    """Replace every listed picture that is too large by a smaller copy beside it.

    Raises:
        ClientError: ``bad_image``, ``folder_denied``.
    """
    for slot in context.scene.gtr.slots:
        path = Path(bpy.path.abspath(slot.filepath))
        _, width, height = read_picture(path)
        if width * height <= MAX_PIXELS:
            continue
        scale = (MAX_PIXELS / (width * height)) ** 0.5
        target = _writable(path.parent) / f"{path.stem}_small.png"
        image = _load(path)
        try:
            image.scale(int(width * scale), int(height * scale))
            image.filepath_raw, image.file_format = str(target), "PNG"
            image.save()
        finally:
            bpy.data.images.remove(image)
        slot.filepath = str(target)


def collect_views(context: bpy.types.Context) -> list[CapturedView]:
    """The listed pictures with their cameras, ready to be sent; depth and normals where a camera file names them.

    Raises:
        ClientError: ``too_few_views``, ``bad_image``, ``image_too_large``, ``camera_missing``, ``camera_invalid``.
    """
    known = SlotCameras(context)
    views = []
    for index, slot in enumerate(context.scene.gtr.slots):
        path = Path(bpy.path.abspath(slot.filepath))
        data, width, height = _picture_of_slot(path, index)
        camera, entry = known.placed(index, width, height), known.file(index)
        depth, normal = (None, None) if entry is None else (entry.depth_npy(), entry.normal_npy())
        views.append(CapturedView(camera.name, data, camera.K, camera.world_to_camera, depth, normal))
    return views


def cameras(context: bpy.types.Context) -> list[PlacedCamera]:
    """The cameras of the listed pictures, to be drawn.

    Raises:
        ClientError: see :func:`collect_views`.
    """
    known = SlotCameras(context)
    found = []
    for index, slot in enumerate(context.scene.gtr.slots):
        _, width, height = _picture_of_slot(Path(bpy.path.abspath(slot.filepath)), index)
        found.append(known.placed(index, width, height))
    return found


def placement(context: bpy.types.Context) -> Placement:
    """Where a mesh from pictures goes: in front of the scene's own cameras, else standing on the origin (or cursor).

    Its height is the panel's *Height* when nothing in the scene says how large it is.

    Raises:
        ClientError: ``camera_invalid`` when the scene's cameras do not look at one place.
    """
    settings = context.scene.gtr
    mode = "CURSOR" if settings.place == "CURSOR" else "OVER"
    if settings.camera_set == "scene":
        center, radius = scene_frame(context)
        return Placement(tuple(center), radius, mode, 2 * radius)
    half = settings.height / 2
    return Placement((0.0, 0.0, half), half, mode, settings.height)


def _picture_of_slot(path: Path, index: int) -> tuple[bytes, int, int]:
    try:
        data, width, height = read_picture(path)
    except ClientError as error:
        error.view = index
        raise
    if width * height > MAX_PIXELS:
        text = f"Image {index + 1} has {width * height / 1e6:.0f} MP; the limit is {MAX_PIXELS / 1e6:.0f} MP."
        raise ClientError("image_too_large", text, values={"name": path.name}, view=index)
    return data, width, height


def _add_slot(context: bpy.types.Context, path: Path, view: str) -> None:
    slot = context.scene.gtr.slots.add()
    slot.filepath, slot.view = str(path), view


def _view_in_name(path: Path, known: Sequence[str]) -> str | None:
    words = set(re.findall(r"[a-z]+", path.stem.lower()))
    found = [name for name in known if name.lower() in words]
    return found[0] if len(found) == 1 else None


def _natural(path: Path) -> list[tuple[int, str]]:
    # 2 before 10.
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem.lower())]


def _pixels(path: Path) -> NDArray[np.uint8]:
    """(H,W,4) uint8, the file's own values, row 0 at the top."""
    np = numpy()
    image = _load(path)
    try:
        # Non-Color: the values of the file, not light.
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        width, height = image.size
        values = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(values)
    finally:
        bpy.data.images.remove(image)
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8).reshape(height, width, 4)[::-1]


def _load(path: Path) -> bpy.types.Image:
    try:
        image = bpy.data.images.load(str(path), check_existing=False)
    except RuntimeError as error:
        raise ClientError("bad_image", details=str(error), values={"name": path.name}) from error
    if image.size[0] == 0:
        bpy.data.images.remove(image)
        raise ClientError("bad_image", values={"name": path.name})
    return image


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".gtr_probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ClientError("folder_denied", details=str(error), values={"folder": str(folder)}) from error
    return folder
