"""A kind of object: how its parts are made, how often, and what it is usually made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.part import Part


@dataclass(frozen=True)
class Recipe:
    """A kind of object.

    Args:
        build: makes the parts, in sizes of about 1.
        weight: how often, relative to the others of the same layout.
        families: of ``palettes.FAMILIES``, one per material, that half of these objects have; empty = always random.
    """

    build: Callable[[Draw], list[Part]]
    weight: float
    families: tuple[str, ...] = ()
