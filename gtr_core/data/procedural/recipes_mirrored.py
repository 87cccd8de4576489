"""Things with a left and a right side: furniture, vehicles, figures."""

from __future__ import annotations

import math
from dataclasses import replace

from gtr_core.data.procedural import shapes
from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import Fold
from gtr_core.data.procedural.part import Part, Rows, turned
from gtr_core.data.procedural.random_parts import random_extrusion, random_part, with_surface
from gtr_core.data.procedural.recipe import Recipe


def _leg(draw: Draw, radius: float, half: float) -> Part:
    style = draw.choice(("round", "square", "turned"))
    if style == "round":
        return shapes.cylinder(radius, half, 0.01, taper=draw.uniform(-0.1, 0.4))
    if style == "square":
        return shapes.box((radius, half, radius), 0.01, 0.01, taper=draw.uniform(-0.1, 0.35))
    return shapes.lathe(shapes.random_radii(draw, 1.3 * radius, half), half, smooth=draw.chance(0.7))


def table(draw: Draw) -> list[Part]:
    """A top on four legs or one foot, perhaps with a shelf or an apron."""
    wide, deep, tall = draw.uniform(0.6, 0.95), draw.uniform(0.4, 0.8), draw.uniform(0.35, 0.7)
    thick = draw.uniform(0.04, 0.1)
    if draw.chance(0.35):
        deep = wide
        top = shapes.cylinder(wide, thick, 0.4 * thick)
    else:
        top = shapes.box((wide, thick, deep), draw.uniform(0.0, 0.2), 0.3 * thick)
    parts = [top.moved(0, tall, 0)]
    reach = 0.66 if top.profile == 1 else 0.86
    leg = _leg(draw, draw.uniform(0.05, 0.09), tall / 2)
    leg = replace(leg, fold=Fold.MIRROR_XZ, material=1, rotation=turned(draw.choice((0.0, 0.0, 0.15)), "z"))
    parts.append(leg.moved(wide * reach, tall / 2, deep * reach))
    if draw.chance(0.4):
        parts.append(
            shapes.box((wide * reach, 0.03, deep * reach), position=(0, 0.3 * tall, 0), material=draw.integer(0, 2))
        )
    if draw.chance(0.4) and top.profile != 1:
        apron = shapes.box((wide * 0.9, 0.1, deep * 0.85), position=(0, tall - 0.12, 0), material=1)
        parts.append(apron)
    if draw.chance(0.3):
        parts.append(
            random_part(draw, (0.18, 0.22, 0.18), material=2).moved(draw.uniform(-0.3, 0.3), tall + thick + 0.2, 0)
        )
    return parts


def chair(draw: Draw) -> list[Part]:
    """A seat with legs, a back, perhaps arms and cushions."""
    wide, deep, tall = draw.uniform(0.4, 0.6), draw.uniform(0.4, 0.6), draw.uniform(0.35, 0.55)
    thick = draw.uniform(0.05, 0.16)
    seat = shapes.box((wide, thick, deep), 0.1, 0.45 * thick, position=(0, tall, 0))
    leg = replace(_leg(draw, draw.uniform(0.04, 0.07), tall / 2), fold=Fold.MIRROR_XZ, material=1)
    parts = [with_surface(draw, seat, 0.2), leg.moved(wide * 0.85, tall / 2, deep * 0.85)]
    high = draw.uniform(0.3, 0.55)
    lean = turned(draw.uniform(-0.25, 0.0), "x")
    if draw.chance(0.6):
        back = shapes.box((wide, high, 0.06), 0.03, 0.05, rotation=lean, material=draw.choice((0, 1)))
        parts.append(back.moved(0, tall + high, -deep + 0.02))
    else:
        rail = shapes.box((wide, 0.08, 0.05), 0.02, 0.03, material=1).moved(0, tall + 2 * high, -deep + 0.04)
        post = shapes.capsule(0.04, high + 0.05, fold=Fold.MIRROR_X, material=1)
        parts += [rail, post.moved(wide * 0.88, tall + high, -deep + 0.04)]
        parts.append(post.moved(wide * draw.uniform(0.2, 0.4), tall + high, -deep + 0.04))
    if draw.chance(0.4):
        arm = shapes.box((0.06, 0.05, deep * 0.9), 0.03, 0.03, fold=Fold.MIRROR_X, material=1)
        parts.append(arm.moved(wide, tall + 0.35, 0))
        parts.append(
            shapes.capsule(0.04, 0.2, fold=Fold.MIRROR_X, material=1, position=(wide, tall + 0.17, deep * 0.7))
        )
    if draw.chance(0.4):
        parts.append(shapes.ball((wide * 0.85, 0.12, deep * 0.85), (5, 2), position=(0, tall + thick, 0), material=2))
    return parts


