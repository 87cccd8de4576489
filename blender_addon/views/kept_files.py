"""Where pictures of the scene are kept: beside the .blend when the user wants to keep them, else for this session."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy

from ..errors import ClientError
from ..preferences import get_preferences


def folder_for(context: bpy.types.Context, name: str) -> Path:
    """The folder ``name`` for pictures: ``//gtr/<name>`` with *Keep Captures* in a saved file, else a temporary one.

    Raises:
        ClientError: ``folder_denied``.
    """
    if get_preferences(context).keep_captures and bpy.data.filepath:
        base = Path(bpy.path.abspath("//"))
    else:
        base = Path(bpy.app.tempdir or tempfile.gettempdir())
    folder = base / "gtr" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClientError("folder_denied", details=str(error), values={"folder": str(folder)}) from error
    return folder
