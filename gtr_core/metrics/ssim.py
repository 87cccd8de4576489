"""Structural similarity of pictures (Wang, Bovik, Sheikh, Simoncelli 2004), as papers of this field report it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError

SIGMA = 1.5
"""Standard deviation of the Gaussian window, pixels."""
WINDOW = 11
"""Side of the window, pixels; also the smallest side of a picture."""


def ssim(image: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of pictures in [0, 1], by scikit-image.

    Window of Gaussian weights (11 x 11, sigma 1.5), population covariance, K1 = 0.01, K2 = 0.03, range 1; the mean is
    over the windows that lie inside the picture and over the channels, which are compared on their own.

    Args:
        image: (V, H, W, C), at least 11 pixels high and wide.
        truth: (V, H, W, C).

    Returns:
        (V,) float64 on the CPU, at most 1; 1 for equal pictures.

    Raises:
        GtrError: ``backend_unavailable`` without the extra ``evaluation``.
        ValueError: for shapes that differ or are too small.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise GtrError(
            ErrorCode.BACKEND_UNAVAILABLE,
            "SSIM needs the package scikit-image, which is not installed.",
            "Install it with: pip install 'gtr-for-blender[evaluation]'.",
        ) from error
    if image.shape != truth.shape or image.ndim != 4 or min(image.shape[1:3]) < WINDOW:
        raise ValueError(f"pictures of {tuple(image.shape)} and {tuple(truth.shape)} cannot be compared by SSIM")
    pairs = zip(image.detach().cpu().double().numpy(), truth.detach().cpu().double().numpy(), strict=True)
    compare: Callable[..., float] = structural_similarity
    values = [
        compare(a, b, gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False, data_range=1.0, channel_axis=-1)
        for a, b in pairs
    ]
    return torch.tensor(values, dtype=torch.float64)