def cabinet(draw: Draw) -> list[Part]:
    """A body with doors or drawers, knobs and feet."""
    wide, tall, deep = draw.uniform(0.4, 0.8), draw.uniform(0.5, 0.95), draw.uniform(0.3, 0.5)
    parts = [shapes.box((wide, tall, deep), 0.02, 0.02)]
    rows = draw.integer(1, 3)
    for row in range(rows):
        y = tall * (2 * (row + 0.5) / rows - 1)
        door = shapes.box((wide * 0.44, tall / rows * 0.88, 0.03), 0.02, 0.015, fold=Fold.MIRROR_X, material=1)
        parts.append(door.moved(wide * 0.48, y, deep))
        knob = shapes.ball((0.05, 0.05, 0.05), fold=Fold.MIRROR_X, material=2)
        parts.append(knob.moved(wide * draw.choice((0.12, 0.48)), y, deep + 0.07))
    foot = _leg(draw, 0.06, 0.12)
    parts.append(replace(foot, fold=Fold.MIRROR_XZ, material=2, position=(wide * 0.85, -tall - 0.1, deep * 0.8)))
    if draw.chance(0.5):
        parts.append(shapes.box((wide * 1.07, 0.05, deep * 1.1), 0.03, 0.03, position=(0, tall, 0), material=1))
    return parts[:9]


def vehicle(draw: Draw) -> list[Part]:
    """A car, a truck, a cart: body, cabin, wheels with hubs, lights."""
    long, wide, tall = draw.uniform(0.7, 0.95), draw.uniform(0.3, 0.45), draw.uniform(0.14, 0.28)
    body = shapes.box((wide, tall, long), draw.uniform(0.03, 0.2), draw.uniform(0.03, 0.1), labelled=draw.chance(0.3))
    wheel = draw.uniform(0.17, 0.28)
    side = turned(math.pi / 2, "z")
    tyre = shapes.cylinder(wheel, 0.09, 0.04, rotation=side, fold=Fold.MIRROR_XZ, material=3)
    hub = shapes.cylinder(wheel * 0.5, 0.11, 0.02, rotation=side, fold=Fold.MIRROR_XZ, material=2)
    place = (wide, -tall, long * draw.uniform(0.5, 0.65))
    parts = [body, tyre.moved(*place), hub.moved(*place)]
    high = draw.uniform(0.2, 0.4)
    at = draw.uniform(-0.4, 0.5) * long
    if draw.chance(0.5):
        cabin = shapes.box((wide * 0.9, high, long * 0.4), 0.05, 0.05, taper=-draw.uniform(0.1, 0.35), material=1)
    else:
        cabin = shapes.ball((wide * 0.92, high * 1.2, long * 0.55), (3.5, 2.5), material=1)
    parts.append(cabin.moved(0, tall + 0.6 * high, at))
    light = shapes.ball((0.07, 0.07, 0.05), fold=Fold.MIRROR_X, material=2)
    parts.append(light.moved(wide * 0.7, 0.2 * tall, long))
    if draw.chance(0.5):
        load = random_part(draw, (wide * 0.8, draw.uniform(0.2, 0.4), long * 0.35), material=2)
        parts.append(load.moved(0, tall + load.half_height, -0.55 * long if at > 0 else 0.55 * long))
    if draw.chance(0.4):
        parts.append(shapes.box((wide * 1.05, 0.05, 0.06), 0.02, 0.02, material=3, position=(0, -0.5 * tall, long)))
    return parts


