"""What can be clicked: one file per group of buttons."""

from __future__ import annotations

import bpy

from . import capture, export, fix, images, models, reconstruct, server, texture

CLASSES = (
    *reconstruct.CLASSES,
    *models.CLASSES,
    *texture.CLASSES,
    *capture.CLASSES,
    *images.CLASSES,
    *server.CLASSES,
    *export.CLASSES,
    *fix.CLASSES,
)


def register() -> None:
    """Register all operators."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Unregister all operators."""
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
