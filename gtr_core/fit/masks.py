"""Signed distance from the outline of a mask, in the image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import grid_sample

from gtr_core.views import Views


def outline_distances(views: Views) -> Tensor:
    """Distance of every pixel centre from its view's outline, sub-pixel from the soft mask.

    Lengths are tangents of the viewing angle (pixels over focal length), so that ``distance * z`` is a length in
    world units at camera depth z, for any camera and for pixels that are not square.

    Returns:
        (V, H, W) float32, negative inside. A mask that fills the whole image is -1 everywhere.
    """
    masks = views.mask.cpu().numpy()
    focal = views.cameras.intrinsics[:, :2].cpu().numpy()
    distances = [_outline_distance(mask, (1 / fy, 1 / fx)) for mask, (fx, fy) in zip(masks, focal, strict=True)]
    return torch.from_numpy(np.stack(distances)).to(views.rgba.device)


def sample_images(images: Tensor, pixels: Tensor) -> Tensor:
    """Bilinear lookup with the border repeated outwards.

    Args:
        images: (V, C, H, W).
        pixels: (V, N, 2) u, v with pixel centres at +0.5.

    Returns:
        (V, N, C).
    """
    height, width = images.shape[2:]
    grid = pixels * pixels.new_tensor([2 / width, 2 / height]) - 1
    found = grid_sample(images, grid[:, None], mode="bilinear", padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def _outline_distance(mask: NDArray[np.float32], pixel_size: tuple[float, float]) -> NDArray[np.float32]:
    inside = mask > 0.5
    beside = _beside_outline(inside)
    if not beside.any():
        return np.full(mask.shape, -1 if inside.all() else 1, dtype=np.float32)
    length, (row, column) = distance_transform_edt(~beside, sampling=pixel_size, return_indices=True)
    # The coverage of a pixel that the outline cuts says how far from its centre the outline passes.
    offset = (0.5 - mask) * (pixel_size[0] * pixel_size[1]) ** 0.5
    signed: NDArray[np.float32] = np.where(inside, -length, length).astype(np.float32) + offset[row, column]
    return signed


def _beside_outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels with a 4-neighbour on the other side."""
    beside = np.zeros_like(inside)
    for side, turned in ((inside, beside), (inside.T, beside.T)):
        differs = side[1:] != side[:-1]
        turned[1:] |= differs
        turned[:-1] |= differs
    return beside
