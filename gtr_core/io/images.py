"""Pictures from files or bytes, with limits and typed errors, because they may come from anywhere."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PIXELS = 64_000_000
"""Pixels of one image."""
MIN_SIDE = 32
"""Pixels of the shorter side."""

_ORIENTATION = 0x0112
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
# What Pillow's decoders raise on damaged files: beside OSError the bare errors of its parsers.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


def decode_image(data: bytes | Path, *, index: int = 0) -> Tensor:
    """Decode one PNG, JPEG or WebP picture.

    Args:
        data: the contents of the file, or its path.
        index: of the view (from 0), for the error.

    Returns:
        (H, W, 4) float32 sRGB and straight alpha in [0, 1] when the picture has an alpha channel, else (H, W, 3).

    Raises:
        GtrError: ``image_corrupt``, ``image_format`` (another format, animated, or stored turned by an EXIF mark),
            ``image_too_large``, ``image_too_small``; ``bad_input`` when the file is not there.
    """
    name = data.name if isinstance(data, Path) else f"Image {index + 1}"
    if isinstance(data, Path):
        try:
            data = data.read_bytes()
        except OSError as error:
            raise GtrError(
                ErrorCode.BAD_INPUT, f"{name} cannot be opened: {error.strerror}.", "Check its path.", view=index
            ) from error
    image = _open(data, name, index)
    _check_size(image.size, name, index)
    try:
        _check_single_upright(image, name, index)
        image.load()
        return _to_tensor(image)
    except _DECODE_ERRORS as error:
        raise _corrupt(name, index) from error


def encode_png(image: Tensor) -> bytes:
    """PNG of an (H, W, 3 or 4) image in [0, 1], rounded to 8 bits."""
    return encode_picture(to_pil(image))


def encode_picture(picture: Image.Image) -> bytes:
    """PNG of a Pillow image."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", compress_level=4)
    return stream.getvalue()


def to_pil(image: Tensor) -> Image.Image:
    """Pillow image of an (H, W, 3 or 4) tensor in [0, 1], rounded to 8 bits."""
    rounded = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(rounded.numpy())


def _open(data: bytes, name: str, index: int) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns above its own limit; ours is lower and is checked right after.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise _too_large(f"more than {limit} MP", name, index) from error
    except UnidentifiedImageError as error:
        if not data or data.startswith(_MAGIC):
            raise _corrupt(name, index) from error
        raise GtrError(
            ErrorCode.IMAGE_FORMAT, f"{name} is not a PNG, JPEG or WebP picture.", "Save it as PNG.", view=index
        ) from error
    except _DECODE_ERRORS as error:
        raise _corrupt(name, index) from error


def _check_size(size: tuple[int, int], name: str, index: int) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_large(f"{width * height / 1e6:.0f} MP", name, index)
    if min(size) < MIN_SIDE:
        raise GtrError(
            ErrorCode.IMAGE_TOO_SMALL,
            f"{name} is only {width} × {height} pixels.",
            f"Use pictures of at least {MIN_SIDE} × {MIN_SIDE} pixels.",
            view=index,
        )


def _check_single_upright(image: Image.Image, name: str, index: int) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise GtrError(
            ErrorCode.IMAGE_FORMAT,
            f"{name} is an animation of {frames} frames.",
            "Save each frame as a picture of its own.",
            view=index,
        )
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation != 1:
        # Turning it here would silently disagree with the camera that belongs to the stored pixels.
        raise GtrError(
            ErrorCode.IMAGE_FORMAT,
            f"{name} is stored turned (EXIF orientation {orientation}), so its camera would not fit.",
            "Save it upright, for example as PNG.",
            view=index,
        )


def _to_tensor(image: Image.Image) -> Tensor:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow widens some files to 32-bit integers without rescaling
        grey = np.asarray(image, dtype=np.float32) / 65535
        return torch.from_numpy(grey).clamp(0, 1)[..., None].repeat(1, 1, 3)
    has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    pixels = np.array(image.convert("RGBA" if has_alpha else "RGB"))
    return torch.from_numpy(pixels).float() / 255


def _too_large(size: str, name: str, index: int) -> GtrError:
    return GtrError(
        ErrorCode.IMAGE_TOO_LARGE,
        f"{name} has {size}; the limit is {MAX_PIXELS // 1_000_000} MP.",
        "Scale it down first.",
        view=index,
    )


def _corrupt(name: str, index: int) -> GtrError:
    return GtrError(ErrorCode.IMAGE_CORRUPT, f"{name} cannot be read.", "Save it again or remove it.", view=index)