def figure(draw: Draw) -> list[Part]:
    """A standing toy: body, head, eyes, arms, legs, ears or a hat."""
    tall, wide = draw.uniform(0.35, 0.5), draw.uniform(0.25, 0.42)
    blend = draw.choice((0.0, 0.0, 0.12))
    body = draw.choice((
        shapes.ball((wide, tall, wide * 0.8), (2.2, 2.2)),
        shapes.cylinder(wide, tall, 0.1, taper=draw.uniform(-0.45, 0.2)),
        shapes.box((wide, tall, wide * 0.7), 0.08, 0.08),
    ))  # fmt: skip
    head_size = draw.uniform(0.2, 0.36)
    exponent = draw.choice((2.0, 2.0, 5.0))
    head = shapes.ball((head_size, head_size * draw.uniform(0.8, 1.1), head_size), (exponent, exponent), material=1)
    neck = tall + head.size[1] * 0.85
    mirror = Fold.MIRROR_X
    eye = shapes.ball((0.05, 0.06, 0.04), fold=mirror, material=3)
    parts = [
        replace(with_surface(draw, body, 0.2), labelled=draw.chance(0.3)),
        replace(head.moved(0, neck, 0), blend=blend),
        eye.moved(head_size * 0.4, neck + 0.05, head_size * 0.92),
    ]
    arm = shapes.capsule(draw.uniform(0.06, 0.1), draw.uniform(0.25, 0.4), fold=mirror, material=draw.integer(0, 1))
    swing = turned(draw.uniform(-2.4, 0.6), "x", turned(draw.uniform(0.15, 1.0), "z"))
    parts.append(replace(arm.moved(wide + 0.06, tall * 0.4, 0.03), rotation=swing, blend=blend))
    leg = shapes.capsule(draw.uniform(0.08, 0.13), draw.uniform(0.22, 0.4), fold=mirror, material=2)
    parts.append(replace(leg.moved(wide * 0.55, -tall - leg.half_height * 0.7, 0), blend=blend))
    if draw.chance(0.5):
        foot = shapes.ball((0.12, 0.08, 0.18), fold=mirror, material=3)
        parts.append(foot.moved(wide * 0.55, -tall - 1.65 * leg.half_height, 0.07))
    extra = draw.choice(("ears", "hat", "none"))
    if extra == "ears":
        ear = shapes.ball((0.08, draw.uniform(0.08, 0.3), 0.05), fold=mirror, material=1)
        parts.append(ear.moved(head_size * 0.6, neck + head.size[1] * 1.05, 0))
    elif extra == "hat":
        hat = random_extrusion(draw, (head_size, 0.15, head_size))
        parts.append(replace(hat.moved(0, neck + head.size[1] + 0.1, 0), material=2))
    return parts


def animal(draw: Draw) -> list[Part]:
    """Four legs, a long body, neck, head, tail."""
    long, wide = draw.uniform(0.45, 0.65), draw.uniform(0.22, 0.34)
    body = shapes.ball((wide, wide * draw.uniform(0.9, 1.2), long), (2.2, 2.2))
    low = draw.uniform(0.2, 0.45)
    blend = draw.uniform(0.05, 0.15)
    leg = shapes.capsule(draw.uniform(0.06, 0.1), low + 0.1, fold=Fold.MIRROR_XZ, blend=blend)
    head_size = draw.uniform(0.16, 0.26)
    up, front = draw.uniform(0.2, 0.7), long + draw.uniform(0.0, 0.15)
    neck = shapes.capsule(0.11, 0.5 * up + 0.15, rotation=turned(0.45, "x"), blend=blend)
    head = shapes.ball(
        (head_size, head_size, head_size * draw.uniform(1, 1.7)), blend=0.08, material=draw.integer(0, 1)
    )
    tail = shapes.capsule(0.05, draw.uniform(0.15, 0.35), rotation=turned(-draw.uniform(0.4, 1.2), "x"), blend=0.05)
    ear = shapes.ball((0.06, draw.uniform(0.1, 0.22), 0.05), fold=Fold.MIRROR_X, material=1)
    eye = shapes.ball((0.04, 0.04, 0.04), fold=Fold.MIRROR_X, material=3)
    return [
        with_surface(draw, body, 0.3),
        leg.moved(wide * 0.6, -wide * 0.5 - low * 0.7, long * 0.6),
        neck.moved(0, 0.5 * up, long * 0.8),
        head.moved(0, up + 0.1, front),
        tail.moved(0, 0.25, -long * 1.05),
        ear.moved(head_size * 0.6, up + 0.1 + head_size, front - 0.05),
        eye.moved(head_size * 0.75, up + 0.2, front + head_size * 0.7),
    ]


