"""The folder of weights: which models there are, and which of them can run. Light: no torch."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.atomic import write_atomic
from gtr_core.model.configs import CONFIGS
from gtr_core.model.official_layout import LICENCE, PRESET
from gtr_core.model.weights_header import read_header
from gtr_core.model.weights_parts import INDEX, hash_weights, index_of, is_part, weight_files
from gtr_core.progress import Progress, no_progress

State = Literal["built in", "ready", "missing", "broken"]

SUFFIX = ".safetensors"
_FIT, _OWN_LICENCE = "fit", "Apache-2.0"
_ONLY_WITH_WEIGHTS = ("gtr-smoke", "gtr-tiny")
"""Presets to try training with, of which nobody misses the weights."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHECKSUMS = ".checksums.json"
_MAX_HEADER = 8 << 20
"""Bytes; the released network's table of contents has 50 thousand."""


@dataclass(frozen=True)
class ModelEntry:
    """One model that the user can name.

    Args:
        name: what to name it by: its preset, or its file's name without ``.safetensors``.
        preset: whose behaviour it has; "" when its file is broken and no preset has that name.
        path: its file; None when there is none.
        bytes: size of the file; 0 without one.
        sha256: checksum of the file; "" without one, or when it was not asked for and is not known.
        licence: of the weights; "" if unknown.
        state: ``built in`` (needs no file), ``ready``, ``missing``, ``broken``.
        reason: why it is missing or broken, and what to do; "" otherwise.
    """

    name: str
    preset: str
    path: Path | None
    bytes: int
    sha256: str
    licence: str
    state: State
    reason: str = ""


def models_folder() -> Path:
    """``$GTR_MODELS``, else ``models`` in ``$GTR_HOME``, else ``~/.gtr/models``; it need not exist."""
    chosen = os.environ.get("GTR_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("GTR_HOME") or Path.home() / ".gtr") / "models"


def weights_path(name: str) -> Path:
    """Where the weights of a preset, or of a model that the user named so, have to lie when they are one file.

    Raises:
        GtrError: ``model_unavailable`` when this cannot be a name.
    """
    if not _NAME.fullmatch(name):
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE, f"{name!r} is no name of a model.", "gtr models lists the ones there are."
        )
    return models_folder() / f"{name}{SUFFIX}"


def find_weights(name: str) -> Path:
    """The file of weights of a preset, or of this name in the models folder; the index of weights in parts.

    Raises:
        GtrError: ``model_unavailable`` when it is not there, saying where it was looked for and what to do.
    """
    path = _whole_or_index(name)
    if not path.is_file():
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"There are no weights of {name} in {path.parent}.", _remedy(name))
    return path


def _whole_or_index(name: str) -> Path:
    path = weights_path(name)
    return index_of(path) if not path.exists() and index_of(path).exists() else path


def list_models(*, checksums: bool = True, progress: Progress = no_progress) -> list[ModelEntry]:
    """``fit``, the presets with weights, and whatever else lies in the models folder.

    Args:
        checksums: whether to compute what is not known yet; it reads every new file once (a second per gigabyte or
            so). Known ones are kept in the folder and hold as long as size and time of a file are the same.
        progress: stage ``verify``, in megabytes of a file.

    Raises:
        Cancelled: when ``progress`` raises it.
    """
    ledger = _Ledger(models_folder())
    entries = [ModelEntry(_FIT, _FIT, None, 0, "", _OWN_LICENCE, "built in")]
    names = [name for name in CONFIGS if name not in _ONLY_WITH_WEIGHTS]
    whole = {path.stem for path in models_folder().glob(f"[!.]*{SUFFIX}") if not is_part(path)}
    in_parts = {path.name.removesuffix(SUFFIX + INDEX) for path in models_folder().glob(f"[!.]*{SUFFIX}{INDEX}")}
    names += sorted((whole | in_parts) - set(names))
    entries += [_entry(name, ledger, checksums, progress) for name in names if _NAME.fullmatch(name)]
    ledger.save()
    return entries


def _entry(name: str, ledger: _Ledger, checksums: bool, progress: Progress) -> ModelEntry:
    path, preset = _whole_or_index(name), name if name in CONFIGS else ""
    if not path.exists():
        licence = LICENCE if name == PRESET else ""
        return ModelEntry(name, preset, None, 0, "", licence, "missing", _remedy(name))
    try:
        files = weight_files(path)
        for file in files:
            _check_header_length(file)
        header = read_header(path)
        digest = ledger.digest(path, progress if checksums else None)
        size = sum(file.stat().st_size for file in files)
    except (GtrError, OSError) as error:
        size = path.stat().st_size if path.is_file() else 0
        return ModelEntry(name, preset, path, size, "", "", "broken", str(error))
    return ModelEntry(name, header.preset, path, size, digest, header.licence, "ready")


def _check_header_length(path: Path) -> None:
    """A table of contents that is not a network's takes seconds to read: 200,000 tensors, for example."""
    if not path.is_file():
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"{path.name} is no file.", "Remove it.")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if _MAX_HEADER < length < path.stat().st_size:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{path.name} has a table of contents of {length / 1e6:.0f} MB, which is no network's.",
            "Remove it.",
        )


def _remedy(name: str) -> str:
    if name == PRESET:
        return "Get them with gtr download, or convert a checkpoint with gtr convert; the preset fit needs none."
    return "Put them there, or use the preset fit, which needs none."


class _Ledger:
    """Checksums of the files in a folder, remembered by size and time of change."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _CHECKSUMS
        self._known: dict[str, str] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            values = json.loads(self._file.read_bytes())
            if isinstance(values, dict):
                self._known = {str(key): str(value) for key, value in values.items()}

    def digest(self, path: Path, progress: Progress | None) -> str:
        """SHA-256 of a file; "" if it is not known and ``progress`` is None."""
        status = [file.stat() for file in weight_files(path)]
        key = f"{path.name}:{sum(s.st_size for s in status)}:{max(s.st_mtime_ns for s in status)}"
        if key not in self._known and progress is not None:
            stale = [known for known in self._known if known.startswith(f"{path.name}:")]
            for known in stale:
                del self._known[known]
            self._known[key] = hash_weights(path, progress)
            self._changed = True
        return self._known.get(key, "")

    def save(self) -> None:
        """Keep what was computed; a folder that cannot be written only costs the time again."""
        if self._changed:
            with suppress(GtrError):
                write_atomic(self._file, json.dumps(self._known, indent=1, sort_keys=True).encode())
