"""The GTR tab of the 3D view's sidebar: server line, Input, Reconstruct, Texture, Export."""

from __future__ import annotations

import bpy

from . import export, header, inputs, models, reconstruct, texture

CLASSES = (*header.CLASSES, *inputs.CLASSES, *models.CLASSES, *reconstruct.CLASSES, *texture.CLASSES, *export.CLASSES)


def _object_menu(self: bpy.types.Menu, _context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.operator("gtr.reconstruct", text="Reconstruct with GTR", icon="MESH_MONKEY")
    self.layout.operator("gtr.refine", text="Refine Texture (GTR)", icon="BRUSH_DATA")
    self.layout.operator("gtr.export", text="Export GTR Asset", icon="EXPORT")


def register() -> None:
    """Register the panels and the entries of the Object menu."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.VIEW3D_MT_object.append(_object_menu)


def unregister() -> None:
    """Take everything back."""
    bpy.types.VIEW3D_MT_object.remove(_object_menu)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