def airplane(draw: Draw) -> list[Part]:
    """A fuselage with wings, a tail and engines."""
    long, radius = draw.uniform(0.7, 0.95), draw.uniform(0.1, 0.2)
    body = shapes.ball((radius, radius, long), (2.0, 2.0))
    if draw.chance(0.5):
        body = replace(shapes.capsule(radius, long), rotation=turned(math.pi / 2, "x"))
    chord, span = draw.uniform(0.12, 0.24), draw.uniform(0.35, 0.5)
    wing = shapes.box((chord, span, 0.025), 0.02, 0.02, taper=-draw.uniform(0.0, 0.6), fold=Fold.MIRROR_X, material=1)
    flat: Rows = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    wing = replace(wing, rotation=turned(draw.uniform(-0.15, 0.25), "z", flat))
    parts = [body, wing.moved(span + 0.5 * radius, draw.uniform(-0.5, 0.5) * radius, draw.uniform(-0.1, 0.3))]
    small = replace(wing, size=(0.6 * chord, 0.4 * span, 0.02))
    parts.append(small.moved(0.4 * span, 0.1 * radius, -0.85 * long))
    parts.append(
        shapes.box((0.02, 0.17, 0.6 * chord), 0.0, 0.01, taper=-0.3, material=1).moved(0, radius, -0.85 * long)
    )
    if draw.chance(0.6):
        engine = shapes.cylinder(0.08, 0.15, 0.03, fold=Fold.MIRROR_X, rotation=turned(math.pi / 2, "x"), material=2)
        parts.append(engine.moved(span, -0.06, parts[1].position[2] + 0.1))
    if draw.chance(0.5):
        glass = shapes.ball(
            (0.7 * radius, 0.6 * radius, 0.25 * long), position=(0, 0.7 * radius, 0.4 * long), material=3
        )
        parts.append(glass)
    return parts


def sofa(draw: Draw) -> list[Part]:
    """A bench or sofa: seat, back, arms, cushions, feet."""
    wide, deep, thick = draw.uniform(0.7, 0.95), draw.uniform(0.3, 0.45), draw.uniform(0.1, 0.18)
    soft = 0.9 * thick if draw.chance(0.6) else 0.02
    seat = shapes.box((wide, thick, deep), 0.1, soft)
    high = draw.uniform(0.25, 0.4)
    back = shapes.box((wide, high, 0.5 * thick), 0.05, 0.5 * soft).moved(0, high, -deep)
    arm = shapes.box((0.5 * thick, 0.6 * high, deep), 0.05, 0.5 * soft, fold=Fold.MIRROR_X, material=draw.integer(0, 1))
    count = draw.choice((0, 1, 2))
    parts = [with_surface(draw, seat, 0.2), back, arm.moved(wide, 0.5 * high, 0)]
    if count:
        pillow = shapes.ball((0.42 * wide, 0.08, 0.8 * deep), (6, 2.5), fold=Fold.MIRROR_X, material=2)
        parts.append(pillow.moved(0.46 * wide, thick, 0.05))
    if count == 2:
        pillow = shapes.ball((0.2, 0.2, 0.08), (4, 2), rotation=turned(-0.3, "x"), material=3)
        parts.append(pillow.moved(draw.uniform(-0.5, 0.5) * wide, thick + 0.2, -0.6 * deep))
    foot = replace(_leg(draw, 0.05, 0.1), fold=Fold.MIRROR_XZ, material=1)
    return [*parts, foot.moved(0.85 * wide, -thick - 0.08, 0.75 * deep)]


