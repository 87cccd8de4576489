"""Captured views as a folder: ``transforms.json`` with pictures, depth and normals beside it. No bpy.

The form of :mod:`.camera_files`: camera-to-world with OpenGL camera axes, here in a world with Y up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ClientError
from ..packages import numpy
from ..values import CapturedView
from .camera_files import FLIP
from .picture_files import picture_size

CAMERAS = "transforms.json"


def write_views(views: Sequence[CapturedView], folder: Path) -> None:
    """Write ``view_00.png``, ``depth_00.npy``, ``normal_00.npy`` and so on, then ``transforms.json`` that names them.

    The cameras come last, so that a folder that has them is whole.

    Raises:
        ClientError: ``folder_denied``, also when the disk is full; ``bad_image`` for a picture of no known form.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        frames = [_write(view, f"{index:02d}", folder) for index, view in enumerate(views)]
        document = {"world_up": "y", "frames": frames}
        (folder / CAMERAS).write_text(json.dumps(document, indent=1), encoding="utf-8")
    except OSError as error:
        raise ClientError("folder_denied", details=str(error), values={"folder": str(folder)}) from error


def _write(view: CapturedView, number: str, folder: Path) -> dict[str, Any]:
    np = numpy()
    size = picture_size(view.png)
    if size is None:
        raise ClientError("bad_image", values={"name": view.name})
    camera_to_world = np.linalg.inv(np.array(view.world_to_camera, dtype=np.float64)) * np.array(FLIP)
    frame: dict[str, Any] = {
        "file_path": f"view_{number}.png",
        "name": view.name,
        "fl_x": view.K[0][0],
        "fl_y": view.K[1][1],
        "cx": view.K[0][2],
        "cy": view.K[1][2],
        "w": size[0],
        "h": size[1],
        "transform_matrix": camera_to_world.tolist(),
    }
    (folder / frame["file_path"]).write_bytes(view.png)
    for channel, data in (("depth", view.depth_npy), ("normal", view.normal_npy)):
        if data is not None:
            frame[f"{channel}_file_path"] = f"{channel}_{number}.npy"
            (folder / frame[f"{channel}_file_path"]).write_bytes(data)
    return frame
