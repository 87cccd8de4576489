"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import secrets
from pathlib import Path

from gtr_core.errors import ErrorCode, GtrError


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file under another name beside it and put it in place when it is whole; an older one is replaced.

    Raises:
        GtrError: ``bad_input`` when the folder is missing or cannot be written, ``disk_full``.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def making_folder(folder: Path) -> None:
    """Make a folder with its parents.

    Raises:
        GtrError: ``bad_input`` when it cannot be made, ``disk_full``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(path: Path, error: OSError) -> GtrError:
    """The sentence for a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GtrError(ErrorCode.DISK_FULL, f"The disk is full: {path.name} was not written.", "Make room on it.")
    if not path.parent.is_dir():
        return GtrError(ErrorCode.BAD_INPUT, f"The folder {path.parent} does not exist.", "Make it or choose another.")
    return GtrError(ErrorCode.BAD_INPUT, f"Cannot write {path}: {error.strerror}.", "Choose another folder.")
