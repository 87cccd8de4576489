"""Cameras from files: ``transforms.json`` and ``cam_XXX.txt``. No bpy.

Both give the same cameras for the same views. Depth maps count camera z in the unit of the file's world.
"""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..coords import gtr_from_blender
from ..errors import ClientError
from ..packages import numpy
from ..values import Matrix
from .picture_files import SUFFIXES

FLIP = (1.0, -1.0, -1.0, 1.0)
"""OpenGL camera axes in OpenCV's, by column of camera-to-world."""


@dataclass(frozen=True)
class FileCamera:
    """One camera and the picture it took.

    Args:
        picture: the image file; it need not exist.
        K: 3x3 intrinsics for a picture of ``width`` x ``height``.
        world_to_camera: 4x4, OpenCV axes, Y up.
        width: of the picture that K speaks of; 0 = the picture's own.
        height: likewise.
        depth: .npy file of camera z, or None.
        normal: .npy file of world normals, or None.
        z_up: the normals are of a world with Z up.
    """

    picture: Path
    K: Matrix
    world_to_camera: Matrix
    width: int = 0
    height: int = 0
    depth: Path | None = None
    normal: Path | None = None
    z_up: bool = False

    def intrinsics_for(self, width: int, height: int) -> Matrix:
        """K for the same picture at another resolution."""
        sx = width / self.width if self.width else 1.0
        sy = height / self.height if self.height else 1.0
        if self.width == height and self.height == width and width != height:
            sx = sy = 1.0  # some writers of cam_XXX.txt swap the two
        return [[value * sx for value in self.K[0]], [value * sy for value in self.K[1]], list(self.K[2])]

    def depth_npy(self) -> bytes | None:
        """The depth file as it is."""
        return None if self.depth is None else _bytes(self.depth)

    def normal_npy(self) -> bytes | None:
        """The normal file, turned to a world with Y up."""
        if self.normal is None:
            return None
        data = _bytes(self.normal)
        if not self.z_up:
            return data
        np = numpy()
        try:
            normals = np.load(io.BytesIO(data), allow_pickle=False)
            turned = np.ascontiguousarray(gtr_from_blender(normals), dtype=np.float32)
        except (ValueError, EOFError, IndexError) as error:
            raise _bad(f"{self.normal.name} is not a .npy file of normals.") from error
        buffer = io.BytesIO()
        np.save(buffer, turned, allow_pickle=False)
        return buffer.getvalue()


def read_cameras(path: Path) -> list[FileCamera]:
    """Cameras of a ``transforms.json``, of a ``cam_XXX.txt`` file's folder, or of a folder with either.

    Raises:
        ClientError: ``camera_missing`` when there are none, ``camera_invalid`` for one that cannot be used,
            ``bad_input`` for a file that cannot be read.
    """
    if path.is_dir() and (path / "transforms.json").is_file():
        path = path / "transforms.json"
    if path.suffix.lower() == ".json":
        return _read_transforms(path)
    folder = path if path.is_dir() else path.parent
    files = sorted(folder.glob("cam_*.txt"))
    if not files:
        raise ClientError("camera_missing", values={"name": path.name})
    return [_read_text(file) for file in files]


def holds_cameras(folder: Path) -> bool:
    """Whether a folder has camera files."""
    return (folder / "transforms.json").is_file() or any(folder.glob("cam_*.txt"))


def key_of(path: Path) -> str:
    """What pictures and cameras are matched by: the name without ending, and the number alone for rgb_/cam_ files."""
    match = re.fullmatch(r"(?:rgb|cam)_(\w+)", path.stem)
    return match.group(1) if match else path.stem


