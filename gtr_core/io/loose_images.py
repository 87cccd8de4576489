"""Pictures without cameras: loose files for a named camera set, and the 3 x 2 grid of Zero123++."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import CAMERA_SETS, camera_set
from gtr_core.io.background import Background, foreground
from gtr_core.io.images import MIN_SIDE, SUFFIXES, decode_image
from gtr_core.io.posed_image import PosedImage

GRID_ROWS, GRID_COLUMNS = 3, 2
GRID_SET = "zero123plus"
DEFAULT_SET = "orthogonal"


def image_files(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order (2 before 10)."""
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES]
    return sorted(files, key=lambda path: [(not t.isdigit(), t.zfill(20)) for t in _tokens(path.stem)])


def read_loose_images(files: Sequence[Path], cameras: str | None, background: Background) -> Iterator[PosedImage]:
    """Pictures whose cameras are those of a named set.

    Each file belongs to the view that its name names (``chair_front.png``) when that holds for all of them; otherwise
    the files follow the order of the set. The views come in the order of the set.

    Args:
        files: the pictures in order.
        cameras: name of the set; None: the set whose views the names name, or ``orthogonal`` for four pictures.
        background: how to make it transparent.

    Raises:
        GtrError: ``camera_missing`` when the number does not fit the set or no set is known.
    """
    name = cameras if cameras is not None else _guess_set(files)
    if name not in CAMERA_SETS:
        camera_set(name, height=MIN_SIDE, width=MIN_SIDE)  # raises, and lists the sets
    order = _match(files, name)
    if order is None:
        if len(files) != len(CAMERA_SETS[name]):
            raise GtrError(
                ErrorCode.CAMERA_MISSING,
                f"The camera set {name} has {len(CAMERA_SETS[name])} cameras, there are {len(files)} pictures.",
                f"Choose another set ({', '.join(CAMERA_SETS)}) or put the view into each file name, as in front.png.",
            )
        order = list(range(len(files)))
    in_order = sorted(zip(order, files, strict=True))
    for index, (camera, file) in enumerate(in_order):
        rgba = foreground(decode_image(file, index=index), background, index=index, name=file.name)
        pose = camera_set(name, height=rgba.shape[0], width=rgba.shape[1])
        yield PosedImage(file.name, rgba, pose.c2w[camera], pose.intrinsics[camera])


def read_grid_image(file: Path, background: Background) -> Iterator[PosedImage]:
    """The six views of a Zero123++ grid: 3 rows, 2 columns, row-major, square tiles.

    Raises:
        GtrError: ``bad_input`` when the picture is no such grid.
    """
    grid = decode_image(file)
    side, rest = divmod(grid.shape[0], GRID_ROWS)
    if rest or grid.shape[1] != GRID_COLUMNS * side:
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"{file.name} is {grid.shape[1]} × {grid.shape[0]} pixels, no grid of 2 × 3 square views.",
            "Give a Zero123++ grid, for example 640 × 960 pixels, or a folder of pictures.",
        )
    if side < MIN_SIDE:
        raise GtrError(
            ErrorCode.IMAGE_TOO_SMALL,
            f"The views in {file.name} are only {side} × {side} pixels.",
            f"Use views of at least {MIN_SIDE} × {MIN_SIDE} pixels.",
        )
    cameras = camera_set(GRID_SET, height=side, width=side)
    for index in range(GRID_ROWS * GRID_COLUMNS):
        row, column = divmod(index, GRID_COLUMNS)
        tile = grid[row * side : (row + 1) * side, column * side : (column + 1) * side]
        name = f"view {index + 1} of {file.name}"
        rgba = foreground(tile, background, index=index, name=name)
        yield PosedImage(name, rgba, cameras.c2w[index], cameras.intrinsics[index])


def _tokens(text: str) -> list[str]:
    """Words and numbers of a name: ``Mug_front02`` -> mug, front, 2."""
    found = re.findall(r"[a-z]+|\d+", text.lower())
    return [token.lstrip("0") or "0" if token.isdigit() else token for token in found]


def _match(files: Sequence[Path], name: str) -> list[int] | None:
    """For each file the index of the view that its name names; None unless all have exactly one, each its own."""
    views = [set(_tokens(view)) for view, _, _ in CAMERA_SETS[name]]
    result = []
    for file in files:
        tokens = set(_tokens(file.stem))
        named = [index for index, words in enumerate(views) if words <= tokens]
        if len(named) != 1:
            return None
        result.append(named[0])
    return result if len(set(result)) == len(result) else None


def _guess_set(files: Sequence[Path]) -> str:
    # Bare numbers name views only in a set that is asked for: 030.png may just be the thirtieth picture.
    for name in ("orthogonal", "sphere6", "sphere14"):
        if len(files) > 1 and _match(files, name) is not None:
            return name
    if len(files) == len(CAMERA_SETS[DEFAULT_SET]):
        return DEFAULT_SET
    fitting = [name for name, views in CAMERA_SETS.items() if len(views) == len(files)]
    raise GtrError(
        ErrorCode.CAMERA_MISSING,
        f"It is not known from where the {len(files)} pictures were taken.",
        f"Name a camera set ({', '.join(fitting or CAMERA_SETS)}) or add a transforms.json.",
    )
