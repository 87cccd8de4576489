"""The curves of a run: a CSV file, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gtr_core.io.atomic import unwritable

TERMS = ("rgb", "lpips", "ssim", "gradient", "mask", "depth", "opacity", "normal", "tsdf", "point_color", "sign")
STATE = ("rescue", "lost")
COLUMNS = (
    *("step", "samples", "seconds", "samples_per_second", "learning_rate", "gradient_norm", "skipped", "loss"),
    *TERMS,
    *STATE,
    "validation_psnr",
)
"""Of the CSV file: places in the run, the loss and its terms without weights, and the PSNR of new views in dB."""


class TrainingLog:
    """Writes rows.

    Args:
        folder: of the run; ``log.csv`` is written there, and TensorBoard's files into ``tensorboard``.
        last_step: rows of later steps, which a run left that was stopped after its last checkpoint, are taken out.

    Raises:
        GtrError: ``bad_input`` when the folder cannot be written, ``disk_full``.
    """

    def __init__(self, folder: Path, last_step: int) -> None:
        self._path = folder / "log.csv"
        self._rewrite([row for row in read_log(folder) if row["step"] <= last_step])
        self._board = _board(folder / "tensorboard", last_step)

    def write(self, row: dict[str, float]) -> None:
        """Add a row; its names are among :data:`COLUMNS`."""
        try:
            with self._path.open("a", newline="") as file:
                csv.DictWriter(file, COLUMNS).writerow({name: _text(value) for name, value in row.items()})
        except OSError as error:
            raise unwritable(self._path, error) from error
        if self._board is not None:
            for name, value in row.items():
                self._board.add_scalar(name, value, int(row["step"]))

    def picture(self, picture: Image.Image, step: int) -> None:
        """Show a picture to those who look on with TensorBoard."""
        if self._board is not None:
            self._board.add_image("pictures", np.asarray(picture), step, dataformats="HWC")

    def close(self) -> None:
        """Finish TensorBoard's files."""
        if self._board is not None:
            self._board.close()

    def _rewrite(self, rows: list[dict[str, float]]) -> None:
        try:
            with self._path.open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
        except OSError as error:
            raise unwritable(self._path, error) from error


def read_log(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's CSV file; empty cells are left out, and so is a last row that was cut off."""
    path = folder / "log.csv"
    if not path.is_file():
        return []
    rows = []
    with path.open(newline="") as file:
        for cells in csv.DictReader(file):
            try:
                rows.append({name: float(cell) for name, cell in cells.items() if cell})
            except (TypeError, ValueError):
                break
    return [row for row in rows if "step" in row]


def _text(value: float) -> str:
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e15):
        return str(int(value))
    return f"{value:.9g}"


def _board(folder: Path, last_step: int) -> Any:
    """TensorBoard's writer; None without its package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    writer: Any = SummaryWriter(str(folder), purge_step=last_step + 1)
    return writer


class Means:
    """Means of what the steps since the last row told."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: dict[str, float]) -> None:
        """Values of one step; a name that is missing in a step does not count there."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means; starts anew."""
        means = {name: self._sums[name] / self._counts[name] for name in self._sums}
        self._sums, self._counts = {}, {}
        return means
