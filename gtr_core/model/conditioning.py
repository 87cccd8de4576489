"""Posed pictures as the network takes them (paper section 3.1; as in the released GTR)."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gtr_core.geometry.rays import pixel_rays, plucker
from gtr_core.views import Views


def conditioning(views: Views, size: int) -> Tensor:
    """The ten channels of every view.

    Colours over white and the soft mask are cut to whole 8-bit values and, if need be, resized with Pillow's bicubic
    filter, because the released network was trained on pictures treated so. Rays pass through the pixel centres of
    the resized picture.

    Args:
        views: V views of any size.
        size: side of the square pictures that the network takes, pixels.

    Returns:
        (V, 10, size, size) float32: sRGB in [0, 1] (3), ray direction of unit length (3), Plücker moment
        direction x origin (3), mask in [0, 1] (1).
    """
    pictures = torch.cat([views.composite(), views.mask[..., None]], dim=-1)
    pictures = torch.stack([_resized(picture, size) for picture in pictures.cpu()]).to(pictures.device)
    origins, directions = pixel_rays(views.cameras.resized(size, size))
    channels = [pictures[..., :3], directions, plucker(origins, directions), pictures[..., 3:]]
    return torch.cat(channels, dim=-1).permute(0, 3, 1, 2).contiguous()


def _resized(picture: Tensor, size: int) -> Tensor:
    """(H, W, 4) colour and mask in [0, 1] -> (size, size, 4) multiples of 1/255."""
    eight_bit = (picture * 255).clamp(0, 255).to(torch.uint8).numpy()
    parts = [Image.fromarray(np.ascontiguousarray(part)) for part in (eight_bit[..., :3], eight_bit[..., 3])]
    color, mask = (np.asarray(part.resize((size, size), Image.Resampling.BICUBIC)) for part in parts)
    return torch.from_numpy(np.concatenate([color, mask[..., None]], axis=-1)).float() / 255
