"""Reader for the uncompressed OpenEXR files that a render writes: float channels without a colour library.

Format: "Technical Introduction to OpenEXR" and "OpenEXR File Layout" (openexr.com). Only what Blender writes with
codec NONE is read: scan lines, one or several parts, half or float channels. No bpy here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..packages import numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAGIC = 20000630
_TILED, _DEEP, _MULTIPART = 0x200, 0x800, 0x1000
_PIXEL_TYPES = {1: "<f2", 2: "<f4"}


@dataclass
class _Part:
    channels: list[tuple[str, str]]
    width: int
    height: int
    top: int
    offsets: tuple[int, ...] = ()


def read_channels(data: bytes) -> dict[str, NDArray[np.float32]]:
    """All channels of a file.

    Args:
        data: the whole file.

    Returns:
        (H,W) float32 per full channel name ("ViewLayer.Depth.Z"), row 0 at the top.

    Raises:
        ValueError: not such a file, compressed, tiled or cut off.
    """
    try:
        return _read(data)
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"the EXR file is cut off: {error}") from error


def _read(data: bytes) -> dict[str, NDArray[np.float32]]:
    np = numpy()
    magic, version = struct.unpack_from("<II", data)
    if magic != _MAGIC or version & (_TILED | _DEEP):
        raise ValueError("not an EXR file of scan lines")
    multipart = bool(version & _MULTIPART)
    result: dict[str, Any] = {}
    for part in _headers(data, 8, multipart):
        rows = {name: np.zeros((part.height, part.width), np.float32) for name, _ in part.channels}
        for offset in part.offsets:
            at = offset + (4 if multipart else 0)
            (y,) = struct.unpack_from("<i", data, at)
            at += 8
            for name, kind in part.channels:
                line = np.frombuffer(data, kind, part.width, at)
                rows[name][y - part.top] = line
                at += line.nbytes
        result.update(rows)
    return result


def _headers(data: bytes, at: int, multipart: bool) -> list[_Part]:
    parts = []
    while True:
        attributes, at = _attributes(data, at)
        if not attributes:
            break
        if attributes["compression"] != b"\0":
            raise ValueError("the EXR file is compressed")
        left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
        parts.append(_Part(_channels(attributes["channels"]), right - left + 1, bottom - top + 1, top))
        if not multipart:
            break
    for part in parts:
        part.offsets = struct.unpack_from(f"<{part.height}Q", data, at)
        at += 8 * part.height
    return parts


def _attributes(data: bytes, at: int) -> tuple[dict[str, bytes], int]:
    found = {}
    while data[at] != 0:
        name, at = _text(data, at)
        _, at = _text(data, at)
        (size,) = struct.unpack_from("<I", data, at)
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found, at + 1


def _channels(block: bytes) -> list[tuple[str, str]]:
    channels, at = [], 0
    while block[at] != 0:
        name, at = _text(block, at)
        (kind,) = struct.unpack_from("<i", block, at)
        if kind not in _PIXEL_TYPES:
            raise ValueError(f"channel {name} holds integers")
        channels.append((name, _PIXEL_TYPES[kind]))
        at += 16
    return channels


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\0", at)
    if end < 0:
        raise IndexError("a name does not end")
    return data[at:end].decode("latin-1"), end + 1
