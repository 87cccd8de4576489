"""Bare ``.npy`` arrays, read strictly: the only binary arrays that are accepted from outside."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gtr_core.errors import ErrorCode, GtrError

MAX_HEADER_BYTES = 4096
"""A header of an array of numbers is about 100 bytes long."""


def read_npy(source: bytes | Path, dtype: DTypeLike, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Read one array of a known type and shape; pickled objects are never loaded.

    Args:
        source: contents of a ``.npy`` file, or its path.
        dtype: the type of the numbers; the byte order must be the machine's own.
        shape: the shape; None leaves that dimension open.

    Returns:
        A writable array in C order.

    Raises:
        GtrError: ``bad_input`` when the header does not say exactly this or the length is not what the header says.
    """
    name = source.name if isinstance(source, Path) else "The array"
    data = _read(source) if isinstance(source, Path) else source
    stream = io.BytesIO(data)
    found_shape, fortran, found_type = _header(stream, name)
    expected = np.dtype(dtype)
    if found_type != expected or found_type.hasobject:
        raise _bad(f"{name} holds {found_type} numbers, expected {expected}.")
    fits = len(found_shape) == len(shape) and all(
        want in (None, have) for have, want in zip(found_shape, shape, strict=True)
    )
    if not fits:
        raise _bad(f"{name} has the shape {_text(found_shape)}, expected {_text(shape)}.")
    size = expected.itemsize
    for length in found_shape:
        size *= length
    rest = len(data) - stream.tell()
    if rest != size:
        raise _bad(f"{name} holds {rest} bytes of numbers, its header promises {size}.")
    flat = np.frombuffer(data, dtype=expected, offset=stream.tell())
    return np.array(flat.reshape(found_shape, order="F" if fortran else "C"), order="C")


def write_npy(array: NDArray[Any]) -> bytes:
    """Contents of the ``.npy`` file of an array of numbers."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _bad(f"{path.name} cannot be read: {error.strerror}.") from error


def _header(stream: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    numpy_format: Any = np.lib.format  # untyped in NumPy
    readers = {(1, 0): numpy_format.read_array_header_1_0, (2, 0): numpy_format.read_array_header_2_0}
    try:
        version = numpy_format.read_magic(stream)
        shape, fortran, dtype = readers[version](stream, max_header_size=MAX_HEADER_BYTES)
    except (ValueError, KeyError, EOFError) as error:
        raise _bad(f"{name} is not a NumPy array file.") from error
    if any(length < 0 for length in shape):
        raise _bad(f"{name} is not a NumPy array file.")
    return shape, fortran, dtype


def _text(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if length is None else str(length) for length in shape) or "()"


def _bad(message: str) -> GtrError:
    return GtrError(ErrorCode.BAD_INPUT, message, "Write the array again with numpy.save.")
