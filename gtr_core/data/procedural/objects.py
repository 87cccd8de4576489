"""Endless objects for training: the same (seed, index) is the same object everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from gtr_core.data.procedural.bounds import Floats, bounding_box
from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import MAX_PARTS, SCENE, Layout, Record, rounded
from gtr_core.data.procedural.light import write_light
from gtr_core.data.procedural.materials import random_material, write_material
from gtr_core.data.procedural.part import Part, Rows, axis_along, turned
from gtr_core.data.procedural.random_parts import with_surface
from gtr_core.data.procedural.recipes import CUT_SHARE, random_cutters, random_families, random_recipe
from gtr_core.data.procedural.scenes import Scene, Scenes
from gtr_core.data.procedural.tracers import choose_tracer
from gtr_core.data.procedural.wholeness import is_whole

LONGEST_SIDE = 1.9
"""Of every object's bounding box, in world units."""
_NEEDLE = 0.1
"""Objects whose second longest side is below this share of the longest are hardly seen: they are drawn again."""
_ROUGH = 0.15
"""Chance of a part that its recipe left smooth to get a height field."""
_ATTEMPTS = 50


class ProceduralObjects:
    """A family of random objects.

    Args:
        seed: of the family, 0 or more.
        device: where the objects are evaluated.
        cut_share: how many of the objects without thin parts get something cut out of them, 0 to 1.
    """

    def __init__(self, seed: int, *, device: torch.device | str = "cpu", cut_share: float = CUT_SHARE) -> None:
        self.seed = seed
        self._cut_share = cut_share
        self._tracer = choose_tracer(device)

    def scene(self, index: int) -> Scene:
        """The object of this index, 0 or more."""
        return Scene(self.table(index), self._tracer)

    def scenes(self, indices: Sequence[int]) -> Scenes:
        """Several objects as one batch."""
        return Scenes(np.concatenate([self.table(index) for index in indices]), self._tracer)

    def table(self, index: int) -> Record:
        """The (1,) record of ``layout.SCENE`` of an object: all that there is to know of it.

        Raises:
            RuntimeError: when no attempt gives an object, which is a fault of the recipes.
        """
        draw = Draw(self.seed, index)
        for _ in range(_ATTEMPTS):
            table = random_table(draw, self._cut_share)
            if normalize(table):
                return table
        raise RuntimeError(f"object {index} of seed {self.seed} stayed empty")


def random_table(draw: Draw, cut_share: float = CUT_SHARE) -> Record:
    """A random object in its own size and place, as a (1,) record of ``layout.SCENE``."""
    layout, recipe = random_recipe(draw)
    parts = [with_surface(draw, part, _ROUGH) for part in recipe.build(draw)[:MAX_PARTS]]
    shell, cutters = random_cutters(draw, parts, cut_share)
    table = np.zeros(1, dtype=SCENE)
    scene = table[0]
    scene["layout"] = layout
    scene["shell"] = shell
    scene["rotation"] = rounded(random_orientation(draw, layout))
    scene["scale"] = 1.0
    write_light(draw, scene)
    _write_parts(draw, parts, random_families(draw, recipe), scene)
    scene["cutter_count"] = len(cutters)
    for cutter, record in zip(cutters, scene["cutters"], strict=False):
        cutter.write(record)
    return table


def random_orientation(draw: Draw, layout: Layout) -> Rows:
    """Axes of the object in the world: mostly upright, often square to the axes."""
    if layout == Layout.CLUMP or draw.chance(0.15):
        return turned(draw.uniform(0, 2 * math.pi), "y", axis_along(draw.direction()))
    if draw.chance(0.5):
        return turned(draw.integer(0, 3) * math.pi / 2)
    return turned(draw.uniform(0, 2 * math.pi))


def normalize(table: Record) -> bool:
    """Center an object and scale its longest side to ``LONGEST_SIDE``, in place.

    Returns:
        False when it is nothing to look at: empty, a needle, crumbs, or pieces that float apart.
    """
    scene = table[0]
    parts = scene["parts"][: int(scene["part_count"])]
    half = max(float(np.linalg.norm(part["position"])) + float(part["radius"]) for part in parts)
    rotation = np.asarray(scene["rotation"], dtype=np.float64)
    tracer = choose_tracer("cpu")

    def fast(points: Floats) -> Floats:
        return np.asarray(tracer.distance(table, torch.from_numpy(points)[None])[0].numpy())

    box = bounding_box(fast, lambda points: tracer.object_distance(table, points @ rotation.T), half)
    if box is None:
        return False
    low, high = box
    sides = high - low
    if sorted(sides)[1] < _NEEDLE * sides.max():
        return False
    scale = LONGEST_SIDE / sides.max()
    scene["scale"] = scale
    scene["center"] = rounded(rotation @ ((low + high) / 2))
    scene["extent"] = sides / 2 * scale
    center = np.asarray(scene["center"], dtype=np.float64)
    return is_whole(fast, lambda points: scale * tracer.object_distance(table, points @ rotation.T / scale + center))


def _write_parts(draw: Draw, parts: Sequence[Part], families: Sequence[str], scene: Record) -> None:
    # Without light, plain colour shows no shape at all.
    overlay = 0.3 if scene["lit"] else 0.75
    materials = [random_material(draw, family, overlay=overlay) for family in families]
    words = draw.seed()
    scene["part_count"] = len(parts)
    for part, record in zip(parts, scene["parts"], strict=False):
        part.write(record)
        write_material(part, materials[part.material], words, record)
