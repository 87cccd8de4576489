"""The light that is baked into the colours of most objects: it does not depend on where one looks from."""

from __future__ import annotations

from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import Record
from gtr_core.data.procedural.part import Triple

PURE_ALBEDO = 0.35
"""Share of the objects that show their plain colours."""


def write_light(draw: Draw, record: Record) -> None:
    """Choose ambient, sky and key light, and put them into a record of type ``layout.SCENE``."""
    if draw.chance(PURE_ALBEDO):
        return
    record["lit"] = 1
    record["ambient"] = _tinted(draw, draw.uniform(0.25, 0.55))
    record["sky"] = _tinted(draw, draw.uniform(0.15, 0.5))
    record["key"] = _tinted(draw, draw.uniform(0.1, 0.75))
    x, y, z = draw.direction()
    length = (x * x + z * z + (abs(y) + 0.3) ** 2) ** 0.5
    record["key_direction"] = x / length, (abs(y) + 0.3) / length, z / length
    record["occlusion"] = draw.uniform(0.3, 1.0)


def _tinted(draw: Draw, strength: float) -> Triple:
    warm = draw.uniform(-0.12, 0.12)
    return strength * (1 + warm), strength, strength * (1 - warm)
