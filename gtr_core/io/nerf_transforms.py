"""Folders with ``transforms.json``, the form of the NeRF data sets.

Camera-to-world matrices with OpenGL camera axes (x right, y up, z backward). The world is Z up unless the file says
``"world_up": "y"``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.arrays import read_npy
from gtr_core.io.background import Background, foreground
from gtr_core.io.images import SUFFIXES, decode_image
from gtr_core.io.posed_image import PosedImage, resize_nearest

FILE_NAME = "transforms.json"
Y_UP_FROM_Z_UP = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(x, y, z) of a world with Z up -> (x, z, -y): the same world with Y up, front still in front."""
OPENGL_FROM_OPENCV = torch.tensor([1.0, -1.0, -1.0, 1.0])
"""Factors of the columns of a camera-to-world matrix; the same in both directions."""
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def read_transforms(file: Path, background: Background) -> Iterator[PosedImage]:
    """The frames of a ``transforms.json`` in its order.

    Raises:
        GtrError: ``bad_input`` naming the file or frame that is wrong or missing, ``camera_missing``,
            ``camera_invalid``.
    """
    document = _read_json(file)
    frames = document.get("frames")
    if not isinstance(frames, list) or not frames:
        raise _bad(f"{file.name} lists no frames.", 'It needs a list "frames".')
    up = document.get("world_up", "z")
    if up not in ("y", "z"):
        raise _bad(f'{file.name} says "world_up": {up!r}.', 'Use "y" or "z".')
    world = Y_UP_FROM_Z_UP if up == "z" else None
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict):
            raise _bad(f"Frame {index + 1} of {file.name} is not an object.", "", index)
        yield _read_frame(file, {**document, **frame}, world, background, index)


def _read_frame(
    file: Path, frame: dict[str, Any], world: Tensor | None, background: Background, index: int
) -> PosedImage:
    picture = _picture(file, frame, index)
    rgba = foreground(decode_image(picture, index=index), background, index=index, name=picture.name)
    height, width = rgba.shape[:2]
    intrinsics = _intrinsics(frame, height, width, picture.name, index)
    c2w = _pose(frame, picture.name, index) * OPENGL_FROM_OPENCV
    if world is not None:
        c2w[:3] = world @ c2w[:3]
    depth = _map(file, frame, "depth_file_path", (None, None), index)
    normal = _map(file, frame, "normal_file_path", (None, None, 3), index)
    if depth is not None:
        depth = resize_nearest(depth[..., None], height, width)[..., 0]
    if normal is not None:
        normal = resize_nearest(normal if world is None else normal @ world.T, height, width)
    return PosedImage(picture.name, rgba, c2w, intrinsics, depth, normal)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise _bad(f"{file.name} cannot be opened: {error.strerror}.", "Check its path.") from error
    except (ValueError, RecursionError) as error:
        raise _bad(f"{file.name} is not valid JSON ({error}).", "Write it again.") from error
    if not isinstance(document, dict):
        raise _bad(f"{file.name} is not a JSON object.", "Write it again.")
    return document


def _picture(file: Path, frame: dict[str, Any], index: int) -> Path:
    name = frame.get("file_path")
    if not isinstance(name, str) or not name:
        raise _bad(f'Frame {index + 1} of {file.name} has no "file_path".', "Name its picture.", index)
    base = file.parent / name
    for candidate in (base, *(base.with_name(base.name + suffix) for suffix in SUFFIXES)):
        if candidate.is_file():
            return candidate
    raise _bad(f"{name}, frame {index + 1} of {file.name}, does not exist.", "Add the picture.", index)


def _pose(frame: dict[str, Any], name: str, index: int) -> Tensor:
    if "transform_matrix" not in frame:
        raise GtrError(
            ErrorCode.CAMERA_MISSING,
            f'{name} has no camera: its frame lacks "transform_matrix".',
            "Add the 4 x 4 camera-to-world matrix.",
            view=index,
        )
    try:
        matrix = np.array(frame["transform_matrix"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _bad_camera(name, "transform_matrix holds no numbers", index) from error
    if matrix.shape != (4, 4):
        raise _bad_camera(name, f"transform_matrix is {' x '.join(map(str, matrix.shape))}, not 4 x 4", index)
    return torch.from_numpy(matrix).float()


def _intrinsics(frame: dict[str, Any], height: int, width: int, name: str, index: int) -> Tensor:
    """(4,) fx, fy, cx, cy for a picture of this size; the file may speak of another resolution."""
    distortion = [key for key in _DISTORTION if abs(_number(frame, key, name, index) or 0) > 1e-4]
    if distortion:
        raise _bad_camera(name, f"it has lens distortion, {', '.join(distortion)}", index, "Undistort it first.")
    file_width = _number(frame, "w", name, index) or width
    file_height = _number(frame, "h", name, index) or height
    fx = _focal(frame, "fl_x", "camera_angle_x", file_width, name, index)
    fy = _focal(frame, "fl_y", "camera_angle_y", file_height, name, index)
    if fx is None and fy is None:
        raise GtrError(
            ErrorCode.CAMERA_MISSING,
            f'{name} has no focal length: neither "fl_x" nor "camera_angle_x" is given.',
            "Add one of them to its frame or to the whole file.",
            view=index,
        )
    cx = _number(frame, "cx", name, index)
    cy = _number(frame, "cy", name, index)
    values = [fx or fy, fy or fx, file_width / 2 if cx is None else cx, file_height / 2 if cy is None else cy]
    scale = [width / file_width, height / file_height] * 2
    return torch.tensor([value * factor for value, factor in zip(values, scale, strict=True) if value is not None])


def _focal(frame: dict[str, Any], key: str, angle_key: str, side: float, name: str, index: int) -> float | None:
    focal = _number(frame, key, name, index)
    angle = _number(frame, angle_key, name, index)
    if focal is None and angle is not None and 0 < angle < math.pi:
        focal = side / 2 / math.tan(angle / 2)
    if focal is not None and focal <= 0:
        raise _bad_camera(name, f"its {key} is {focal:g}", index)
    return focal


def _number(frame: dict[str, Any], key: str, name: str, index: int) -> float | None:
    value = frame.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _bad_camera(name, f"its {key} is no number", index)
    return float(value)


def _map(file: Path, frame: dict[str, Any], key: str, shape: tuple[int | None, ...], index: int) -> Tensor | None:
    name = frame.get(key)
    if name is None:
        return None
    if not isinstance(name, str):
        raise _bad(f"{key} of frame {index + 1} is no file name.", "", index)
    values = read_npy(file.parent / name, np.float32, shape)
    if not np.isfinite(values).all() or (key == "depth_file_path" and (values < 0).any()):
        raise _bad(f"{name} holds numbers that are not finite or negative depths.", "Background is 0.", index)
    return torch.from_numpy(values)


def _bad(message: str, hint: str, index: int | None = None) -> GtrError:
    return GtrError(ErrorCode.BAD_INPUT, message, hint, view=index)


def _bad_camera(name: str, reason: str, index: int, hint: str = "Correct the camera file.") -> GtrError:
    return GtrError(ErrorCode.CAMERA_INVALID, f"The camera of {name} cannot be used: {reason}.", hint, view=index)