def gadget(draw: Draw) -> list[Part]:
    """A camera, a radio, a clock: a box with round things on its front and knobs on top."""
    size = draw.uniform(0.5, 0.9), draw.uniform(0.35, 0.6), draw.uniform(0.12, 0.3)
    body = shapes.box(size, 0.05, draw.uniform(0.02, 0.1), labelled=draw.chance(0.3))
    forward = turned(math.pi / 2, "x")
    lens = 0.75 * size[1] * draw.uniform(0.6, 1.0)
    twin = draw.chance(0.4)
    fold, at = (Fold.MIRROR_X, 0.55 * size[0]) if twin else (Fold.NONE, 0.0)
    lens = min(lens, 0.42 * size[0]) if twin else lens
    tube = shapes.cylinder(
        lens, draw.uniform(0.05, 0.25), 0.02, pipe=0.12 * lens, rotation=forward, fold=fold, material=1
    )
    glass = shapes.ball((0.78 * lens, 0.78 * lens, 0.06), fold=fold, material=3)
    parts = [body, tube.moved(at, 0, size[2]), glass.moved(at, 0, size[2])]
    knob = with_surface(draw, shapes.cylinder(0.1, 0.07, 0.02, material=2), 0.7)
    parts.append(replace(knob.moved(0.6 * size[0], size[1] + 0.05, 0), fold=draw.choice((Fold.NONE, Fold.MIRROR_X))))
    button = shapes.ball((0.05, 0.05, 0.04), fold=draw.choice((Fold.NONE, Fold.MIRROR_X)), material=2)
    parts.append(button.moved(draw.uniform(0.2, 0.85) * size[0], 0.8 * size[1], size[2]))
    if draw.chance(0.4):
        grip = shapes.arch(0.5 * size[0], 0.04, rotation=turned(-math.pi / 2, "z"), material=1)
        parts.append(grip.moved(0, size[1] - 0.03, 0))
    return parts


def symmetric(draw: Draw) -> list[Part]:
    """A main body with random pairs of parts at its sides."""
    main = random_part(draw, (draw.uniform(0.3, 0.5), draw.uniform(0.4, 0.8), draw.uniform(0.3, 0.5)))
    parts = [with_surface(draw, main)]
    for _ in range(draw.integer(2, 7)):
        size = draw.uniform(0.08, 0.3), draw.uniform(0.08, 0.4), draw.uniform(0.08, 0.3)
        one = random_part(draw, size, material=draw.integer(0, 2))
        where = (draw.uniform(0.7, 1.15) * main.outline_radius, draw.uniform(-0.8, 0.8) * main.half_height)
        turn = turned(draw.choice((0.0, math.pi / 2, draw.uniform(-1, 1))), "z")
        fold = Fold.MIRROR_XZ if draw.chance(0.3) else Fold.MIRROR_X
        one = replace(one, fold=fold, rotation=turn, blend=draw.choice((0.0, 0.0, 0.1)))
        depth = draw.uniform(0.0, 0.9) * main.outline_radius
        parts.append(one.moved(where[0], where[1], depth))
    return parts


RECIPES = (
    Recipe(table, 2.0, ("wood", "wood", "porcelain", "metal")),
    Recipe(chair, 2.0, ("cloth", "wood", "cloth", "wood")),
    Recipe(cabinet, 1.5, ("wood", "wood", "brass", "metal")),
    Recipe(sofa, 1.5, ("cloth", "wood", "pastel", "cloth")),
    Recipe(vehicle, 2.5, ("paint", "porcelain", "metal", "dark")),
    Recipe(airplane, 1.3, ("porcelain", "paint", "metal", "dark")),
    Recipe(gadget, 1.5, ("dark", "metal", "brass", "dark")),
    Recipe(figure, 2.5, ("cloth", "pastel", "cloth", "dark")),
    Recipe(animal, 1.5, ("clay", "wood", "stone", "dark")),
    Recipe(symmetric, 4.0),
)
