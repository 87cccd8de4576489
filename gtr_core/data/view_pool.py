"""Samples out of pictures that were made before: some are inputs, others supervise (paper section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gtr_core.data.dataset import BatchRequest, PosedPictures
from gtr_core.errors import ErrorCode, GtrError


def choose_views(count: int, request: BatchRequest, generator: torch.Generator) -> tuple[list[int], list[int]]:
    """Which of ``count`` pictures are inputs and which supervise; none is both.

    Raises:
        GtrError: ``too_few_views`` when there are not enough.
    """
    wanted = request.input_views + request.target_views
    if count < wanted:
        raise GtrError(
            ErrorCode.TOO_FEW_VIEWS,
            f"{wanted} views of each object are needed, there are {count}.",
            "Render more views of each.",
        )
    order = torch.randperm(count, generator=generator).tolist()
    return order[: request.input_views], order[request.input_views : wanted]


def subset(pictures: PosedPictures, views: list[int]) -> PosedPictures:
    """Some of the views of every object."""
    depth, normal = (None if part is None else part[:, views] for part in (pictures.depth, pictures.normal))
    return PosedPictures(pictures.rgba[:, views], pictures.c2w[:, views], pictures.intrinsics[:, views], depth, normal)


def resized(pictures: PosedPictures, size: int) -> PosedPictures:
    """Square pictures brought to ``size`` pixels a side.

    Colour and mask are averaged over the new pixels; depth and normal are those of the old pixel nearest to the new
    one's centre, so that none lies between two surfaces.
    """
    objects, views, height, width = pictures.rgba.shape[:4]
    if height == size and width == size:
        return pictures
    alpha = pictures.rgba[..., 3:]
    layers = torch.cat([pictures.rgba[..., :3] * alpha, alpha], dim=-1).flatten(0, 1).movedim(-1, 1)
    mode = {"mode": "area"} if size < height else {"mode": "bilinear", "align_corners": False}
    mean = functional.interpolate(layers, (size, size), **mode).movedim(1, -1)
    rgba = torch.cat([mean[..., :3] / mean[..., 3:].clamp(min=1e-6), mean[..., 3:]], dim=-1).clamp(0, 1)
    scale = pictures.intrinsics.new_tensor([size / width, size / height] * 2)
    rows, columns = (((torch.arange(size) + 0.5) * side / size).long() for side in (height, width))

    def nearest(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[:, :, rows][:, :, :, columns]

    return PosedPictures(
        rgba.view(objects, views, size, size, 4),
        pictures.c2w,
        pictures.intrinsics * scale,
        nearest(pictures.depth),
        nearest(pictures.normal),
    )


def cropped(pictures: PosedPictures, side: int, generator: torch.Generator) -> PosedPictures:
    """One square of ``side`` pixels at a random place of each picture of one object; 0 leaves them whole.

    Raises:
        GtrError: ``image_too_small`` when the pictures are smaller.
    """
    objects, views, height, width = pictures.rgba.shape[:4]
    if side == 0:
        return pictures
    if side > min(height, width) or objects != 1:
        raise GtrError(
            ErrorCode.IMAGE_TOO_SMALL,
            f"No patch of {side} pixels fits pictures of {height} x {width}.",
            "Render larger pictures.",
        )
    tops = torch.randint(height - side + 1, (views,), generator=generator).tolist()
    lefts = torch.randint(width - side + 1, (views,), generator=generator).tolist()

    def crop(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        corners = zip(values[0], tops, lefts, strict=True)
        return torch.stack([view[top : top + side, left : left + side] for view, top, left in corners])[None]

    intrinsics = pictures.intrinsics.clone()
    intrinsics[0, :, 2] -= intrinsics.new_tensor(lefts)
    intrinsics[0, :, 3] -= intrinsics.new_tensor(tops)
    rgba = crop(pictures.rgba)
    assert rgba is not None
    return PosedPictures(rgba, pictures.c2w, intrinsics, crop(pictures.depth), crop(pictures.normal))
