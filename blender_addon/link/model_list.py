"""The models that the server can use, and the folder of their files on this computer. No bpy."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ClientError
from .server_files import home_folder

FIT = "fit"
"""The model without weights: always there."""
SUFFIX = ".safetensors"
_PICKLES = (".pth", ".pt", ".ckpt", ".bin")
_STATES = ("ready", "absent", "invalid")


@dataclass(frozen=True)
class ModelInfo:
    """One model as the server lists it.

    Args:
        id: what a job names: a preset, or a file in the models folder without its suffix.
        state: ``ready``, ``absent`` (no file), ``invalid`` (a file that cannot be used) or ``unknown`` (no server has
            been asked yet).
        preset: the way to reconstruct that it belongs to.
        text: why it is not ready, for the user.
        bytes: size of its file, 0 without one.
    """

    id: str
    state: str
    preset: str
    text: str = ""
    bytes: int = 0

    @property
    def usable(self) -> bool:
        """Whether a job may name it, as far as is known."""
        return self.state in ("ready", "unknown")

    @property
    def learned(self) -> bool:
        """Whether a trained network makes the surface."""
        return self.preset != FIT


KNOWN = (ModelInfo(FIT, "ready", FIT), *(ModelInfo(n, "unknown", n) for n in ("gtr-release", "gtr-paper", "gtr-mini")))
"""What is offered while no server has said more."""


def read_models(info: Mapping[str, Any]) -> tuple[ModelInfo, ...]:
    """The models of an answer of GET /server; what is malformed in it is left out."""
    entries = info.get("models")
    found = []
    for entry in entries[:200] if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or entry.get("state") not in _STATES:
            continue
        size, text, preset = entry.get("bytes"), entry.get("detail"), entry.get("preset")
        found.append(
            ModelInfo(
                _line(entry["id"], 128),
                entry["state"],
                _line(preset, 128) if isinstance(preset, str) else entry["id"],
                _line(text, 240) if isinstance(text, str) else "",
                size if isinstance(size, int) and size > 0 else 0,
            )
        )
    return tuple(found)


def models_folder() -> Path:
    """Where a server that this Blender starts looks for model files: ``GTR_MODELS``, else ``models`` in its home."""
    return Path(os.environ.get("GTR_MODELS") or home_folder() / "models")


def add_model_file(path: Path, folder: Path) -> str:
    """Make a file of weights known to the server; returns the name by which a job asks for it.

    It is linked into the models folder, or copied where links are impossible, and never overwrites another file.

    Args:
        path: the file that the user chose.
        folder: the models folder.

    Raises:
        ClientError: ``checkpoint_format`` for a file that must be converted first, ``missing_weights`` when it is not
            there, ``folder_denied``.
    """
    if path.suffix.lower() in _PICKLES:
        raise ClientError("checkpoint_format", details=str(path))
    if path.suffix.lower() != SUFFIX or not path.is_file():
        raise ClientError("missing_weights", f"{path.name or 'That'} is no model file ({SUFFIX}).")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = _free_name(path, folder)
        if not target.exists():
            _bring(path, target)
    except OSError as error:
        raise ClientError("folder_denied", details=str(error), values={"folder": folder}) from error
    return target.stem


def _free_name(path: Path, folder: Path) -> Path:
    """Where the file goes, or where it lies already."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", path.stem)[:90].lstrip("._-") or "model"
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}_{number}"
        target = folder / f"{name}{SUFFIX}"
        if not target.exists() or target.samefile(path):
            return target
        number += 1


def _bring(path: Path, target: Path) -> None:
    target.unlink(missing_ok=True)  # a link whose file is gone
    for way in (os.link, os.symlink):
        try:
            way(path.resolve(), target)
        except OSError:
            continue  # another disk, or no right to link: the next way
        return
    part = target.with_suffix(".part")
    shutil.copyfile(path, part)
    part.replace(target)


def _line(text: str, limit: int) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:limit]
