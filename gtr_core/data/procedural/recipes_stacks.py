"""Things built upwards, one part resting on another: lamps, towers, houses, cakes, trophies."""

from __future__ import annotations

import math
from dataclasses import replace

from gtr_core.data.procedural import shapes
from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import Fold
from gtr_core.data.procedural.part import Part, Rows, turned
from gtr_core.data.procedural.random_parts import hollowed, random_part, with_surface
from gtr_core.data.procedural.recipe import Recipe


def stacked(parts: list[Part], sink: float = 0.01) -> list[Part]:
    """Put upright parts on top of each other, each sunk a little into the one below."""
    result, top = [], 0.0
    for part in parts:
        result.append(part.moved(0, top + part.half_height - sink, 0))
        top += 2 * part.half_height - sink
    return result


def tower(draw: Draw) -> list[Part]:
    """Random parts in contact, each turned and shifted a little."""
    count = draw.integer(2, 6)
    size = draw.uniform(0.4, 0.65)
    shrink = draw.uniform(0.65, 1.0)
    parts = []
    for number in range(count):
        scale = size * shrink**number * draw.uniform(0.8, 1.2)
        one = random_part(draw, (scale, draw.uniform(0.12, 0.45), scale * draw.uniform(0.7, 1)), material=number % 3)
        one = replace(with_surface(draw, one), labelled=draw.chance(0.25), rotation=turned(draw.uniform(-0.6, 0.6)))
        parts.append(one.moved(draw.uniform(-0.08, 0.08), 0, draw.uniform(-0.08, 0.08)))
    return stacked(parts)


def lamp(draw: Draw) -> list[Part]:
    """A foot, a pole, a shade and a bulb."""
    pole_half, shade = draw.uniform(0.3, 0.6), draw.uniform(0.3, 0.55)
    foot = draw.choice((
        shapes.cylinder(draw.uniform(0.25, 0.4), 0.06, 0.03),
        shapes.lathe(shapes.random_radii(draw, 0.3, 0.25), 0.25),
        shapes.box((0.28, 0.08, 0.28), 0.05, 0.03),
    ))  # fmt: skip
    pole = shapes.lathe(shapes.random_radii(draw, 0.09, pole_half), pole_half)
    parts = stacked([foot, replace(pole, material=1)])
    top = 2 * (foot.half_height + pole_half)
    half = draw.uniform(0.18, 0.35)
    cover = shapes.cylinder(shade, half, taper=-draw.uniform(0.1, 0.5), pipe=0.02, material=2)
    parts.append(cover.moved(0, top + 0.3 * half, 0))
    parts.append(shapes.ball((0.11, 0.15, 0.11), position=(0, top + 0.1, 0), material=3))
    rod = shapes.capsule(0.02, shade, rotation=turned(math.pi / 2, "z"), material=1)
    parts.append(rod.moved(0, top + 0.1, 0))
    return parts


def house(draw: Draw) -> list[Part]:
    """Walls, a roof, a chimney, a door and windows."""
    wide, tall, deep = draw.uniform(0.4, 0.65), draw.uniform(0.25, 0.5), draw.uniform(0.4, 0.75)
    walls = shapes.box((wide, tall, deep))
    high = draw.uniform(0.6, 1.0) * wide
    # A wedge: an extrusion whose width shrinks to nothing at the top.
    roof = shapes.prism(3, (wide + 0.1) * 0.6, deep * 1.1, 0.02, 0.01, rotation=turned(math.pi / 2, "x"), material=1)
    roof = replace(roof, rotation=_point_up(roof)).moved(0, tall + 0.5 * roof.size[0], 0)
    if draw.chance(0.4):
        roof = shapes.box((wide * 0.75, high / 2, deep * 0.75), taper=-0.55, material=1).moved(0, tall + high / 2, 0)
    chimney = shapes.box((0.08, 0.25, 0.08), material=2).moved(wide * 0.45, tall + 0.45, draw.uniform(-0.4, 0.4) * deep)
    door = shapes.box((0.12, 0.2, 0.03), 0.0, 0.01, material=2).moved(0, 0.2 - tall, deep)
    window = shapes.box((0.09, 0.1, 0.03), 0.0, 0.01, fold=Fold.MIRROR_XZ, material=3)
    side = shapes.box((0.03, 0.1, 0.09), 0.0, 0.01, fold=Fold.MIRROR_XZ, material=3)
    parts = [walls, roof, door, window.moved(wide * 0.62, 0.1 * tall, deep), side.moved(wide, 0.1 * tall, deep * 0.5)]
    if draw.chance(0.6):
        parts.append(chimney)
    if draw.chance(0.4):
        base = shapes.box((wide * 1.4, 0.05, deep * 1.35), 0.1, 0.02, material=2)
        parts.append(base.moved(0, -tall - 0.03, 0))
    return parts


def _point_up(roof: Part) -> Rows:
    """Axes of a triangular prism that lies along z with one edge on top."""
    # The prism's first corner is half a sector away from its x axis.
    corner = math.pi / roof.profile_count
    c, s = math.cos(corner), math.sin(corner)
    return (-s, c, 0.0), (0.0, 0.0, 1.0), (c, s, 0.0)


