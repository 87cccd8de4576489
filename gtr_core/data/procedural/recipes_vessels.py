"""Things that stand alone on a shelf: vessels, bottles, boxes, books, fruit."""

from __future__ import annotations

import math
from dataclasses import replace

from gtr_core.data.procedural import shapes
from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import Fold, Kind
from gtr_core.data.procedural.part import Part, turned
from gtr_core.data.procedural.random_parts import hollowed, random_cage, random_extrusion, random_part, with_surface
from gtr_core.data.procedural.recipe import Recipe


def vase(draw: Draw) -> list[Part]:
    """A turned open vessel, sometimes with one or two handles and a foot."""
    half, radius = draw.uniform(0.5, 1.0), draw.uniform(0.35, 0.75)
    body = shapes.lathe(shapes.random_radii(draw, radius, half, 0.9), half, smooth=draw.chance(0.8), labelled=True)
    wall = draw.uniform(0.03, 0.07) * radius
    parts = [replace(with_surface(draw, body, 0.35), cup=wall, cup_height=0.97 * half)]
    if draw.chance(0.4):
        size = draw.uniform(0.35, 0.6) * half
        at = max(body.radii[3], body.radii[4]) - 0.02
        handle = shapes.arch(size, draw.uniform(0.04, 0.07), position=(at, 0.0, 0.0), material=1)
        parts.append(handle.moved(-0.35 * size, 0.1 * half, 0))
        if draw.chance(0.5):
            parts[-1] = replace(parts[-1], fold=Fold.MIRROR_X)
    if draw.chance(0.4):
        parts.append(shapes.cylinder(body.radii[0] * 1.15, 0.06, 0.03, position=(0, -half, 0), material=1))
    return parts


def mug(draw: Draw) -> list[Part]:
    """A cup with a handle."""
    radius, half = draw.uniform(0.4, 0.7), draw.uniform(0.45, 0.8)
    if draw.chance(0.3):
        body = shapes.prism(draw.choice((6, 8)), radius * 0.9, half, 0.1, 0.05, labelled=True)
    else:
        body = shapes.cylinder(radius, half, 0.08 * radius, taper=draw.uniform(-0.25, 0.3), labelled=True)
    wall = draw.uniform(0.03, 0.06)
    size = draw.uniform(0.5, 0.75) * half
    handle = shapes.arch(size, draw.uniform(0.05, 0.09), position=(radius * 0.92, 0, 0), material=draw.integer(0, 1))
    return [handle, replace(with_surface(draw, body, 0.25), cup=wall, cup_height=0.98 * half)]


def bottle(draw: Draw) -> list[Part]:
    """Body, shoulder, neck and a cap, with a label."""
    radius, half = draw.uniform(0.25, 0.45), draw.uniform(0.6, 0.85)
    neck = draw.uniform(0.3, 0.55) * radius
    shoulder = draw.uniform(0.5, 0.95)
    belly = draw.uniform(0.85, 1.0) * radius
    radii = (radius * 0.92, radius, belly, belly, radius, shoulder * radius, neck, neck)
    body = shapes.lathe(radii, half, smooth=True, rounding=0.02, labelled=draw.chance(0.75))
    if draw.chance(0.25):
        body = shapes.box(
            (radius, half * 0.8, radius * draw.uniform(0.6, 1)), 0.2 * radius, 0.1 * radius, labelled=True
        )
    top = body.half_height
    cap = shapes.cylinder(neck * draw.uniform(1.05, 1.4), draw.uniform(0.06, 0.14), 0.02, material=2)
    cap = cap.moved(0, top + cap.half_height * 0.9, 0)
    return [body, with_surface(draw, cap, 0.6)]


