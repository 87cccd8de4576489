"""Draw docs/pictures/evaluation.png from a report: ``python docs/make_evaluation_picture.py REPORT``.

Every column is an object in one of the novel views; the rows are the truth and what the methods made of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

OBJECTS = ("spot_cow", "cracker_box", "avocado", "teapot_china", "mustard_bottle", "fox", "water_bottle", "suzanne")
METHODS = {
    "truth": "truth", "hull": "visual hull\n+ projected\ncolours", "fit": "fit",
    "untrained": "untrained\nnetwork", "untrained+50-steps": "untrained,\nrefined\n50 steps",
}  # fmt: skip
TILE, LABEL = 256, 150
SHOWN = 176
"""Pixels of a picture."""


def column(folder: Path) -> Image.Image:
    """The first view of one object, method below method."""
    picture = Image.new("RGB", (SHOWN, SHOWN * len(METHODS)), "white")
    for row, name in enumerate(METHODS):
        tile = Image.open(folder / f"{name}.png").convert("RGB").crop((0, 0, TILE, TILE))
        picture.paste(tile.resize((SHOWN, SHOWN), Image.Resampling.LANCZOS), (0, SHOWN * row))
    return picture


def main() -> None:
    """Draw it."""
    pictures = Path(sys.argv[1]) / "pictures"
    there = [name for name in OBJECTS if (pictures / name / "untrained+50-steps.png").exists()]
    if not there:
        sys.exit(f"{pictures} holds none of {', '.join(OBJECTS)}.")
    sheet = Image.new("RGB", (LABEL + SHOWN * len(there), SHOWN * len(METHODS)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, label in enumerate(METHODS.values()):
        place = (12, SHOWN * row + SHOWN // 2)
        draw.multiline_text(place, label, "black", ImageFont.load_default(18), anchor="lm", spacing=6)
    for index, name in enumerate(there):
        sheet.paste(column(pictures / name), (LABEL + SHOWN * index, 0))
    out = Path(__file__).resolve().parent / "pictures" / "evaluation.png"
    sheet.quantize(255, dither=Image.Dither.NONE).save(out, optimize=True)
    print(out)


if __name__ == "__main__":
    main()
