"""Things that repeat around an axis: plants, wheels, rockets, chandeliers."""

from __future__ import annotations

import math
from dataclasses import replace

from gtr_core.data.procedural import shapes
from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import Fold
from gtr_core.data.procedural.part import Part, Rows, turned
from gtr_core.data.procedural.random_parts import random_part, with_surface
from gtr_core.data.procedural.recipe import Recipe


def _around(part: Part, count: int) -> Part:
    return replace(part, fold=Fold.RADIAL, fold_count=count)


def plant(draw: Draw) -> list[Part]:
    """Leaves in rings over a pot."""
    radius, half = draw.uniform(0.3, 0.45), draw.uniform(0.25, 0.4)
    pot = shapes.cylinder(radius, half, 0.03, taper=draw.uniform(0.1, 0.35), labelled=draw.chance(0.3))
    pot = replace(with_surface(draw, pot, 0.3), cup=0.04, cup_height=0.93 * half, material=1)
    soil = shapes.cylinder(radius * 0.9, 0.04, position=(0, 0.6 * half, 0), material=3)
    parts = [pot, soil]
    for ring in range(draw.integer(1, 3)):
        count = draw.integer(3, 8)
        long, wide = draw.uniform(0.35, 0.7), draw.uniform(0.07, 0.16)
        rise = draw.uniform(0.3, 1.3)
        leaf = shapes.ball((wide, long, 0.05), (1.7, 1.8), rotation=_leaning(rise))
        at = (0.08 + math.cos(rise) * long * 0.9, half + math.sin(rise) * long * 0.9 + 0.12 * ring - 0.1)
        parts.append(_around(leaf.moved(at[0], at[1], 0), count))
    if draw.chance(0.5):
        stem = shapes.capsule(0.05, 0.45, position=(0, half + 0.3, 0))
        head = shapes.ball((0.2, 0.14, 0.2), position=(0, half + 0.75, 0), material=2)
        parts += [stem, with_surface(draw, head, 0.5)]
    return parts


def _leaning(rise: float) -> Rows:
    """Axes of a leaf that points outwards (+x) and up by ``rise`` radians; its flat side is up."""
    c, s = math.cos(rise), math.sin(rise)
    return (0.0, 0.0, 1.0), (c, s, 0.0), (-s, c, 0.0)


def wheel(draw: Draw) -> list[Part]:
    """A rim, a hub and spokes or teeth: wheels, gears, clocks, ship's wheels."""
    count = draw.integer(3, 12)
    radius = draw.uniform(0.6, 0.8)
    rim = shapes.arch(radius, draw.uniform(0.06, 0.14), closed=True, rotation=turned(math.pi / 2, "x"))
    if draw.chance(0.4):
        rim = shapes.cylinder(radius, draw.uniform(0.08, 0.2), 0.03, pipe=draw.uniform(0.05, 0.12))
    hub = shapes.cylinder(draw.uniform(0.12, 0.25), draw.uniform(0.1, 0.25), 0.03, material=1)
    spoke = shapes.capsule(
        draw.uniform(0.03, 0.07), radius / 2, rotation=turned(math.pi / 2, "z"), material=draw.integer(0, 2)
    )
    parts = [rim, with_surface(draw, hub, 0.4), _around(spoke.moved(radius / 2, 0, 0), count)]
    if draw.chance(0.6):
        tooth = random_part(draw, (0.09, 0.1, 0.09), material=draw.integer(0, 2), cages=False)
        parts.append(_around(tooth.moved(radius + 0.1, 0, 0), draw.choice((count, count * 2))))
    if draw.chance(0.4):
        parts.append(shapes.ball((0.12, 0.1, 0.12), position=(0, hub.half_height, 0), material=2))
    return parts


def rocket(draw: Draw) -> list[Part]:
    """A turned body with fins, a nose and windows."""
    half, radius = draw.uniform(0.6, 0.85), draw.uniform(0.2, 0.35)
    belly = draw.uniform(0.8, 1.0)
    radii = tuple(radius * v for v in (0.7, 0.9, 1.0, 1.0, belly, 0.85 * belly, 0.6 * belly, 0.25))
    body = shapes.lathe(radii, half, rounding=0.03, labelled=draw.chance(0.5))
    count = draw.integer(3, 6)
    fin = shapes.box((0.2, draw.uniform(0.2, 0.35), 0.03), 0.0, 0.01, taper=-0.5, material=1)
    parts = [with_surface(draw, body, 0.2), _around(fin.moved(radius + 0.1, -0.7 * half, 0), count)]
    parts.append(shapes.cylinder(radius * 0.5, 0.12, taper=-0.3, pipe=0.03, material=2).moved(0, -half - 0.08, 0))
    if draw.chance(0.6):
        pane = shapes.ball((0.04, 0.1, 0.1), material=2)
        parts.append(_around(pane.moved(radius, 0.15 * half, 0), draw.integer(3, 6)))
    parts.append(shapes.ball((radius * 0.3, 0.14, radius * 0.3), position=(0, half, 0), material=1))
    return parts


