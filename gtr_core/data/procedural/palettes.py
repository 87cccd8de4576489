"""Colours that go together: what wood, metal, clay, paint and cloth look like. All sRGB in [0, 1]."""

from __future__ import annotations

import colorsys

from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.part import Triple

# Hue range in turns, saturation range, value range.
_FAMILIES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "wood": ((0.05, 0.11), (0.35, 0.75), (0.3, 0.8)),
    "metal": ((0.5, 0.7), (0.0, 0.12), (0.25, 0.85)),
    "brass": ((0.1, 0.14), (0.4, 0.7), (0.5, 0.85)),
    "clay": ((0.01, 0.07), (0.35, 0.7), (0.45, 0.8)),
    "porcelain": ((0.08, 0.6), (0.0, 0.1), (0.85, 0.97)),
    "stone": ((0.05, 0.15), (0.03, 0.25), (0.35, 0.75)),
    "leaf": ((0.2, 0.4), (0.35, 0.8), (0.25, 0.65)),
    "paint": ((0.0, 1.0), (0.5, 0.9), (0.5, 0.95)),
    "pastel": ((0.0, 1.0), (0.15, 0.4), (0.8, 0.97)),
    "dark": ((0.0, 1.0), (0.0, 0.5), (0.06, 0.25)),
    "cloth": ((0.0, 1.0), (0.25, 0.6), (0.35, 0.75)),
}

FAMILIES = tuple(_FAMILIES)


def family_color(draw: Draw, family: str) -> Triple:
    """A random colour of a family."""
    hue, saturation, value = _FAMILIES[family]
    return colorsys.hsv_to_rgb(draw.uniform(*hue) % 1, draw.uniform(*saturation), draw.uniform(*value))


def related(draw: Draw, color: Triple, contrast: float) -> Triple:
    """A colour near another one, lighter or darker by about ``contrast`` of the value."""
    hue, saturation, value = colorsys.rgb_to_hsv(*color)
    darker = value > 0.55 if draw.chance(0.75) else value <= 0.55
    value += (-1 if darker else 1) * contrast * draw.uniform(0.5, 1.0)
    hue += draw.uniform(-0.04, 0.04)
    saturation += draw.uniform(-0.15, 0.15)
    return colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0.0), 1.0), min(max(value, 0.04), 0.98))


def accent(draw: Draw, color: Triple) -> Triple:
    """A colour that stands out from another one: opposite or at a third of the circle, or black or white."""
    hue, _, value = colorsys.rgb_to_hsv(*color)
    if draw.chance(0.35):
        grey = draw.uniform(0.85, 0.97) if value < 0.6 else draw.uniform(0.04, 0.2)
        return grey, grey, grey
    hue += draw.choice((0.5, 0.33, -0.33, 0.12))
    return colorsys.hsv_to_rgb(hue % 1, draw.uniform(0.3, 0.8), draw.uniform(0.4, 0.95))
