"""One picture with its camera, as a reader finds it; many of them become :class:`Views` of one size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import Cameras
from gtr_core.io.images import MIN_SIDE
from gtr_core.views import Views


@dataclass(frozen=True)
class PosedImage:
    """One picture with its camera.

    Args:
        name: of its file, for errors.
        rgba: (H, W, 4) float32 in [0, 1], straight alpha.
        c2w: (4, 4) float32, camera to world, OpenCV axes, world Y up.
        intrinsics: (4,) float32 fx, fy, cx, cy for a picture of this size, in pixels.
        depth: (H, W) float32 camera z, 0 = background.
        normal: (H, W, 3) float32 world normals, 0 = background.
    """

    name: str
    rgba: Tensor
    c2w: Tensor
    intrinsics: Tensor
    depth: Tensor | None = None
    normal: Tensor | None = None


MAX_TOTAL_PIXELS = 400_000_000
"""Pixels of all pictures together that are kept in memory (16 bytes each)."""


def assemble(source: Iterable[PosedImage], size: int | None = None, *, max_size: int | None = None) -> Views:
    """Bring the pictures to one size and stack them.

    Args:
        source: pictures of any sizes.
        size: the longer side of the result in pixels, at least 32; None keeps the most frequent size.
        max_size: the largest longer side that is kept when there is no ``size``; None for no limit.

    Raises:
        GtrError: ``camera_invalid``; ``bad_input`` when only some have depth, or normals; ``image_too_large`` when
            they are too large together; ``too_few_views`` for none.
    """
    images = _collect(source, size, max_size)
    for channel in ("depth", "normal"):
        lacking = [image.name for image in images if getattr(image, channel) is None]
        if 0 < len(lacking) < len(images):
            raise GtrError(
                ErrorCode.BAD_INPUT,
                f"{lacking[0]} has no {channel} map, {len(images) - len(lacking)} other pictures have one.",
                f"Give all pictures a {channel} map, or none.",
            )
    height, width = _common_size(images, size)
    same = [resized(image, height, width) for image in images]
    cameras = Cameras(torch.stack([i.c2w for i in same]), torch.stack([i.intrinsics for i in same]), height, width)
    depth = [image.depth for image in same if image.depth is not None]
    normal = [image.normal for image in same if image.normal is not None]
    return Views(
        torch.stack([image.rgba for image in same]),
        cameras,
        torch.stack(depth) if depth else None,
        torch.stack(normal) if normal else None,
    )


def _collect(source: Iterable[PosedImage], size: int | None, max_size: int | None) -> list[PosedImage]:
    if size is not None and size < MIN_SIDE:
        raise GtrError(ErrorCode.BAD_INPUT, f"A size of {size} pixels is too small.", f"Give at least {MIN_SIDE}.")
    images, total = [], 0
    for index, image in enumerate(source):
        check_camera(image, index)
        height, width = image.rgba.shape[:2]
        target = size or min(max(height, width), max_size or MAX_TOTAL_PIXELS)
        # At once, so that only one picture at a time is in memory at its full size.
        image = resized(image, *_fitted(height, width, target))
        total += image.rgba[..., 0].numel()
        if total > MAX_TOTAL_PIXELS:
            raise GtrError(
                ErrorCode.IMAGE_TOO_LARGE,
                f"The first {index + 1} pictures have {total / 1e6:.0f} MP together; "
                f"the limit is {MAX_TOTAL_PIXELS // 1_000_000} MP.",
                "Scale the pictures down, or ask for a smaller size.",
                view=index,
            )
        images.append(image)
    if not images:
        raise GtrError(ErrorCode.TOO_FEW_VIEWS, "There are no pictures.", "Add some.")
    return images


def check_camera(image: PosedImage, index: int) -> None:
    """Refuse a camera that cannot be used, by the name of its picture.

    Raises:
        GtrError: ``camera_invalid``.
    """
    try:
        Cameras(image.c2w[None], image.intrinsics[None], *image.rgba.shape[:2])
    except GtrError as error:
        raise GtrError(
            error.code,
            f"The camera of {image.name} cannot be used (singular, mirrored, scaled or not finite).",
            error.hint,
            view=index,
        ) from error


def resized(image: PosedImage, height: int, width: int) -> PosedImage:
    """The same picture and camera at another resolution; transparent pixels lend their colour to nobody."""
    old_height, old_width = image.rgba.shape[:2]
    if (old_height, old_width) == (height, width):
        return image
    scale = image.intrinsics.new_tensor([width / old_width, height / old_height] * 2)
    return replace(
        image,
        rgba=_resize_rgba(image.rgba, height, width),
        intrinsics=image.intrinsics * scale,
        depth=None if image.depth is None else resize_nearest(image.depth[..., None], height, width)[..., 0],
        normal=None if image.normal is None else resize_nearest(image.normal, height, width),
    )


def resize_nearest(values: Tensor, height: int, width: int) -> Tensor:
    """(H, W, C) -> (height, width, C), each pixel that of the nearest centre: never a mean over a depth jump."""
    return interpolate(values.permute(2, 0, 1)[None], (height, width), mode="nearest-exact")[0].permute(1, 2, 0)


def _resize_rgba(rgba: Tensor, height: int, width: int) -> Tensor:
    alpha = rgba[..., 3:]
    # The plain colours come along for pixels that are transparent all around.
    stacked = torch.cat([rgba[..., :3] * alpha, alpha, rgba[..., :3]], dim=-1).permute(2, 0, 1)[None]
    small = interpolate(stacked, (height, width), mode="bilinear", antialias=True, align_corners=False)
    image = small[0].permute(1, 2, 0).clamp(0, 1)
    weighted, alpha, plain = image[..., :3], image[..., 3:4], image[..., 4:]
    color = torch.where(alpha > 1e-4, weighted / alpha.clamp(min=1e-4), plain)
    return torch.cat([color, alpha], dim=-1).clamp(0, 1)


def _common_size(images: Sequence[PosedImage], size: int | None) -> tuple[int, int]:
    counts = Counter((image.rgba.shape[0], image.rgba.shape[1]) for image in images)
    # The most frequent; of equally frequent ones the largest.
    height, width = max(counts, key=lambda shape: (counts[shape], shape[0] * shape[1]))
    return (height, width) if size is None else _fitted(height, width, size)


def _fitted(height: int, width: int, size: int) -> tuple[int, int]:
    """This shape scaled so that its longer side is ``size``."""
    longer = max(height, width)
    return max(1, round(height * size / longer)), max(1, round(width * size / longer))
