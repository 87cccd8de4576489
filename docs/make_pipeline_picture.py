"""Draw the table of ``benchmarks/bench_pipeline.py``: ``python docs/make_pipeline_picture.py``.

Reads ``benchmarks/results/pipeline_cpu.json`` and writes ``docs/pictures/pipeline.png``; other files by argument.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
NAMES = {
    "forward": "network, 4 views",
    "grid_256": "surface cells, 256 nodes a side",
    "grid_512": "surface cells, 512 nodes a side",
    "grid_256_wide": "the same, 512-wide MLP",
    "marching_cubes": "marching cubes",
    "rasterize": "rasterise one view",
    "refine_step": "refinement, one step",
    "refine_to_psnr": "refinement, same PSNR",
    "end_to_end": "all after the network",
}
_SCALE, _WIDTH, _ROW = 2, 860, 34
_INK, _FAINT, _BAR, _SLOW = (30, 34, 42), (125, 130, 140), (46, 117, 182), (226, 230, 236)
_LEFT, _BARS, _BAR_END, _COLUMNS = 18, 235, 510, (598, 698, 774, 842)


def draw(report: dict[str, Any]) -> Image.Image:
    """The picture of a report: a bar for each ratio on a logarithmic scale, and the figures."""
    rows = report["rows"]
    height = 74 + _ROW * len(rows) + 30
    image = Image.new("RGB", (_WIDTH * _SCALE, height * _SCALE), "white")
    pen = _Pen(ImageDraw.Draw(image))
    pen.text(_LEFT, 14, "How many times faster than the straightforward way", 17, _INK)
    seconds = "GPU s" if "NVIDIA" in report["device"] else "CPU s"
    for x, title in zip(_COLUMNS, (seconds, "straightforward", "wall s", "MB"), strict=True):
        pen.text(x, 46, title, 12, _FAINT, right=True)
    longest = max(math.log10(max(row["ratio"], 1.1)) for row in rows)
    for index, row in enumerate(rows):
        y = 68 + index * _ROW
        pen.text(_LEFT, y + 5, NAMES.get(row["stage"], row["stage"]), 14, _INK)
        length = (_BAR_END - _BARS) * max(math.log10(max(row["ratio"], 1.02)) / longest, 0.01)
        pen.bar(_BARS, y + 4, _BARS + length, y + 24)
        pen.text(_BARS + length + 6, y + 5, f"{row['ratio']:.{1 if row['ratio'] < 20 else 0}f}x", 14, _INK)
        figures = (row["fast_cpu_s"], row["straightforward_cpu_s"], row["wall_s"])
        for x, text in zip(_COLUMNS, (*(_seconds(value) for value in figures), f"{row['peak_mb']:.0f}"), strict=True):
            pen.text(x, y + 5, text, 13, _INK, right=True)
    threads = f"{report['threads']} thread" + ("s" if report["threads"] > 1 else "")
    foot = f"{report['device']}, {threads}, torch {report['torch']}; planes 3 x 40 x 256 x 256; bars are logarithmic"
    pen.text(_LEFT, height - 26, foot, 11, _FAINT)
    return image


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


class _Pen:
    """Draws in units of the picture at its plain size."""

    def __init__(self, canvas: ImageDraw.ImageDraw) -> None:
        self._canvas = canvas

    def text(
        self, x: float, y: float, text: str, size: int, color: tuple[int, int, int], *, right: bool = False
    ) -> None:
        font = ImageFont.load_default(size * _SCALE)
        start = x * _SCALE - (self._canvas.textlength(text, font) if right else 0)
        self._canvas.text((start, y * _SCALE), text, fill=color, font=font)

    def bar(self, left: float, top: float, right: float, bottom: float) -> None:
        box = [value * _SCALE for value in (left, top, right, bottom)]
        self._canvas.rectangle([_BARS * _SCALE, box[1], _BAR_END * _SCALE, box[3]], fill=_SLOW)
        self._canvas.rectangle(box, fill=_BAR)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw one report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks" / "results" / "pipeline_cpu.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "pipeline.png")
    arguments = parser.parse_args(argv)
    image = draw(json.loads(arguments.report.read_text(encoding="utf-8")))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(64).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
