"""Curves as a picture, drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 900, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 34, 40
_INK, _GRID, _PAPER = (40, 40, 40), (225, 225, 225), (255, 255, 255)
COLORS = ((31, 119, 180), (214, 90, 20), (44, 140, 60), (140, 80, 170))


@dataclass(frozen=True)
class Curve:
    """Points (x, y) in the order of x, and what they are."""

    name: str
    points: Sequence[tuple[float, float]]


def draw_curves(
    title: str, x_name: str, curves: Sequence[Curve], *, marks: Sequence[tuple[float, str]] = ()
) -> Image.Image:
    """A panel with a legend.

    Args:
        title: above the panel.
        x_name: below it.
        curves: at most four.
        marks: places along x with a line and a name, such as a limit between two stages.
    """
    sheet = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    to_x, to_y = _scale(min(xs), max(xs), _LEFT, WIDTH - _RIGHT), _scale(min(ys), max(ys), HEIGHT - _BOTTOM, _TOP)
    draw.text((_LEFT, 8), title, _INK, font)
    draw.text((WIDTH // 2, HEIGHT - 20), x_name, _INK, font, anchor="ma")
    for value in _ticks(min(ys), max(ys)):
        draw.line([(_LEFT, to_y(value)), (WIDTH - _RIGHT, to_y(value))], _GRID)
        draw.text((_LEFT - 8, to_y(value)), f"{value:g}", _INK, font, anchor="rm")
    for value in _ticks(min(xs), max(xs)):
        draw.text((to_x(value), HEIGHT - _BOTTOM + 4), f"{value:g}", _INK, font, anchor="ma")
    for value, name in marks:
        draw.line([(to_x(value), _TOP), (to_x(value), HEIGHT - _BOTTOM)], (150, 150, 150))
        draw.text((to_x(value) + 4, HEIGHT - _BOTTOM - 20), name, _INK, font)
    for number, (curve, color) in enumerate(zip(curves, COLORS, strict=False)):
        draw.line([(to_x(x), to_y(y)) for x, y in curve.points], color, width=2)
        draw.text((WIDTH - _RIGHT - 4, HEIGHT - _BOTTOM - 20 - 18 * number), curve.name, color, font, anchor="ra")
    return sheet


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    factor = (last - first) / (high - low) if high > low else 0.0
    return lambda value: first + (value - low) * factor


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round values between two."""
    if high <= low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 8)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
