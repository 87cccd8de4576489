"""Draw docs/pictures/objects.png, procedural objects that training sees: ``python docs/make_objects_picture.py``."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from gtr_core.data.procedural.contact_sheet import contact_sheet

SEED, COUNT, TILE = 7, 64, 128


def main() -> None:
    """Draw it."""
    out = Path(__file__).resolve().parent / "pictures" / "objects.png"
    contact_sheet(SEED, COUNT, tile=TILE).quantize(255, dither=Image.Dither.NONE).save(out, optimize=True)
    print(out)


if __name__ == "__main__":
    main()
