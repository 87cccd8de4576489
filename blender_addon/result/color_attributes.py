"""Colour attributes as sRGB values, whatever linear space the file works in (5.0 lets users choose one)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy

from ..packages import numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def write_srgb(attribute: bpy.types.Attribute, colors: NDArray[np.uint8]) -> None:
    """Set every element from (N,3) uint8 sRGB, opaque; Blender converts to the linear space of the file."""
    np = numpy()
    values = np.ones((len(colors), 4), np.float32)
    values[:, :3] = colors * np.float32(1 / 255)
    attribute.data.foreach_set("color_srgb", values.ravel())


def read_srgb(attribute: bpy.types.Attribute) -> NDArray[np.float32]:
    """(N,3) sRGB of every element, 0..1 and beyond for brighter ones."""
    np = numpy()
    values = np.empty((len(attribute.data), 4), np.float32)
    attribute.data.foreach_get("color_srgb", values.ravel())
    return values[:, :3]


def linear_from_srgb(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """sRGB values of any shape as linear Rec.709 (IEC 61966-2-1), which file formats mean by linear."""
    np = numpy()
    value = np.maximum(colors, 0)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)
