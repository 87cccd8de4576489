"""Second panel: where the views come from."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..run.session import session
from ..views import cameras_preview, thumbnails, view_source
from .header import GtrPanel
from .widgets import draw_text

MASK_ICONS = {"UNKNOWN": "BLANK1", "OK": "CHECKMARK", "EMPTY": "ERROR", "BAD": "CANCEL"}
THUMBNAILS_PER_ROW = 4
MOST_THUMBNAILS = 8


class GTR_UL_slots(bpy.types.UIList):
    """Pictures of the object: thumbnail, view name, state of the mask."""

    bl_idname = "GTR_UL_slots"

    def draw_item(
        self,
        _context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: bpy.types.AnyType,
        item: bpy.types.AnyType,
        _icon: int,
        _active_data: bpy.types.AnyType,
        _active_property: str,
    ) -> None:
        """One line of the list."""
        row = layout.row(align=True)
        thumbnail = thumbnails.icon_of_file(item.filepath)
        if thumbnail:
            row.label(text="", icon_value=thumbnail)
        else:
            row.label(text="", icon="IMAGE_DATA")
        row.prop(item, "view", text="", emboss=False)
        row.label(text="", icon=MASK_ICONS.get(item.mask, "BLANK1"))


class GTR_PT_input(GtrPanel, bpy.types.Panel):
    """Scene or images, cameras, background."""

    bl_idname = "GTR_PT_input"
    bl_label = "Input"

    def draw(self, context: bpy.types.Context) -> None:
        """The settings of the chosen source."""
        settings = context.scene.gtr
        self.layout.row().prop(settings, "source", expand=True)
        if settings.source == "SCENE":
            _draw_scene(self.layout, context)
        else:
            _draw_images(self.layout, context)


def _draw_scene(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = context.scene.gtr
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(settings, "views")
    column.prop(settings, "colors")
    box = layout.box()
    sources = view_source.source_objects(context)
    if not sources:
        box.label(text="Nothing selected", icon="INFO")
    else:
        more = f"  +{len(sources) - 1} more" if len(sources) > 1 else ""
        box.label(text=sources[0].name + more, icon="OUTLINER_OB_MESH")
        if len(sources) > 1:
            box.prop(settings, "each")
    _draw_thumbnails(box)
    row = layout.row(align=True)
    row.operator("gtr.show_cameras", text="Cameras", icon="OUTLINER_OB_CAMERA", depress=cameras_preview.is_shown())
    row.operator("gtr.capture", text="Capture", icon="RENDER_STILL")


def _draw_thumbnails(layout: bpy.types.UILayout) -> None:
    captured = thumbnails.views()
    if not captured:
        return
    column = layout.column(align=True)
    column.active = not session.capturing.is_stale
    for start in range(0, min(len(captured), MOST_THUMBNAILS), THUMBNAILS_PER_ROW):
        row = column.row(align=True)
        for name, icon in captured[start : start + THUMBNAILS_PER_ROW]:
            cell = row.column(align=True)
            cell.template_icon(icon_value=icon, scale=2.4)
            button = cell.row()
            button.scale_y = 0.6
            button.operator("gtr.open_view", text="", icon="ZOOM_IN", emboss=False).name = name
        for _ in range(start + THUMBNAILS_PER_ROW - len(captured)):
            row.label(text="")
    if len(captured) > MOST_THUMBNAILS:
        column.label(text=f"+{len(captured) - MOST_THUMBNAILS} more views")
    if not column.active:
        column.label(text="Changed since Capture", icon="INFO")


def _draw_images(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = context.scene.gtr
    row = layout.row()
    row.template_list("GTR_UL_slots", "", settings, "slots", settings, "slot_index", rows=4)
    column = row.column(align=True)
    column.operator("gtr.add_images", text="", icon="ADD")
    column.operator("gtr.remove_image", text="", icon="REMOVE")
    row = layout.row(align=True)
    row.operator("gtr.paste_grid", text="Paste Grid", icon="MESH_GRID")
    row.operator("gtr.load_folder", text="Load Folder", icon="FILE_FOLDER")
    layout.operator("gtr.from_active_camera", text="From Active Camera", icon="VIEW_CAMERA")
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(settings, "camera_set")
    if settings.camera_set == "file":
        column.prop(settings, "camera_file", text="File")
    column.prop(settings, "background")
    if settings.background == "KEY":
        column.prop(settings, "key_color")
    column.prop(settings, "height")
    row = layout.row(align=True)
    row.operator("gtr.show_cameras", text="Cameras", icon="OUTLINER_OB_CAMERA", depress=cameras_preview.is_shown())
    row.operator("gtr.show_masks", text="Masks", icon="MOD_MASK")
    if 0 <= settings.slot_index < len(settings.slots):
        slot = settings.slots[settings.slot_index]
        _draw_slot(layout, slot)


def _draw_slot(layout: bpy.types.UILayout, slot: bpy.types.AnyType) -> None:
    box = layout.box()
    draw_text(box, Path(slot.filepath.removeprefix("//")).name or "No file")
    row = box.row(align=True)
    row.template_icon(icon_value=thumbnails.icon_of_file(slot.filepath), scale=4.0)
    mask = thumbnails.icon_of_mask(slot.filepath)
    if mask:
        row.template_icon(icon_value=mask, scale=4.0)
    if slot.mask == "EMPTY":
        draw_text(box, "Nothing is left after background removal.", icon="ERROR")
    elif slot.mask == "BAD":
        draw_text(box, "This file cannot be read as an image.", icon="ERROR")


CLASSES = (GTR_UL_slots, GTR_PT_input)
