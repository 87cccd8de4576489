"""Opens a checkpoint in PyTorch's own format and takes the two state dicts of the released GTR out of it.

PyTorch's format is a pickle: reading one can run code that the file contains. So this module runs in a process of its
own (:mod:`gtr_core.model.convert_child`), and it lets PyTorch build nothing but tensors and plain containers unless the
user says otherwise.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.convert_child import RISK
from gtr_core.model.official_layout import PARTS
from gtr_core.progress import Progress

Container = Literal["zip", "pickle"]
StateDict = dict[str, Tensor]

_READ = 1 << 22
_MEGABYTE = 1_000_000
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_GLOBAL = re.compile(r"GLOBAL (\S+)")
_AGAIN = "Get the file again."
_NAMED = 5
"""So many names are listed in a message."""
_PROGRAM_MODULES = ("os", "posix", "nt", "subprocess", "socket", "shutil", "pty", "runpy", "importlib", "ctypes", "sys")
_PROGRAM_FUNCTIONS = ("eval", "exec", "compile", "open", "__import__", "getattr", "breakpoint", "input")


def recognise(path: Path) -> Container:
    """Which of PyTorch's two containers this is, told from the first bytes and, for an archive, from its last ones.

    Raises:
        GtrError: ``bad_input``: it cannot be read, is empty, cut off, or something else altogether.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"Cannot read {path}: {error.strerror}.", "Give the path of the checkpoint."
        ) from error
    foreign = _foreign(head)
    if foreign:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"{path.name} is {foreign}, not a PyTorch checkpoint.", "Give the .pth file itself."
        )
    if head[:2] == b"PK":
        _check_archive(path)
        return "zip"
    return "pickle"


