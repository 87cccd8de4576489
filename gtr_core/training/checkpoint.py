"""Checkpoints: all that a run needs to go on as if it had never stopped.

No state of random numbers is among it: every random choice is a function of the run's seed and of the number of the
sample, and the position in the data is a number.
"""

from __future__ import annotations

import os
import pickle
import secrets
import zipfile
from pathlib import Path
from typing import Any

import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.atomic import making_folder, unwritable

FORMAT = 1
KEPT = 2
"""Checkpoints of a run that are kept: the last one, and one before it."""
_SUFFIX = ".pt"


def save_checkpoint(folder: Path, state: dict[str, Any], *, name: str | None = None) -> Path:
    """Write a checkpoint; it appears when it is whole and on the disk. Older ones than the last two are removed.

    Args:
        folder: of the checkpoints; made if need be.
        state: tensors, numbers, words, lists and tables of these, with the entry ``step``.
        name: of a checkpoint that is not in the sequence; None numbers it by its step.

    Raises:
        GtrError: ``bad_input`` when it cannot be written, ``disk_full``.
    """
    making_folder(folder)
    path = folder / f"{name or format(state['step'], '08d')}{_SUFFIX}"
    part = folder / f".{path.name}.{secrets.token_hex(4)}.part"
    try:
        with part.open("xb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch tells of a full disk by RuntimeError
        raise unwritable(path, error if isinstance(error, OSError) else OSError(None, str(error))) from error
    finally:
        part.unlink(missing_ok=True)
    for old in _numbered(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the highest step; None without any."""
    numbered = _numbered(folder)
    return numbered[-1] if numbered else None


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What :func:`save_checkpoint` wrote. No code of the file is run.

    Raises:
        GtrError: ``model_unavailable`` when the file is damaged or of another version.
    """
    try:
        state: Any = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"The checkpoint {path} cannot be read.",
            "Remove it to go on from the one before.",
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"{path} is no checkpoint of this version of GTR.", "")
    return state


def _numbered(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"[0-9]*{_SUFFIX}") if path.stem.isdecimal())
