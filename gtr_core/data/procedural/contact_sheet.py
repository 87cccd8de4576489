"""Many objects on one picture, to look at what a training run will see."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor

from gtr_core.data.procedural.objects import ProceduralObjects
from gtr_core.data.procedural.render import render
from gtr_core.geometry.cameras import orbit
from gtr_core.io.images import to_pil

_BACKDROP = 0.93
_AZIMUTH, _ELEVATION = 30.0, 22.0


def contact_sheet(seed: int, count: int, *, tile: int = 160, first: int = 0, supersample: int = 2) -> Image.Image:
    """Draw objects in rows, seen a little from above.

    Args:
        seed: of the family.
        count: how many objects.
        tile: side of one object's picture in pixels.
        first: index of the first object.
        supersample: side of the square of colour samples per pixel.
    """
    objects = ProceduralObjects(seed)
    camera = orbit([_AZIMUTH], [_ELEVATION], height=tile, width=tile, distance=5.0)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = torch.full((rows * tile, columns * tile, 3), _BACKDROP)
    for number in range(count):
        image = render(objects.scene(first + number), camera, supersample=supersample).composite(_BACKDROP)[0]
        row, column = divmod(number, columns)
        _place(sheet, image, row * tile, column * tile)
    return to_pil(sheet)


def _place(sheet: Tensor, image: Tensor, top: int, left: int) -> None:
    sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