def _read_transforms(path: Path) -> list[FileCamera]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise _bad(f"{path.name} cannot be opened.", str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _bad(f"{path.name} is not valid JSON.", str(error)) from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise _bad(f"{path.name} lists no frames.")
    up = document.get("world_up", "z")
    if up not in ("y", "z"):
        raise _bad(f'{path.name} says "world_up": {up!r}; it must be "y" or "z".')
    return [_frame(path, {**document, **frame}, up == "z") for frame in frames]


def _frame(path: Path, frame: dict[str, Any], z_up: bool) -> FileCamera:
    picture = _picture(path, frame)
    if "transform_matrix" not in frame:
        raise ClientError("camera_missing", details="no transform_matrix", values={"name": picture.name})
    try:
        camera_to_world = [[float(value) for value in row] for row in frame["transform_matrix"]]
        width, height = int(frame.get("w") or 0), int(frame.get("h") or 0)
        K = _intrinsics(frame, width, height)
    except (TypeError, ValueError) as error:
        raise _invalid(picture.name, str(error)) from error
    if K is None:
        raise ClientError("camera_missing", details="no focal length", values={"name": picture.name})
    w2c = _world_to_camera(camera_to_world, z_up, picture.name)
    depth, normal = (_map(path, frame, key) for key in ("depth_file_path", "normal_file_path"))
    return FileCamera(picture, K, w2c, width, height, depth, normal, z_up)


def _map(path: Path, frame: dict[str, Any], key: str) -> Path | None:
    name = frame.get(key)
    if name is None:
        return None
    if not isinstance(name, str):
        raise _bad(f"{key} in {path.name} is no file name.")
    return path.parent / name


def _picture(path: Path, frame: dict[str, Any]) -> Path:
    name = frame.get("file_path")
    if not isinstance(name, str) or not name:
        raise _bad(f'A frame of {path.name} has no "file_path".')
    base = path.parent / name
    candidates = (base, *(base.with_name(base.name + suffix) for suffix in SUFFIXES))
    return next((candidate for candidate in candidates if candidate.is_file()), base)


def _intrinsics(frame: dict[str, Any], width: int, height: int) -> Matrix | None:
    fx: Any = frame.get("fl_x")
    fy: Any = frame.get("fl_y")
    if fx is None and frame.get("camera_angle_x") is not None and width:
        fx = width / 2 / math.tan(float(frame["camera_angle_x"]) / 2)
    if fy is None and frame.get("camera_angle_y") is not None and height:
        fy = height / 2 / math.tan(float(frame["camera_angle_y"]) / 2)
    if fx is None and fy is None:
        return None
    fx, fy = float(fx if fx is not None else fy), float(fy if fy is not None else fx)
    cx, cy = float(frame.get("cx", width / 2)), float(frame.get("cy", height / 2))
    return [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]


def _world_to_camera(camera_to_world: Matrix, z_up: bool, name: str) -> Matrix:
    np = numpy()
    pose = np.array(camera_to_world, dtype=np.float64)
    if pose.shape != (4, 4):
        raise _invalid(name, f"the matrix is {pose.shape}")
    pose = pose * np.array(FLIP)
    if z_up:
        pose[:3] = gtr_from_blender(pose[:3].T).T
    return _rigid(np.linalg.inv(pose) if abs(np.linalg.det(pose)) > 1e-9 else None, name)


def _read_text(path: Path) -> FileCamera:
    np = numpy()
    picture = path.with_name(f"rgb_{path.stem[len('cam_') :]}.png")
    try:
        lines = path.read_text("ascii").split("\n")
        pose = np.array([[float(number) for number in line.split()] for line in lines[1:5]])
        fx, fy, cx, cy, height, width = (float(number) for number in lines[7].split())
    except (OSError, ValueError, IndexError) as error:
        raise _invalid(path.name, str(error)) from error
    if pose.shape != (4, 4):
        raise _invalid(path.name, f"the matrix is {pose.shape}")
    K = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
    return FileCamera(picture, K, _rigid(pose, path.name), int(width), int(height))


def _rigid(world_to_camera: Any, name: str) -> Matrix:
    np = numpy()
    if world_to_camera is None or not np.isfinite(world_to_camera).all():
        raise _invalid(name, "singular or not finite")
    rotation = world_to_camera[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise _invalid(name, "not a rotation")
    rows: Matrix = world_to_camera.tolist()
    return rows


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _bad(f"{path.name} cannot be opened.", str(error)) from error


def _bad(text: str, details: str = "") -> ClientError:
    return ClientError("bad_input", text, details)


def _invalid(name: str, details: str) -> ClientError:
    return ClientError("camera_invalid", details=details, values={"name": name})
