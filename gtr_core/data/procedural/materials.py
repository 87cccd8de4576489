"""Random materials: two layers of patterns, and the labels that are printed on things."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import Pattern, Record
from gtr_core.data.procedural.palettes import accent, family_color, related
from gtr_core.data.procedural.part import Part, Triple


@dataclass(frozen=True)
class Layer:
    """One pattern that mixes two colours.

    Args:
        pattern: what mixes them.
        color_a: where the pattern is 0.
        color_b: where it is 1.
        frequency: cells per unit of the object's space.
        turn: of the texture plane in radians.
        shift: of the pattern, in cells.
        amount: the pattern's own parameter in [0, 1].
        opacity: of the layer; 0 = absent.
        through: whether the layer below shows where the pattern is 0.
        seed: of its hashes.
    """

    pattern: Pattern
    color_a: Triple
    color_b: Triple
    frequency: float = 4.0
    turn: float = 0.0
    shift: Triple = (0.0, 0.0, 0.0)
    amount: float = 0.5
    opacity: float = 1.0
    through: bool = False
    seed: int = 0

    def write(self, record: Record) -> None:
        """Put it into a record of type ``layout.LAYER``."""
        for name in ("pattern", "color_a", "color_b", "frequency", "shift", "amount", "opacity", "through", "seed"):
            record[name] = getattr(self, name)
        record["turn"] = math.cos(self.turn), math.sin(self.turn)


@dataclass(frozen=True)
class Material:
    """What a part is made of: layers from below, and the colours of a label on it."""

    layers: tuple[Layer, ...]
    label_colors: tuple[Triple, Triple, Triple] = field(default=((1.0, 1.0, 1.0),) * 3)


_WEIGHTS = {
    "wood": {Pattern.WOOD: 8, Pattern.SOLID: 2, Pattern.STRIPES: 1},
    "metal": {Pattern.SOLID: 6, Pattern.NOISE: 3, Pattern.STRIPES: 1},
    "brass": {Pattern.SOLID: 6, Pattern.NOISE: 3},
    "clay": {Pattern.SOLID: 3, Pattern.NOISE: 3, Pattern.BRICK: 3, Pattern.STRIPES: 2, Pattern.PRINT: 1},
    "porcelain": {Pattern.SOLID: 4, Pattern.PRINT: 2, Pattern.DOTS: 2, Pattern.STRIPES: 1, Pattern.MARBLE: 1},
    "stone": {Pattern.MARBLE: 5, Pattern.NOISE: 4, Pattern.VORONOI: 4, Pattern.BRICK: 2},
    "leaf": {Pattern.NOISE: 4, Pattern.SOLID: 2, Pattern.STRIPES: 2, Pattern.PRINT: 1},
}
_ANY = {
    Pattern.SOLID: 5, Pattern.STRIPES: 2, Pattern.CHECKS: 2, Pattern.VORONOI: 1.5, Pattern.MARBLE: 1, Pattern.NOISE: 1,
    Pattern.DOTS: 2, Pattern.BRICK: 0.7, Pattern.TEXT: 1.5, Pattern.PRINT: 2,
}  # fmt: skip
_OVERLAYS = {
    Pattern.TEXT: 3, Pattern.DOTS: 3, Pattern.STRIPES: 3, Pattern.PRINT: 4, Pattern.VORONOI: 1, Pattern.CHECKS: 1,
    Pattern.NOISE: 2,
}  # fmt: skip
_SOFT = (Pattern.WOOD, Pattern.MARBLE, Pattern.NOISE)


def random_material(draw: Draw, family: str, *, overlay: float = 0.3) -> Material:
    """A material of a family of ``palettes.FAMILIES``; ``overlay``: chance of a second pattern on plain colour."""
    weights = _WEIGHTS.get(family, _ANY)
    base = _layer(draw, draw.choice(list(weights), list(weights.values())), family_color(draw, family))
    layers = [base]
    if draw.chance(overlay if base.pattern == Pattern.SOLID else 0.3):
        pattern = draw.choice(list(_OVERLAYS), list(_OVERLAYS.values()))
        over = _layer(draw, pattern, base.color_a, accent(draw, base.color_a))
        layers.append(
            Layer(
                pattern, over.color_a, over.color_b, over.frequency, over.turn, over.shift, over.amount,
                draw.uniform(0.5, 1.0), True, over.seed,
            )
        )  # fmt: skip
    paper = family_color(draw, draw.choice(("porcelain", "pastel", "paint")))
    return Material(tuple(layers), (paper, family_color(draw, "dark"), accent(draw, paper)))


def _layer(draw: Draw, pattern: Pattern, color: Triple, other: Triple | None = None) -> Layer:
    contrast = 0.25 if pattern in _SOFT else 0.4
    if other is None:
        other = related(draw, color, contrast) if pattern in _SOFT or draw.chance(0.55) else accent(draw, color)
    fine = {Pattern.TEXT: (5.0, 9.0), Pattern.WOOD: (3.0, 9.0), Pattern.NOISE: (2.0, 12.0)}.get(pattern, (3.0, 10.0))
    straight = draw.chance(0.7)
    turn = draw.choice((0.0, 0.0, math.pi / 2)) if straight else draw.uniform(-math.pi, math.pi)
    return Layer(
        pattern, color, other, draw.ratio(*fine), 0.0 if pattern == Pattern.TEXT and straight else turn,
        (draw.uniform(0, 50), draw.uniform(0, 50), draw.uniform(0, 50)), draw.unit(), seed=draw.seed(),
    )  # fmt: skip


def write_material(part: Part, material: Material, label_seed: int, record: Record) -> None:
    """Put the colours of a part into its record.

    Args:
        part: that has them.
        material: its material.
        label_seed: of the words on its label.
        record: of type ``layout.PART``.
    """
    for layer, target in zip(material.layers, record["layers"], strict=False):
        layer.write(target)
    if part.labelled:
        width, height, _ = part.texture_extent
        label = record["label"]
        label["half"] = 0.72 * width, 0.5 * height
        label["center"] = 0.0, 0.05 * height
        label["paper"], label["ink"], label["band"] = material.label_colors
        label["letter"] = max(0.72 * width, 0.5 * height) / 24
        label["seed"] = label_seed
