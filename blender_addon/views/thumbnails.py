"""Small pictures in the panel: captured views, image files, masks."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bpy
import bpy.utils.previews

from ..values import CapturedView

_previews: bpy.utils.previews.ImagePreviewCollection | None = None
_folder: tempfile.TemporaryDirectory[str] | None = None
_views: list[tuple[str, str]] = []
_masks: dict[str, str] = {}


def show_views(views: Sequence[CapturedView]) -> None:
    """Write the captured pictures beside each other and make thumbnails of them."""
    _views.clear()
    for number, view in enumerate(views):
        name = hashlib.sha256(view.png).hexdigest()[:16]
        path = _place() / f"view_{number:02d}_{name}.png"
        if not path.exists():
            path.write_bytes(view.png)
        _views.append((view.name, str(path)))


def views() -> list[tuple[str, int]]:
    """(name, icon) of every captured picture."""
    return [(name, _icon(path)) for name, path in _views]


def path_of_view(name: str) -> Path | None:
    """The file of a captured picture, None when there is none of this name."""
    for known, path in _views:
        if known == name and Path(path).exists():
            return Path(path)
    return None


def icon_of_file(filepath: str) -> int:
    """Icon of an image file; 0 when it cannot be read."""
    path = bpy.path.abspath(filepath)
    return _icon(path) if path and Path(path).is_file() else 0


def read_again(filepath: str) -> None:
    """The image file was written anew: neither its old thumbnail nor its old mask shows it."""
    _masks.pop(filepath, None)
    path = bpy.path.abspath(filepath)
    if _previews is not None and path in _previews:
        _previews[path].reload()


def keep_mask(filepath: str, png: bytes) -> None:
    """Remember the mask of an image file."""
    path = _place() / f"mask_{hashlib.sha256(png).hexdigest()[:16]}.png"
    path.write_bytes(png)
    _masks[filepath] = str(path)


def icon_of_mask(filepath: str) -> int:
    """Icon of an image's mask; 0 when there is none yet."""
    path = _masks.get(filepath)
    return _icon(path) if path else 0


def close() -> None:
    """Give pictures and files back."""
    global _previews, _folder
    _views.clear()
    _masks.clear()
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None
    if _folder is not None:
        _folder.cleanup()
        _folder = None


def _icon(path: str) -> int:
    global _previews
    if _previews is None:
        _previews = bpy.utils.previews.new()
    if path not in _previews:
        picture = _previews.load(path, path, "IMAGE")
        # Asking for the size reads the file now. Otherwise a thread of Blender does that while it draws the panel.
        if 0 in picture.image_size[:]:
            return 0
    return _previews[path].icon_id


def _place() -> Path:
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="gtr_thumbnails_", dir=bpy.app.tempdir or None)
    return Path(_folder.name)
