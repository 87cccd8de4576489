"""Views from and to files: recognises the form and hands over to the reader of that form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.arrays import write_npy
from gtr_core.io.atomic import making_folder, write_atomic
from gtr_core.io.background import Background
from gtr_core.io.camera_text import holds_camera_text, read_camera_text
from gtr_core.io.images import encode_png
from gtr_core.io.loose_images import GRID_SET, image_files, read_grid_image, read_loose_images
from gtr_core.io.nerf_transforms import FILE_NAME, OPENGL_FROM_OPENCV, read_transforms
from gtr_core.io.posed_image import PosedImage, assemble
from gtr_core.views import Views

AUTO = Background("auto")


def read_views(
    path: Path,
    *,
    cameras: str | None = None,
    background: Background = AUTO,
    size: int | None = None,
    max_size: int | None = None,
) -> Views:
    """Read the views of one object.

    Args:
        path: a folder with ``transforms.json`` (or that file), a folder with ``rgb_*.png`` and ``cam_*.txt``, a
            folder of loose pictures, or one Zero123++ grid picture.
        cameras: name of the camera set of loose pictures; None takes it from the file names, or ``orthogonal`` for
            four.
        background: how to make the background transparent.
        size: longer side of the result in pixels; None keeps the most frequent size. Pictures of other sizes are
            resampled, with their cameras.
        max_size: largest longer side that is kept when there is no ``size``; None for no limit.

    Raises:
        GtrError: for everything that can be wrong with the files, with the name of the file at fault.
    """
    return assemble(_read(Path(path), cameras, background), size, max_size=max_size)


def write_views(views: Views, folder: Path) -> None:
    """Write ``transforms.json`` (``"world_up": "y"``), 8-bit RGBA pictures, and depth and normals as float32 arrays.

    Raises:
        GtrError: ``bad_input`` when the folder cannot be written, ``disk_full``.
    """
    making_folder(folder)
    frames = []
    for index in range(len(views)):
        fx, fy, cx, cy = views.cameras.intrinsics[index].tolist()
        frame: dict[str, object] = {
            "file_path": f"view_{index:03d}.png",
            "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy,
            "transform_matrix": (views.cameras.c2w[index].cpu() * OPENGL_FROM_OPENCV).tolist(),
        }  # fmt: skip
        write_atomic(folder / f"view_{index:03d}.png", encode_png(views.rgba[index]))
        for channel, values in (("depth", views.depth), ("normal", views.normal)):
            if values is not None:
                frame[f"{channel}_file_path"] = f"{channel}_{index:03d}.npy"
                write_atomic(folder / f"{channel}_{index:03d}.npy", write_npy(values[index].cpu().float().numpy()))
        frames.append(frame)
    document = {"world_up": "y", "w": views.cameras.width, "h": views.cameras.height, "frames": frames}
    write_atomic(folder / FILE_NAME, json.dumps(document, indent=1).encode())


def _read(path: Path, cameras: str | None, background: Background) -> Iterator[PosedImage]:
    if not path.exists():
        raise GtrError(ErrorCode.BAD_INPUT, f"{path} does not exist.", "Check the path of the pictures.")
    if path.is_dir():
        return _read_folder(path, cameras, background)
    if path.suffix.lower() == ".json":
        return read_transforms(path, background)
    return _read_grid(path, cameras, background)


def _read_folder(folder: Path, cameras: str | None, background: Background) -> Iterator[PosedImage]:
    if cameras is None and (folder / FILE_NAME).is_file():
        return read_transforms(folder / FILE_NAME, background)
    if cameras is None and holds_camera_text(folder):
        return read_camera_text(folder, background)
    files = image_files(folder)
    if not files:
        raise GtrError(
            ErrorCode.TOO_FEW_VIEWS, f"There are no pictures in {folder}.", "Put PNG, JPEG or WebP pictures there."
        )
    if len(files) == 1:
        return _read_grid(files[0], cameras, background)
    return read_loose_images(files, cameras, background)


def _read_grid(file: Path, cameras: str | None, background: Background) -> Iterator[PosedImage]:
    if cameras not in (None, GRID_SET):
        raise GtrError(
            ErrorCode.CAMERA_MISSING,
            f"{file.name} is one picture, the camera set {cameras} needs several.",
            f"Give a folder of pictures, or a grid picture with the set {GRID_SET}.",
        )
    return read_grid_image(file, background)