def fingerprint(path: Path, container: Container, progress: Progress) -> str:
    """SHA-256 of the file; an archive's own checksums are compared on the way.

    Raises:
        GtrError: ``bad_input`` when the content does not agree with the archive's checksums.
    """
    size = path.stat().st_size
    rounds = 2 if container == "zip" else 1
    digest, done = sha256(), 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        progress("verify", done // rounds // _MEGABYTE, size // _MEGABYTE)

    with path.open("rb") as file:
        while block := file.read(_READ):
            digest.update(block)
            step(len(block))
    if container == "zip":
        _check_records(path, size, step)
    progress("verify", size // _MEGABYTE, size // _MEGABYTE)
    return digest.hexdigest()


def read_state_dicts(path: Path, container: Container, *, trust_pickle: bool) -> dict[str, StateDict]:
    """The parts ``field`` and ``generator``; the tensors of an archive stay on the disk until they are used.

    Raises:
        GtrError: ``bad_input``: it holds types other than tensors (they are named), cannot be read, or is foreign.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # what matters comes as an error
            content = torch.load(path, map_location="cpu", mmap=container == "zip", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        raise _refusal(path, container, str(error)) from error
    except ModuleNotFoundError as error:
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"{path.name} holds objects of the Python package {error.name}, which is not installed.",
            "Install it, or give a checkpoint of weights alone.",
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError, IndexError, TypeError, AttributeError, OSError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}" if trust_pickle else "") from error
    return _parts(path, content)


def _foreign(head: bytes) -> str:
    """What a file is that starts like this; "" if it may be a checkpoint."""
    text = head.lstrip().lower()
    if not head:
        return "an empty file"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page (the download gave its landing page instead of the file)"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (the file itself was not fetched)"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 30:
        return "a .safetensors file"
    if head[:2] != b"PK" and head[:1] != b"\x80":
        return "of an unknown kind"
    return ""


def _check_archive(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise GtrError(ErrorCode.BAD_INPUT, f"{path.name} is cut off: its end is missing.", _AGAIN)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not any(name.count("/") == 1 and name.endswith("/data.pkl") for name in names) or any(
        name.endswith("/constants.pkl") for name in names
    ):
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"{path.name} is another kind of archive, not a PyTorch checkpoint.",
            "Give the .pth file itself.",
        )


def _check_records(path: Path, size: int, step: Callable[[int], None]) -> None:
    """Compare the checksum of each record; a file of which none agrees was written without them."""
    wrong = right = 0
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if sum(record.file_size for record in records) > size or any(
            record.compress_type != zipfile.ZIP_STORED for record in records
        ):
            raise _unreadable(path)  # PyTorch neither compresses nor overlaps records; reading such could take for ever
        for record in records:
            try:
                with archive.open(record) as file:
                    while block := file.read(_READ):
                        step(len(block))
                right += 1
            except (zipfile.BadZipFile, EOFError):
                wrong += 1
    if wrong and right:
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"{path.name} is damaged: {wrong} of its {wrong + right} records disagree with their checksums.",
            _AGAIN,
        )


def _refusal(path: Path, container: Container, report: str) -> GtrError:
    """The sentence for what PyTorch refused to build."""
    names = _refused_types(path, container, report)
    if not names:
        return _unreadable(path)
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    message = f"{path.name} holds other Python objects than tensors: {named}."
    if any(_is_hostile(name) for name in names):
        return GtrError(
            ErrorCode.BAD_INPUT, message, "No checkpoint needs that: it would run a program. Do not open this file."
        )
    return GtrError(ErrorCode.BAD_INPUT, message, f"gtr convert --trust-pickle loads it all the same; {RISK}.")


def _refused_types(path: Path, container: Container, report: str) -> list[str]:
    found = [_with_module(name.rstrip(".,;:'")) for name in _GLOBAL.findall(report)]
    if found and container == "zip":
        with suppress(RuntimeError, ValueError, KeyError, pickle.UnpicklingError):  # then only the first one is known
            found = [*found, *torch.serialization.get_unsafe_globals_in_checkpoint(str(path))]
    return list(dict.fromkeys(found))


def _with_module(name: str) -> str:
    """PyTorch leaves the module of Python's own functions away, or gives it the name of Python 2."""
    return f"builtins.{name.removeprefix('__builtin__.')}" if name.rpartition(".")[0] in ("", "__builtin__") else name


def _is_hostile(name: str) -> bool:
    module, _, function = name.rpartition(".")
    return module.split(".")[0] in _PROGRAM_MODULES or (module == "builtins" and function in _PROGRAM_FUNCTIONS)


def _parts(path: Path, content: object) -> dict[str, StateDict]:
    top = _entries(path, content, "the file")
    if "pipeline" not in top:
        raise _foreign_content(path, f"it lacks the entry pipeline and holds {_listed(top)}")
    pipeline = _entries(path, top["pipeline"], "pipeline")
    missing = [part for part in PARTS if part not in pipeline]
    if missing:
        raise _foreign_content(path, f"its pipeline lacks {' and '.join(missing)} and holds {_listed(pipeline)}")
    return {part: _state_dict(path, part, pipeline[part]) for part in PARTS}


def _state_dict(path: Path, part: str, value: object) -> StateDict:
    entries = _entries(path, value, part)
    for key, tensor in entries.items():
        name = f"{part}.{key}"
        if not isinstance(tensor, Tensor):
            raise _foreign_content(path, f"{name} is no tensor but a {type(tensor).__name__}")
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise _foreign_content(path, f"{name} is no plain tensor")
        if tensor.dtype not in _DTYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise _foreign_content(path, f"{name} is {kind}, not float32, float16 or bfloat16")
    return {key: tensor.detach() for key, tensor in entries.items() if isinstance(tensor, Tensor)}


def _entries(path: Path, value: object, what: str) -> dict[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _foreign_content(path, f"{what} is no table of named entries but a {type(value).__name__}")
    return dict(value)


def _listed(entries: Mapping[str, object]) -> str:
    names = [str(name)[:40] for name in list(entries)[:_NAMED]]
    return (", ".join(names) + (" ..." if len(entries) > _NAMED else "")) or "nothing"


def _unreadable(path: Path, reason: str = "") -> GtrError:
    reason = " ".join(reason.split())[:300] or "it is cut off or damaged"
    return GtrError(ErrorCode.BAD_INPUT, f"{path.name} cannot be read: {reason}.", _AGAIN)


def _foreign_content(path: Path, what: str) -> GtrError:
    return GtrError(
        ErrorCode.BAD_INPUT,
        f"{path.name} is not a checkpoint of the released GTR: {what}.",
        "Give the file that Snap offers for download.",
    )
