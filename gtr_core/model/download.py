"""Fetches one large file over HTTP: resumable, checked, and whole or not there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.atomic import making_folder, unwritable, write_atomic
from gtr_core.model.web_response import Answer, Broken, Mismatch, check_url, host, request
from gtr_core.progress import Progress, no_progress

_MEGABYTE = 1_000_000
_FRUITLESS = 3
"""So many attempts in a row may bring nothing before it is given up."""
_PAUSE = 0.5
"""Seconds before another attempt, times the number of fruitless ones."""
_RESERVE = 64 * _MEGABYTE
"""What a download leaves free on the disk."""
_BLOCK = 1 << 22
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Origin:
    """What a partial file is the beginning of; only the rest of exactly that is appended.

    Args:
        url: where it comes from.
        validator: the server's name for this version; "" if it gave none.
        size: bytes of the whole; 0 if unknown.
    """

    url: str
    validator: str
    size: int


def part_of(target: Path) -> Path:
    """Where the beginning of a file lies until the rest has come."""
    return target.with_name(target.name + ".part")


def parse_sha256(text: str) -> str:
    """A SHA-256 as 64 lower-case hexadecimal digits.

    Raises:
        GtrError: ``bad_input``.
    """
    digits = text.strip().lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(digits):
        raise GtrError(ErrorCode.BAD_INPUT, f"{text} is no SHA-256.", "A SHA-256 has 64 hexadecimal digits.")
    return digits


def download(url: str, target: Path, *, sha256: str | None, progress: Progress = no_progress) -> str:
    """Fetch a file, going on where an earlier attempt stopped.

    What has come is kept beside the target (:func:`part_of`) when the connection breaks or the caller stops; a file
    with the wrong checksum is removed. A server that cannot resume sends it from the start again. A target that is
    there already is only checked.

    Args:
        url: http or https.
        target: where to put the file; it appears when it is complete and checked.
        sha256: what its content must hash to, as :func:`parse_sha256` gives it; None checks its length only.
        progress: stages ``download`` and ``verify``, in megabytes; a total of 0 when the server does not tell the size.

    Returns:
        The SHA-256 of the file.

    Raises:
        GtrError: ``bad_input``: no such address, a broken connection, the wrong content; ``disk_full``.
        Cancelled: when ``progress`` raises it.
    """
    check_url(url)
    making_folder(target.parent)
    part = part_of(target)
    with _alone(part):
        if target.exists():  # from an earlier run; checked again like one that has just come
            target.replace(part)
        else:
            _fetch_all(url, part, progress)
        digest = hash_file(part, progress)
        if sha256 not in (None, digest):
            _discard(part)
            raise GtrError(
                ErrorCode.BAD_INPUT,
                f"What {host(url)} sent is not the file: its SHA-256 is {digest}, not {sha256}; it was removed.",
                "Compare the address and the checksum with the download page.",
            )
        part.replace(target)
        _discard(part)
    return digest


def hash_file(path: Path, progress: Progress = no_progress) -> str:
    """SHA-256 of a file; stage ``verify`` in megabytes.

    Raises:
        GtrError: ``bad_input`` when it cannot be read.
    """
    digest, done = hashlib.sha256(), 0
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                done += len(block)
                progress("verify", done // _MEGABYTE, size // _MEGABYTE)
    except OSError as error:
        raise GtrError(ErrorCode.BAD_INPUT, f"Cannot read {path}: {error.strerror}.", "Check its rights.") from error
    return digest.hexdigest()


def _fetch_all(url: str, part: Path, progress: Progress) -> None:
    """Bring the partial file to its full length, over as many connections as it takes."""
    fruitless = 0
    while True:
        before = _length(part)
        try:
            return _fetch(url, part, progress)
        except Broken as broken:
            have = _length(part)
            fruitless = 0 if have > before else fruitless + 1
            if fruitless == _FRUITLESS:
                raise GtrError(
                    ErrorCode.BAD_INPUT,
                    f"The connection to {host(url)} broke: {broken}. {have / _MEGABYTE:.1f} MB are kept.",
                    "Run the same command again to go on.",
                ) from broken
            time.sleep(_PAUSE * fruitless)


def _fetch(url: str, part: Path, progress: Progress) -> None:
    """One connection: ask for what is missing and append it.

    Raises:
        Broken: it ended too early.
    """
    origin = _read_origin(part, url)
    if origin is None or (origin.size and _length(part) > origin.size):
        _discard(part)
        origin = None
    have = _length(part)
    if origin is not None and have == origin.size:
        return
    try:
        with request(url, start=have, validator=origin.validator if origin else "") as answer:
            size = _receive(answer, url, part, have, origin, progress)
    except Mismatch as mismatch:
        if mismatch.size == have:
            return
        _discard(part)
        raise
    if size not in (0, _length(part)):
        raise Broken(f"it ended after {_length(part)} of {size} bytes")


def _receive(answer: Answer, url: str, part: Path, have: int, origin: _Origin | None, progress: Progress) -> int:
    """Append what comes, or begin anew with it; bytes of the whole, 0 if unknown."""
    have = min(have, answer.start)
    if origin is None or have == 0:
        answer.check_kind()
        origin = _Origin(url, answer.validator, answer.size)
        _check_room(part, origin.size)
        write_atomic(_origin_file(part), json.dumps(asdict(origin)).encode())
    _append(answer, part, have, origin.size, progress)
    return origin.size


def _append(answer: Answer, part: Path, have: int, size: int, progress: Progress) -> None:
    try:
        with part.open("ab" if have else "wb") as file:
            progress("download", have // _MEGABYTE, size // _MEGABYTE)
            while block := answer.read():
                file.write(block)
                have += len(block)
                progress("download", have // _MEGABYTE, size // _MEGABYTE)
            progress("download", have // _MEGABYTE, (size or have) // _MEGABYTE)
    except OSError as error:
        raise unwritable(part, error) from error


def _check_room(part: Path, size: int) -> None:
    free = shutil.disk_usage(part.parent).free + _length(part)
    if size + _RESERVE > free:
        raise GtrError(
            ErrorCode.DISK_FULL,
            f"The file has {size / _MEGABYTE:.0f} MB, but {part.parent} has room for {free / _MEGABYTE:.0f} MB.",
            "Make room there, or set GTR_MODELS to a folder on another disk.",
        )


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """One download of a file at a time."""
    lock = FileLock(part.with_name(f".{part.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"{part.name} is being downloaded already.", "Wait for the other command to end."
        ) from error
    except OSError as error:
        raise unwritable(part, error) from error
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _origin_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_origin(part: Path, url: str) -> _Origin | None:
    """The origin of the partial file; None if there is none, or it began at another address."""
    try:
        values = json.loads(_origin_file(part).read_bytes())
        origin = _Origin(str(values["url"]), str(values["validator"]), int(values["size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return origin if origin.url == url and part.exists() else None


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _origin_file(part).unlink(missing_ok=True)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
