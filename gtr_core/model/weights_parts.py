"""Weights in several files: parts beside an index, as Hugging Face lays them out. Light: no torch.

``NAME-00001-of-00003.safetensors`` and its likes hold some of the tensors each, ``NAME.safetensors.index.json`` says
which are where. Whoever has the parts may name the index or any of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.progress import Progress, no_progress

INDEX = ".index.json"
"""Comes after the name that the file would have in one piece."""
_PART = re.compile(r"(?P<name>.+)-\d{5}-of-(?P<count>\d{5})\.safetensors")
_MAX_INDEX = 8 << 20
"""Bytes."""


def part_name(name: str, number: int, count: int) -> str:
    """Name of a part, counted from 1, of the weights ``name``."""
    return f"{name}-{number:05d}-of-{count:05d}.safetensors"


def is_part(path: Path) -> bool:
    """Whether a file is called like one of several parts."""
    return _PART.fullmatch(path.name) is not None


def index_of(path: Path) -> Path:
    """The index that stands for a file of weights when this is in parts."""
    return path.with_name(path.name + INDEX)


def weight_files(path: Path) -> list[Path]:
    """The files that hold a network, in the order of their names.

    Args:
        path: a file of weights, the index of one in parts, or one of the parts.

    Raises:
        GtrError: ``model_unavailable`` when an index cannot be read or a part is missing.
    """
    if path.name.endswith(INDEX):
        return _checked(path, [path.with_name(name) for name in _named_by(path)])
    found = _PART.fullmatch(path.name)
    if found is None:
        return [path]
    count = int(found["count"])
    return _checked(path, [path.with_name(part_name(found["name"], k + 1, count)) for k in range(min(count, 10_000))])


def hash_weights(path: Path, progress: Progress = no_progress) -> str:
    """SHA-256 of a file of weights; of weights in parts, that of the parts' checksums.

    Raises:
        GtrError: ``bad_input`` when a file cannot be read, ``model_unavailable`` as :func:`weight_files`.
    """
    from gtr_core.model.download import hash_file  # late: what a training imports shall stay little

    files = weight_files(path)
    if files == [path]:
        return hash_file(path, progress)
    return hashlib.sha256("".join(hash_file(file, progress) for file in files).encode()).hexdigest()


def _named_by(index: Path) -> list[str]:
    """Names of the parts that an index knows."""
    try:
        if index.stat().st_size > _MAX_INDEX:
            raise ValueError("too large")
        names = set(json.loads(index.read_bytes())["weight_map"].values())
    except FileNotFoundError as error:
        raise _unavailable(f"There is no index of weights at {index}.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unavailable(f"The index of weights {index.name} cannot be read.") from error
    # an index is data of others: it shall not lead out of its folder
    if not names or not all(isinstance(name, str) and _is_plain(name) for name in names):
        raise _unavailable(f"The index of weights {index.name} names no files beside it.")
    return sorted(names)


def _is_plain(name: str) -> bool:
    return name.endswith(".safetensors") and not name.startswith(".") and not set(name) & set("/\\:\0")


def _checked(path: Path, parts: list[Path]) -> list[Path]:
    missing = [part.name for part in parts if not part.is_file()]
    if missing or not parts:
        raise _unavailable(f"The weights {path.name} lack {', '.join(missing[:3]) or 'all parts'} in {path.parent}.")
    return parts


def _unavailable(message: str) -> GtrError:
    return GtrError(ErrorCode.MODEL_UNAVAILABLE, message, "Put all parts and their index into one folder.")