def package(draw: Draw) -> list[Part]:
    """A box with print, perhaps with a lid, a ribbon or a window."""
    size = draw.uniform(0.4, 0.9), draw.uniform(0.3, 0.95), draw.uniform(0.15, 0.8)
    parts = [shapes.box(size, 0.02, 0.02, labelled=True)]
    what = draw.choice(("plain", "lid", "ribbon", "handle"))
    if what == "lid":
        parts.append(
            shapes.box((size[0] * 1.05, 0.12, size[2] * 1.05), 0.03, 0.02, position=(0, size[1], 0), material=1)
        )
    elif what == "ribbon":
        parts.append(shapes.box((0.1, size[1] + 0.02, size[2] + 0.02), material=2))
        parts.append(shapes.box((size[0] + 0.02, size[1] + 0.02, 0.1), material=2))
        parts.append(shapes.ball((0.2, 0.12, 0.12), position=(0.17, size[1] + 0.1, 0), fold=Fold.MIRROR_X, material=2))
    elif what == "handle":
        grip = shapes.arch(0.4 * size[0], 0.04, rotation=turned(-math.pi / 2, "z"), material=1)
        parts.append(grip.moved(0, size[1] - 0.02, 0))
    return parts


def book(draw: Draw) -> list[Part]:
    """Pages between two covers; sometimes a small pile of books."""
    parts: list[Part] = []
    y = 0.0
    for number in range(draw.integer(1, 4)):
        thick = draw.uniform(0.06, 0.2)
        wide, deep = draw.uniform(0.5, 0.7), draw.uniform(0.7, 0.95)
        turn = turned(draw.uniform(-0.3, 0.3) if number else 0.0)
        y += thick
        if len(parts) < 6:
            pages = shapes.box((wide - 0.05, thick - 0.02, deep - 0.04), material=3, rotation=turn, position=(0, y, 0))
            cover = shapes.box((wide, thick, deep), 0.03, 0.01, rotation=turn, position=(0, y, 0), material=number % 3)
            spine = shapes.box((0.03, thick, deep), rotation=turn, position=(-wide * turn[0][0], y, wide * turn[2][0]))
            flat = replace(cover, size=(wide, 0.03, deep), labelled=True)
            parts += [pages, flat.moved(0, thick - 0.02, 0), replace(spine, material=number % 3)]
        y += thick
    return parts[:9]


def fruit(draw: Draw) -> list[Part]:
    """A ribbed or smooth body with a stalk and a leaf."""
    size = draw.uniform(0.6, 0.9)
    tall = draw.uniform(0.6, 1.2) * size
    body = shapes.ball((size, tall, size), (2.0, draw.choice((2.0, 2.4))))
    if draw.chance(0.5):
        body = shapes.lathe(tuple(size * v for v in (0.35, 0.8, 0.98, 1, 0.97, 0.85, 0.6, 0.3)), tall, rounding=0.1)
        body = with_surface(draw, body, 1.0)
    stalk = shapes.capsule(0.06, 0.2, position=(0, tall + 0.08, 0), rotation=turned(0.3, "z"), material=1)
    leaf = shapes.ball((0.3, 0.04, 0.14), position=(0.28, tall + 0.08, 0), rotation=turned(0.4, "z"), material=2)
    return [body, stalk] + ([leaf] if draw.chance(0.6) else [])


def ornament(draw: Draw) -> list[Part]:
    """One shape of its own: a twisted column, a star, a ring, an eroded lump."""
    size = draw.uniform(0.4, 0.8), draw.uniform(0.4, 1.0), draw.uniform(0.4, 0.8)
    part = random_extrusion(draw, size) if draw.chance(0.5) else random_part(draw, size)
    part = with_surface(draw, replace(part, labelled=draw.chance(0.3)), 0.5)
    if draw.chance(0.3) and part.pipe == 0 and part.kind in (Kind.LATHE, Kind.EXTRUSION, Kind.SUPERELLIPSOID):
        part = hollowed(draw, part)
    return [part]