def cake(draw: Draw) -> list[Part]:
    """Round or flower-shaped layers that get smaller, with something on top."""
    radius = draw.uniform(0.6, 0.85)
    petals = draw.choice((0, 0, 7, 10))
    layers = []
    for number in range(draw.integer(2, 4)):
        half = draw.uniform(0.12, 0.24)
        if petals:
            layer = shapes.flower(petals, radius, 0.25 * radius, half, 0.04)
        else:
            layer = shapes.cylinder(radius, half, 0.05)
        layers.append(replace(with_surface(draw, layer, 0.3), material=number % 2))
        radius *= draw.uniform(0.6, 0.85)
    layers.append(random_part(draw, (0.14, 0.16, 0.14), material=2, cages=False))
    parts = stacked(layers)
    if draw.chance(0.6):
        berry = shapes.ball((0.07, 0.07, 0.07), fold=Fold.RADIAL, fold_count=draw.integer(5, 10), material=2)
        first = layers[0]
        parts.append(berry.moved(first.outline_radius * 0.85, 2 * first.half_height + 0.05, 0))
    return parts


def trophy(draw: Draw) -> list[Part]:
    """A block, a turned stem and a bowl or a figure on top."""
    block = shapes.box((0.3, 0.14, 0.3), 0.03, 0.02, labelled=True, material=2)
    stem = shapes.lathe(shapes.random_radii(draw, 0.16, 0.3), 0.3, smooth=draw.chance(0.7))
    if draw.chance(0.5):
        half = draw.uniform(0.3, 0.45)
        radii = tuple(v * draw.uniform(0.95, 1.05) * 0.5 for v in (0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 1.0, 1.05))
        bowl = replace(shapes.lathe(radii, half), cup=0.025, cup_height=0.97 * half)
        parts = stacked([block, stem, bowl])
        handle = shapes.arch(0.22, 0.04, fold=Fold.MIRROR_X, position=(0.44, parts[2].position[1], 0))
        return [*parts, handle]
    top = random_part(draw, (0.35, 0.4, 0.35), cages=True)
    return stacked([block, stem, with_surface(draw, top)])


def column(draw: Draw) -> list[Part]:
    """A plinth, a shaft with ribs or a twist, a capital, a bowl or a ball on top."""
    radius, half = draw.uniform(0.18, 0.28), draw.uniform(0.5, 0.75)
    shaft = with_surface(draw, shapes.cylinder(radius, half, taper=-draw.uniform(0, 0.2)), 0.6)
    if draw.chance(0.3):
        shaft = shapes.flower(draw.integer(4, 7), radius, 0.35 * radius, half, twist=draw.uniform(1.0, 3.5))
    plinth = shapes.box((radius * 1.6, 0.1, radius * 1.6), 0.02, 0.02, material=1)
    capital = random_part(draw, (radius * 1.5, 0.12, radius * 1.5), material=1, cages=False)
    top = random_part(draw, (radius * 1.2, 0.3, radius * 1.2), material=2)
    return stacked([plinth, shaft, capital, hollowed(draw, top) if draw.chance(0.3) and top.pipe == 0 else top])


def tree(draw: Draw) -> list[Part]:
    """A trunk with a crown of balls or cones, or a mushroom."""
    half = draw.uniform(0.25, 0.5)
    trunk = shapes.lathe([v * draw.uniform(0.9, 1.1) for v in (0.16, 0.13, 0.11, 0.1, 0.1, 0.1, 0.09, 0.08)], half)
    parts = [replace(trunk, material=1)]
    style = draw.choice(("balls", "cones", "mushroom"))
    if style == "cones":
        for number in range(draw.integer(2, 4)):
            radius = 0.55 - 0.12 * number
            cone = shapes.cylinder(0.55 * radius, 0.25, taper=-0.85)
            parts.append(with_surface(draw, cone, 0.3).moved(0, half + 0.15 + 0.28 * number, 0))
    elif style == "mushroom":
        cap = shapes.ball((draw.uniform(0.4, 0.7), draw.uniform(0.2, 0.4), 0.55), (2, 2))
        parts.append(replace(cap, size=(cap.size[0], cap.size[1], cap.size[0]), cup=0.05, cup_height=1.0, material=0))
        parts[-1] = parts[-1].moved(0, half, 0)
        parts.append(shapes.cylinder(0.9 * cap.size[0], 0.03, 0.02, material=2).moved(0, half - 0.05, 0))
    else:
        for _ in range(draw.integer(1, 5)):
            size = draw.uniform(0.25, 0.5)
            x, y, z = draw.direction()
            crown = replace(with_surface(draw, shapes.ball((size, 0.85 * size, size)), 0.7), blend=0.1)
            parts.append(crown.moved(0.25 * x, half + 0.2 + 0.2 * abs(y), 0.25 * z))
    return parts


RECIPES = (
    Recipe(tower, 5.0),
    Recipe(lamp, 1.5, ("wood", "brass", "cloth", "porcelain")),
    Recipe(house, 1.8, ("clay", "clay", "wood", "dark")),
    Recipe(cake, 1.5, ("pastel", "pastel", "paint", "wood")),
    Recipe(trophy, 1.3, ("brass", "brass", "stone", "metal")),
    Recipe(column, 1.5, ("stone", "stone", "clay", "stone")),
    Recipe(tree, 1.3, ("leaf", "wood", "pastel", "leaf")),
)
