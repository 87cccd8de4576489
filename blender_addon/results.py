"""Reading the server's arrays. Whatever comes is checked before any of it is used."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from .errors import ClientError
from .packages import numpy
from .values import MeshResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_VERTICES, MAX_FACES = 5_000_000, 10_000_000
"""More than any preset makes; a bound for what a broken answer can make us allocate."""
_HEADER_ALLOWANCE = 4096
_PNG = b"\x89PNG\r\n\x1a\n"


def read_mesh(data: bytes) -> MeshResult:
    """The mesh in a ``mesh.npz``.

    Args:
        data: npz with vertices float32 (N,3), faces int32 (M,3), colors uint8 (N,3).

    Raises:
        ClientError: ``bad_reply`` with the reason, when any of it is not as agreed.
    """
    arrays = _read_npz(
        data,
        {"vertices": ("<f4", MAX_VERTICES), "faces": ("<i4", MAX_FACES), "colors": ("|u1", MAX_VERTICES)},
    )
    np = numpy()
    vertices, faces, colors = arrays["vertices"], arrays["faces"], arrays["colors"]
    if len(vertices) == 0 or len(faces) == 0:
        raise _bad("the mesh is empty")
    if len(colors) != len(vertices):
        raise _bad(f"{len(colors)} colours for {len(vertices)} vertices")
    if not np.isfinite(vertices).all():
        raise _bad("a vertex is not finite")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise _bad("a face names a vertex that does not exist")
    return MeshResult(vertices, faces, colors)


def read_colors(data: bytes, expected: int | None = None) -> NDArray[np.uint8]:
    """The colours in a ``colors.npz``: (N,3) uint8 sRGB.

    Args:
        data: npz with one member ``colors``.
        expected: number of colours that must be there, None = any.

    Raises:
        ClientError: ``bad_reply``.
    """
    colors: NDArray[np.uint8] = _read_npz(data, {"colors": ("|u1", MAX_VERTICES)})["colors"]
    if expected is not None and len(colors) != expected:
        raise _bad(f"{len(colors)} colours for {expected} points")
    return colors


def check_mask(data: bytes) -> bytes:
    """An 8-bit grey PNG, judged by its header.

    Raises:
        ClientError: ``bad_reply`` when it is something else.
    """
    if len(data) < 33 or not data.startswith(_PNG) or data[12:16] != b"IHDR":
        raise _bad("a mask is not a PNG")
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    if (depth, kind) != (8, 0) or not 0 < width * height <= 64_000_000:
        raise _bad("a mask is not an 8-bit grey image of sensible size")
    return data


def _read_npz(data: bytes, wanted: dict[str, tuple[str, int]]) -> dict[str, NDArray[Any]]:
    """Members by name: (dtype, largest number of rows), each (n,3)."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [info.filename for info in archive.infolist()]
            if sorted(names) != sorted(f"{name}.npy" for name in wanted):
                raise _bad("it has other members than agreed")
            for name, kind in wanted.items():
                _check_declared_size(archive, name, *kind)
            return {name: _read_member(archive, name, *kind) for name, kind in wanted.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise _bad("it is not a sound npz file", str(error)) from error


def _check_declared_size(archive: zipfile.ZipFile, name: str, dtype: str, max_rows: int) -> None:
    size = archive.getinfo(f"{name}.npy").file_size
    if size > max_rows * 3 * numpy().dtype(dtype).itemsize + _HEADER_ALLOWANCE:
        raise _bad(f"{name} would have {size} bytes")


def _read_member(archive: zipfile.ZipFile, name: str, dtype: str, max_rows: int) -> NDArray[Any]:
    np = numpy()
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        # One byte more than declared would be a lie in the directory; never read further than that.
        raw = file.read(info.file_size + 1)
    if len(raw) != info.file_size:
        raise _bad(f"{name} has another size than declared")
    shape, length = _npy_header(raw, name, dtype)
    if len(shape) != 2 or shape[1] != 3 or not 0 <= shape[0] <= max_rows:
        raise _bad(f"{name} has the shape {shape}")
    if length + math.prod(shape) * np.dtype(dtype).itemsize != len(raw):
        raise _bad(f"{name} has another length than its shape says")
    array: NDArray[Any] = np.ascontiguousarray(np.load(io.BytesIO(raw), allow_pickle=False))
    return array


def _npy_header(raw: bytes, name: str, dtype: str) -> tuple[tuple[int, ...], int]:
    np = numpy()
    file = io.BytesIO(raw)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise _bad(f"{name} has an unknown npy version")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, found = read_header(file)
    if found != np.dtype(dtype):
        raise _bad(f"{name} has the type {found}")
    return tuple(shape), file.tell()


def _bad(reason: str, details: str = "") -> ClientError:
    return ClientError("bad_reply", details=details, values={"reason": reason})