def caged(draw: Draw) -> list[Part]:
    """Something inside a wire cage, on a floor: a lantern, a crate, a bird cage."""
    size = draw.uniform(0.45, 0.75), draw.uniform(0.55, 0.95), draw.uniform(0.45, 0.75)
    cage = replace(random_cage(draw, size), material=1)
    radius = cage.outline_radius * (0.7 if cage.kind == Kind.BOX_CAGE else 1.0)
    inside = random_part(draw, (0.45 * radius, 0.5 * cage.half_height, 0.45 * radius), cages=False)
    inside = inside.moved(0, inside.half_height - cage.half_height + 0.03, 0)
    floor = shapes.cylinder(radius, 0.05, 0.02, material=2).moved(0, -cage.half_height, 0)
    ring = shapes.arch(0.16, 0.03, closed=True, material=1).moved(0, cage.half_height + 0.14, 0)
    return [cage, inside, floor] + ([ring] if draw.chance(0.5) else [])


def tool(draw: Draw) -> list[Part]:
    """A handle with a head: hammer, brush, spoon, racket."""
    long = draw.uniform(0.6, 0.9)
    handle = shapes.capsule(draw.uniform(0.05, 0.1), long, material=1)
    head = draw.choice(("block", "spoon", "ring", "brush"))
    if head == "block":
        top = random_extrusion(draw, (0.18, draw.uniform(0.3, 0.5), 0.2))
        top = replace(top, rotation=turned(math.pi / 2, "z"), twist=0.0)
    elif head == "spoon":
        top = hollowed(draw, shapes.ball((0.28, 0.2, 0.36)))
        top = replace(top, cup_height=0.0, cup=0.03, rotation=turned(math.pi / 2, "x"))
    elif head == "ring":
        top = shapes.arch(0.36, 0.06, closed=True)
    else:
        top = shapes.box((0.14, 0.4, 0.16), 0.05, 0.03)
    grip = shapes.cylinder(handle.size[0] * 1.3, 0.25 * long, 0.03, position=(0, -0.65 * long, 0), material=2)
    return [handle, top.moved(0, long + 0.2, 0), with_surface(draw, grip, 0.5)]


def lidded(draw: Draw) -> list[Part]:
    """A pot with a lid and a knob, perhaps with a spout and a handle."""
    radius, half = draw.uniform(0.5, 0.7), draw.uniform(0.35, 0.6)
    curve = draw.uniform(0.6, 0.95)
    body = shapes.lathe(tuple(radius * v for v in (curve, 0.9, 1, 1, 1, 0.97, 0.9, 0.8)), half, rounding=0.04)
    lid = shapes.ball((radius * 0.8, draw.uniform(0.1, 0.3), radius * 0.8), position=(0, half, 0), material=1)
    knob = random_part(draw, (0.1, 0.1, 0.1), material=2, cages=False).moved(0, half + lid.size[1] + 0.05, 0)
    parts = [with_surface(draw, body, 0.3), lid, knob]
    if draw.chance(0.6):
        parts.append(shapes.arch(0.6 * half, 0.055, position=(radius * 0.85, 0, 0), material=1))
    if draw.chance(0.6):
        spout = shapes.cylinder(0.11, 0.36, 0.02, taper=-0.4, rotation=turned(0.7, "z"), material=0)
        parts.append(spout.moved(-radius - 0.08, 0.1, 0))
    return parts


RECIPES = (
    Recipe(vase, 3.0, ("clay", "porcelain", "stone", "brass")),
    Recipe(mug, 2.0, ("porcelain", "paint", "pastel", "dark")),
    Recipe(bottle, 2.5, ("paint", "leaf", "metal", "dark")),
    Recipe(package, 3.0, ("pastel", "paint", "paint", "wood")),
    Recipe(book, 1.2, ("cloth", "paint", "dark", "porcelain")),
    Recipe(fruit, 1.2, ("paint", "wood", "leaf", "leaf")),
    Recipe(ornament, 5.0),
    Recipe(caged, 2.0, ("clay", "metal", "wood", "dark")),
    Recipe(tool, 1.8, ("metal", "wood", "dark", "metal")),
    Recipe(lidded, 1.8, ("porcelain", "pastel", "brass", "clay")),
)
