"""Objects that GTR made: finding them by id, what they remember, which of their two colours is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import bpy

KEY = "gtr"
"""Custom property of a result: a JSON string, readable after a file is opened again in any version."""
COLOR = "Color"
BASE = "Color_base"
"""The colours before refinement; left out of every export."""


def info(obj: bpy.types.Object) -> dict[str, Any]:
    """What a result remembers; empty for any other object and for text that is not ours."""
    text = obj.get(KEY)
    if not isinstance(text, str):
        return {}
    try:
        stored = json.loads(text)
    except ValueError:
        return {}
    return stored if isinstance(stored, dict) and isinstance(stored.get("id"), str) else {}


def remember(obj: bpy.types.Object, **values: Any) -> None:
    """Add to what a result remembers; the first call must give the ``id``."""
    obj[KEY] = json.dumps({**info(obj), **values})


def is_result(obj: bpy.types.Object | None) -> bool:
    """Whether GTR made this mesh object (the rough surface of a job that still runs does not count)."""
    if obj is None or obj.type != "MESH":
        return False
    record = info(obj)
    return bool(record) and not record.get("preview")


def find(result_id: str) -> bpy.types.Object | None:
    """The object with this id, wherever it is in the file; None when it was deleted or undone.

    Ask again every time: after an undo every earlier reference is dead. A copy made by the user carries the same id;
    the first in the file's order wins.
    """
    if not result_id:
        return None
    for obj in bpy.data.objects:
        if obj.type == "MESH" and info(obj).get("id") == result_id:
            return obj
    return None


def active(context: bpy.types.Context) -> bpy.types.Object | None:
    """The active object when it is a result."""
    obj = context.active_object
    return obj if is_result(obj) else None


def describe(obj: bpy.types.Object) -> str:
    """Name and size in words."""
    return f"{obj.name} · {count_in_words(len(obj.data.vertices))} verts"


def count_in_words(count: int) -> str:
    """``950``, ``198 k``, ``1.2 M``."""
    if count < 1000:
        return str(count)
    if count < 999_500:
        return f"{round(count / 1000)} k"
    return f"{count / 1e6:.1f} M"


def can_compare(obj: bpy.types.Object | None) -> bool:
    """Whether the result was refined and the colours before that are kept."""
    return is_result(obj) and bool(info(obj).get("refined")) and obj.data.color_attributes.get(BASE) is not None


def is_comparing(obj: bpy.types.Object | None) -> bool:
    """Whether the colours before refinement are shown."""
    if obj is None or obj.type != "MESH":
        return False
    shown = obj.data.color_attributes.active_color
    return shown is not None and shown.name == BASE


def compare(obj: bpy.types.Object, base: bool) -> None:
    """Show the colours before refinement, or those of now: viewport, material and render."""
    name = BASE if base else COLOR
    attributes = obj.data.color_attributes
    if attributes.get(name) is None:
        return
    attributes.active_color = attributes[name]
    attributes.render_color_index = attributes.find(name)
    for slot in obj.material_slots:
        if slot.material is not None and slot.material.node_tree is not None:
            for node in slot.material.node_tree.nodes:
                if node.type == "VERTEX_COLOR" and node.layer_name in (COLOR, BASE):
                    node.layer_name = name


def settings_of(obj: bpy.types.Object) -> Mapping[str, Any]:
    """The settings the result was made with."""
    settings = info(obj).get("settings")
    return settings if isinstance(settings, dict) else {}
