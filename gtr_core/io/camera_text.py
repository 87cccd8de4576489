"""Folders of ``rgb_*.png`` with ``cam_*.txt``, the form in which GTR's own data come.

A camera file has eight lines: a label, the first three rows of world-to-camera (OpenCV axes, Y up) and ``0 0 0 1``,
an empty line, a label, and fx fy cx cy height width. Only the positions count, the labels are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.background import Background, foreground
from gtr_core.io.images import decode_image
from gtr_core.io.posed_image import PosedImage

IMAGE_PREFIX, CAMERA_PREFIX = "rgb_", "cam_"


def holds_camera_text(folder: Path) -> bool:
    """Whether a folder holds pictures or cameras in this form."""
    return any(folder.glob("rgb_*.png")) and any(folder.glob("cam_*.txt"))


def read_camera_text(folder: Path, background: Background) -> Iterator[PosedImage]:
    """The pictures of such a folder in the order of their names; other files in it do not matter.

    Raises:
        GtrError: ``camera_missing`` and ``bad_input`` when a picture lacks its camera file or the reverse,
            ``camera_invalid`` when a camera file cannot be read.
    """
    pictures = {path.stem.removeprefix(IMAGE_PREFIX): path for path in sorted(folder.glob("rgb_*.png"))}
    for camera in sorted(folder.glob("cam_*.txt")):
        number = camera.stem.removeprefix(CAMERA_PREFIX)
        if number not in pictures:
            raise GtrError(
                ErrorCode.BAD_INPUT,
                f"{camera.name} has no picture {IMAGE_PREFIX}{number}.png.",
                "Add the picture or remove the camera file.",
            )
    for index, (number, picture) in enumerate(pictures.items()):
        camera = folder / f"{CAMERA_PREFIX}{number}.txt"
        if not camera.is_file():
            raise GtrError(
                ErrorCode.CAMERA_MISSING,
                f"{picture.name} has no camera file {camera.name}.",
                "Add it or remove the picture.",
                view=index,
            )
        rgba = foreground(decode_image(picture, index=index), background, index=index, name=picture.name)
        c2w, intrinsics = _read_camera(camera, rgba.shape[0], rgba.shape[1], index)
        yield PosedImage(picture.name, rgba, c2w, intrinsics)


def _read_camera(path: Path, height: int, width: int, index: int) -> tuple[Tensor, Tensor]:
    """(4, 4) camera to world and (4,) intrinsics for a picture of this size."""
    try:
        lines = path.read_text("ascii").split("\n")
        w2c = np.array([[float(number) for number in line.split()] for line in lines[1:5]])
        *intrinsics, file_height, file_width = (float(number) for number in lines[7].split())
        if w2c.shape != (4, 4) or len(intrinsics) != 4 or min(file_height, file_width) <= 0:
            raise ValueError("wrong number of values")
        c2w = np.linalg.inv(w2c)
    except (OSError, ValueError, IndexError, np.linalg.LinAlgError) as error:
        raise GtrError(
            ErrorCode.CAMERA_INVALID,
            f"The camera file {path.name} cannot be used ({error}).",
            "It must hold eight lines: label, 4 x 4 world-to-camera, empty, label, fx fy cx cy height width.",
            view=index,
        ) from error
    if (file_height, file_width) == (width, height):
        # Some writers swap the two for pictures that are not square; the picture itself knows better.
        file_height, file_width = height, width
    scale = np.array([width / file_width, height / file_height] * 2)
    return torch.from_numpy(c2w).float(), torch.from_numpy(np.array(intrinsics) * scale).float()
