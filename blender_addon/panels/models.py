"""The line that says which model makes the surface, and where it runs."""

from __future__ import annotations

import bpy

from ..link.model_list import FIT, ModelInfo
from ..run.session import session
from .widgets import draw_text

ICONS = {"ready": "CHECKMARK", "absent": "ERROR", "invalid": "CANCEL", "unknown": "QUESTION"}
LONGEST_NAME = 18
"""Characters of a name that fit into its button."""


class GTR_MT_models(bpy.types.Menu):
    """What can make the surface."""

    bl_idname = "GTR_MT_models"
    bl_label = "Model"

    def draw(self, _context: bpy.types.Context) -> None:
        """One line per model, then the ways to more of them."""
        layout = self.layout
        for model in session.models:
            layout.operator("gtr.choose_model", text=_entry(model), icon=ICONS[model.state]).model = model.id
        layout.separator()
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("gtr.choose_model_file", text="Choose File", icon="FILEBROWSER")
        layout.operator("gtr.look_for_models", text="Look Again", icon="FILE_REFRESH")


def draw_model(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The chosen model, and its device; or why it cannot run and what to do then."""
    model = session.model(context.scene.gtr.model)
    row = layout.split(factor=0.26, align=True)
    row.label(text="Model")
    row.menu("GTR_MT_models", text=_short(model.id), icon=ICONS[model.state])
    if not model.usable:
        if session.error is not None and session.error.code == "missing_weights":
            return  # the error box says so already, with the same buttons
        box = layout.box()
        draw_text(box, model.text or "Model file not found.", icon="ERROR")
        row = box.row(align=True)
        row.operator("gtr.choose_model", text="Use fit").model = FIT
        row.operator("gtr.choose_model_file", text="Choose File")
    elif session.server.device:
        running = session.run.options.model if session.run is not None and session.run.options is not None else ""
        words = f"{_short(running)} runs on" if running else "Runs on"
        draw_text(layout, f"{words} {session.server.device}", icon="BLANK1")


def _entry(model: ModelInfo) -> str:
    if model.id == FIT:
        return f"{FIT}  (no weights)"
    notes = {"ready": _size(model.bytes), "absent": "no file", "invalid": "damaged", "unknown": "needs a file"}
    return f"{_short(model.id, 40)}  ({notes[model.state]})"


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(number / 1e6, 0.1):.1f} MB"


def _short(name: str, longest: int = LONGEST_NAME) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


CLASSES = (GTR_MT_models,)
