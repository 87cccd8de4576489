"""Pictures of a report, packed small enough that hundreds of them fit into one page."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

_QUALITY = 80
"""Of WebP: no fault that the eye would take for one of a reconstruction."""
_WIDEST = 3072
"""Pixels; wider pictures (many input views) are reduced."""


def pack_picture(path: Path, rows: int) -> list[bytes]:
    """The rows of a picture (colours, normals, errors), each as a WebP file of its own.

    Args:
        path: of the picture.
        rows: how many rows of equal height lie one above the other.

    Returns:
        Empty when there is no picture or its file is damaged.
    """
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return []
    height = image.height // rows
    return [_webp(image.crop((0, row * height, image.width, (row + 1) * height))) for row in range(rows)]


def _webp(image: Image.Image) -> bytes:
    if image.width > _WIDEST:
        image = image.resize((_WIDEST, round(image.height * _WIDEST / image.width)), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=_QUALITY, method=2)
    return content.getvalue()
