"""The transfer function of sRGB (IEC 61966-2-1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def linear_from_srgb(color: NDArray[Any]) -> NDArray[np.float64]:
    """Linear light in [0, 1] of sRGB values in [0, 1], any shape."""
    color = np.asarray(color, dtype=np.float64)
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(light: NDArray[Any]) -> NDArray[np.float64]:
    """SRGB values in [0, 1] of linear light in [0, 1], any shape."""
    light = np.clip(np.asarray(light, dtype=np.float64), 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