def blossom(draw: Draw) -> list[Part]:
    """Petals in one or two rings around a centre, perhaps on a stem."""
    count, long = draw.integer(4, 9), draw.uniform(0.3, 0.45)
    parts = [with_surface(draw, shapes.ball((0.25, draw.uniform(0.1, 0.2), 0.25), material=1), 0.6)]
    for ring in range(draw.integer(1, 2)):
        rise = draw.uniform(0.0, 0.9) + 0.3 * ring
        petal = shapes.ball(
            (draw.uniform(0.14, 0.24), long, 0.06), (2.0, 2.0), rotation=_leaning(rise), material=2 * ring
        )
        parts.append(_around(petal.moved(0.18 + long * math.cos(rise), long * math.sin(rise), 0), count))
    if draw.chance(0.6):
        parts.append(shapes.capsule(0.05, 0.5, position=(0, -0.5, 0), material=3))
        leaf = shapes.ball((0.09, 0.25, 0.03), rotation=_leaning(0.6), fold=Fold.MIRROR_X, material=3)
        parts.append(leaf.moved(0.22, -0.6, 0))
    return parts


def carousel(draw: Draw) -> list[Part]:
    """A base, a roof or disc, and random things on a circle between them."""
    count, radius = draw.integer(3, 9), draw.uniform(0.5, 0.75)
    base = shapes.cylinder(radius + 0.15, draw.uniform(0.05, 0.12), 0.02)
    half = draw.uniform(0.25, 0.45)
    size = min(0.8 * math.pi * radius / count, 0.2)
    post = random_part(draw, (size, half, size), material=1)
    parts = [base, _around(with_surface(draw, post).moved(radius, half + base.half_height, 0), count)]
    top = 2 * half + base.half_height
    roof = draw.choice(("cone", "disc", "none", "middle"))
    if roof == "cone":
        parts.append(shapes.cylinder(0.5 * radius + 0.1, 0.25, taper=-0.9, material=2).moved(0, top + 0.25, 0))
        parts[-1] = replace(parts[-1], size=(0.6 * radius, 0.2, 0.6 * radius))
    elif roof == "disc":
        parts.append(shapes.cylinder(radius + 0.15, 0.05, 0.02, material=2).moved(0, top, 0))
    elif roof == "middle":
        middle = random_part(draw, (0.3 * radius, half * 1.3, 0.3 * radius), material=2)
        parts.append(with_surface(draw, middle).moved(0, base.half_height + middle.half_height, 0))
    return parts


def urchin(draw: Draw) -> list[Part]:
    """A random body with random parts around it at several heights."""
    main = random_part(draw, (0.4, draw.uniform(0.3, 0.7), 0.4))
    parts = [with_surface(draw, main)]
    for _ in range(draw.integer(1, 5)):
        size = draw.uniform(0.06, 0.2), draw.uniform(0.1, 0.35), draw.uniform(0.06, 0.2)
        one = random_part(draw, size, material=draw.integer(0, 2))
        one = replace(one, rotation=turned(draw.choice((0.0, math.pi / 2, draw.uniform(-1, 1))), "z"))
        one = replace(one, blend=draw.choice((0.0, 0.0, 0.08)))
        at = draw.uniform(0.8, 1.3) * main.outline_radius
        parts.append(_around(one.moved(at, draw.uniform(-0.8, 0.8) * main.half_height, 0), draw.integer(3, 10)))
    return parts


RECIPES = (
    Recipe(plant, 2.0, ("leaf", "clay", "paint", "dark")),
    Recipe(wheel, 1.8, ("metal", "brass", "wood", "metal")),
    Recipe(rocket, 1.3, ("porcelain", "paint", "metal", "dark")),
    Recipe(blossom, 1.2, ("pastel", "brass", "paint", "leaf")),
    Recipe(carousel, 1.5, ("stone", "paint", "clay", "wood")),
    Recipe(urchin, 3.0),
)
