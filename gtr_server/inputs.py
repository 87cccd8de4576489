"""From a request and its blobs to views: pictures are decoded here, in the worker, under the job's time-out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.arrays import read_npy
from gtr_core.io.background import Background, foreground
from gtr_core.io.images import decode_image
from gtr_core.io.posed_image import PosedImage, assemble
from gtr_core.progress import Progress
from gtr_core.views import Views
from gtr_server.blobs import blob_path
from gtr_server.limits import MAX_JOB_PIXELS, MAX_SIDE

STAGE = "load"


def as_background(options: dict[str, Any]) -> Background:
    """The core's value for the request's ``background``."""
    given = {name: value for name, value in options.items() if value is not None}
    if "color" in given:
        given["color"] = tuple(given["color"])
    return Background(**given)


def read_images(digests: Sequence[str], blobs: Path, background: Background, progress: Progress) -> Iterator[Tensor]:
    """Decode pictures one after the other and take their backgrounds away: (H, W, 4) in [0, 1] each.

    Raises:
        GtrError: the code of the picture at fault, with its index.
    """
    for index, digest in enumerate(digests):
        progress(STAGE, index, len(digests))
        yield foreground(decode_image(_bytes(blobs, digest), index=index), background, index=index)


def read_views(request: dict[str, Any], blobs: Path, progress: Progress) -> Views:
    """All views of a reconstruct request, brought to one size.

    Raises:
        GtrError: the code of the view at fault, with its index.
    """
    background = as_background(request["options"]["background"])
    images: list[PosedImage] = []
    pixels = 0
    for index, image in enumerate(request["images"]):
        progress(STAGE, index, len(request["images"]))
        images.append(_posed_image(image, blobs, background, index))
        pixels += images[-1].rgba[..., 0].numel()
        if pixels > MAX_JOB_PIXELS:
            text = (
                f"The first {index + 1} images have {pixels / 1e6:.0f} MP; the limit is {MAX_JOB_PIXELS / 1e6:.0f} MP."
            )
            raise GtrError(ErrorCode.IMAGE_TOO_LARGE, text, "Make the images smaller, or take fewer.", view=index)
    return assemble(images, max_size=MAX_SIDE)


def _posed_image(image: dict[str, Any], blobs: Path, background: Background, index: int) -> PosedImage:
    picture = decode_image(_bytes(blobs, image["blob"]), index=index)
    if image["mask_blob"] is None:
        rgba = foreground(picture, background, index=index)
    else:
        rgba = _masked(picture, decode_image(_bytes(blobs, image["mask_blob"]), index=index), index)
    size = (rgba.shape[0], rgba.shape[1])
    return PosedImage(
        name=f"image {index + 1}",
        rgba=rgba,
        c2w=camera_to_world(image["camera"]["world_to_camera"]),
        intrinsics=_intrinsics(image["camera"]["K"]),
        depth=_map(blobs, image["depth_blob"], size, "depth", index),
        normal=_map(blobs, image["normal_blob"], (*size, 3), "normal", index),
    )


def camera_to_world(world_to_camera: list[list[float]]) -> Tensor:
    """(4, 4) rigid inverse, computed in double precision, float32."""
    pose = np.array(world_to_camera, dtype=np.float64)
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return torch.from_numpy(result).float()


def _intrinsics(k: list[list[float]]) -> Tensor:
    return torch.tensor([k[0][0], k[1][1], k[0][2], k[1][2]], dtype=torch.float32)


def _masked(picture: Tensor, mask: Tensor, index: int) -> Tensor:
    if mask.shape[:2] != picture.shape[:2]:
        raise _wrong_size("mask", mask.shape[:2], picture.shape[:2], index)
    rgba = torch.cat([picture[..., :3], mask[..., :1]], dim=-1)
    if not bool((rgba[..., 3] > 0.5).any()):
        raise GtrError(ErrorCode.EMPTY_MASK, f"The mask of image {index + 1} is empty.", "Correct it.", view=index)
    return rgba


def _map(blobs: Path, digest: str | None, shape: tuple[int, ...], name: str, index: int) -> Tensor | None:
    """A float32 array of exactly this shape (the blob of a depth or normal map), finite."""
    if digest is None:
        return None
    try:
        values = read_npy(_bytes(blobs, digest), np.float32, shape)
    except GtrError as error:
        text = f"The {name} map of image {index + 1} cannot be used: {error.message}"
        raise GtrError(error.code, text, error.hint, view=index) from error
    if not np.isfinite(values).all() or (name == "depth" and (values < 0).any()):
        text = f"The {name} map of image {index + 1} has numbers that are not finite, or negative depth."
        raise GtrError(ErrorCode.BAD_INPUT, text, "Write 0 for the background.", view=index)
    return torch.from_numpy(values)


def _wrong_size(name: str, have: Sequence[int], want: Sequence[int], index: int) -> GtrError:
    text = f"The {name} of image {index + 1} is {have[1]} x {have[0]} pixels, the image {want[1]} x {want[0]}."
    return GtrError(ErrorCode.BAD_INPUT, text, f"Make the {name} as large as its image.", view=index)


def _bytes(blobs: Path, digest: str) -> bytes:
    return blob_path(blobs, digest).read_bytes()
