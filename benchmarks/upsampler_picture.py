"""The picture of bench_upsampler.py: planes side by side, their error, what all tokens share of it, its spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gtr_core.evaluation.grid_artefact import GridArtefact, line_spectrum, measure_grid

_TILE, _GAP, _HEAD = 256, 12, 44
_COLUMNS = ("plane", "error x 20", "mean error inside a token", "mean square inside a token", "spectrum of the error")
_DECIBELS = (-90.0, 0.0)
_INK, _LINE, _CURVE = (30, 30, 30), (214, 90, 60), (40, 90, 170)


@dataclass(frozen=True)
class Panel:
    """A row of the picture.

    Args:
        title: of the upsampler.
        steps: that it has learned.
        truth: (R, R) what the plane should be; None for an untrained one.
        plane: (R, R) what it is.
        error: (N, C, R, R) all errors; of an untrained one its planes themselves.
        fine: root mean square of what is finer than two tokens in it.
    """

    title: str
    steps: int
    truth: Tensor | None
    plane: Tensor
    error: Tensor
    fine: float


def draw_picture(panels: list[Panel], period: int, path: Path) -> None:
    """Trained ones above, untrained ones below; a column for each view of them."""
    rows = [panel for panel in panels if panel.steps] + [panel for panel in panels if not panel.steps]
    size = len(_COLUMNS) * (_TILE + _GAP) + _GAP, len(rows) * (_TILE + _HEAD + _GAP) + _GAP
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, panel in enumerate(rows):
        top = _GAP + index * (_TILE + _HEAD + _GAP)
        grid = measure_grid(panel.error, period)
        draw.text((_GAP, top), _heading(panel, grid), _INK, font)
        for column, tile in enumerate(_tiles(panel, period)):
            left = _GAP + column * (_TILE + _GAP)
            name = _COLUMNS[column] if panel.steps else _COLUMNS[column].replace("error x 20", "closer")
            draw.text((left, top + 20), name.replace("error", "value") if not panel.steps else name, _INK, font)
            sheet.paste(tile, (left, top + _HEAD))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(256).save(path, optimize=True)


def _heading(panel: Panel, grid: GridArtefact) -> str:
    state = f"{panel.steps} steps" if panel.steps else "untrained"
    what = f"error {float(panel.error.square().mean().sqrt()):.4f}, " if panel.steps else ""
    return (
        f"{panel.title}, {state}: {what}finer than two tokens {panel.fine:.4f}, the same in every token "
        f"{grid.rms:.4f}, lines x{grid.lines:.1f}, images x{grid.images:.1f}, seams x{grid.seams:.1f}"
    )


def _tiles(panel: Panel, period: int) -> list[Image.Image]:
    """The five tiles of a row."""
    if panel.truth is None:
        quarter = panel.plane.shape[0] // 4
        closer = _grey(panel.plane[:quarter, :quarter], 2.5)
    else:
        closer = _grey(20 * (panel.plane - panel.truth), 2.5)
    folded = _fold(panel.error, period)
    mean, square = folded.mean(0), folded.square().mean(0)
    reach = float(panel.error.square().mean().sqrt())
    even = square / square.mean() - 1
    return [
        _grey(panel.plane, 2.5), closer, _grey(mean, 0.3 * reach), _grey(even, 1.0),
        _spectrum(panel.error, period),
    ]  # fmt: skip


def _fold(error: Tensor, period: int) -> Tensor:
    """(N, C, R, R) -> (tokens of all planes, period, period)."""
    tokens = error.unfold(2, period, period).unfold(3, period, period)
    return tokens.reshape(-1, period, period)


def _grey(values: Tensor, reach: float) -> Image.Image:
    """(h, w) from -reach = black over 0 = grey to reach = white, enlarged without smoothing."""
    eight_bit = ((values / (2 * reach) + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(eight_bit.numpy()).resize((_TILE, _TILE), Image.Resampling.NEAREST).convert("RGB")


def _spectrum(error: Tensor, period: int) -> Image.Image:
    """Power along the rows in decibels over the frequency, and where the lines of a grid would be."""
    spectrum = line_spectrum(error, period)
    tile = Image.new("RGB", (_TILE, _TILE), (246, 246, 246))
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(10)
    low, high = _DECIBELS

    def place(frequency: float, power: float) -> tuple[float, float]:
        decibels = 10 * math.log10(max(power, 1e-20))
        return 2 * frequency * (_TILE - 1), (high - min(max(decibels, low), high)) / (high - low) * (_TILE - 1)

    for decibels in range(int(low) + 10, int(high), 20):
        height = place(0, 10 ** (decibels / 10))[1]
        draw.line([(0, height), (_TILE, height)], (225, 225, 225))
        draw.text((2, height - 12), f"{decibels} dB", (130, 130, 130), font)
    for line in spectrum.lines.tolist():
        across = place(float(spectrum.frequency[line]), 1.0)[0]
        draw.line([(across, 0), (across, _TILE)], (240, 205, 195))
    pairs = zip(spectrum.frequency.tolist(), spectrum.power.tolist(), strict=True)
    points = [place(*pair) for pair in pairs][1:]
    draw.line(points, _CURVE, 1)
    for line in spectrum.lines.tolist():
        x, y = place(float(spectrum.frequency[line]), float(spectrum.power[line]))
        draw.ellipse([x - 2.5, y - 2.5, x + 2.5, y + 2.5], _LINE)
    return tile
