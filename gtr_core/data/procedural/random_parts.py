"""A primitive of any kind, and what may be done to its surface."""

from __future__ import annotations

import math
from dataclasses import replace

from gtr_core.data.procedural import shapes
from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import Kind, Profile, Wave
from gtr_core.data.procedural.part import Part, Triple


def random_part(draw: Draw, size: Triple, *, material: int = 0, cages: bool = True) -> Part:
    """A primitive that about fills a box of these half extents.

    Args:
        draw: source of the choices.
        size: half extents of the box along the part's axes.
        material: of the part.
        cages: whether wire cages are among the choices.
    """
    kind = draw.choice(("extrusion", "ellipsoid", "lathe", "cage"), (10, 4, 6, 1.5 if cages else 0))
    if kind == "extrusion":
        part = random_extrusion(draw, size)
    elif kind == "ellipsoid":
        limited = _balanced(size, 2.6)
        part = shapes.ball(limited, (draw.choice((2.0, 2.0, 3.0, 5.0, 1.5)), draw.choice((2.0, 2.5, 4.0, 1.6))))
    elif kind == "lathe":
        radius = min(size[0], size[2], 1.6 * size[1])
        smooth = draw.chance(0.65)
        radii = shapes.random_radii(draw, radius, size[1])
        part = shapes.lathe(radii, size[1], smooth=smooth, rounding=draw.uniform(0, 0.06))
    else:
        part = random_cage(draw, size)
    return replace(part, material=material)


def random_extrusion(draw: Draw, size: Triple) -> Part:
    """An extruded profile with taper, twist, a hole, rounded edges."""
    a, half, c = size
    radius = min(a, c)
    outline = draw.choice(tuple(Profile), (6, 5, 3, 2, 2, 1.2))
    corner, rounding = draw.choice((0.0, 0.15, 0.4)) * radius, draw.choice((0.02, 0.1, 0.3)) * min(half, radius)
    if outline == Profile.BOX:
        part = shapes.box(size, corner, rounding)
    elif outline == Profile.CIRCLE:
        part = shapes.cylinder(radius, half, rounding)
    elif outline == Profile.POLYGON:
        part = shapes.prism(draw.choice((3, 5, 6, 8)), 0.85 * radius, half, 0.5 * corner, rounding)
    elif outline == Profile.FLOWER:
        part = shapes.flower(draw.integer(4, 9), radius, draw.uniform(0.2, 0.35) * radius, half, rounding)
    elif outline == Profile.STAR:
        part = shapes.star(draw.integer(4, 8), radius, draw.uniform(0.45, 0.75) * radius, half, 0.1 * radius)
    else:
        part = shapes.cross(radius, draw.uniform(0.25, 0.5) * radius, half, 0.1 * corner, rounding)
    slender = half / part.outline_radius
    if draw.chance(0.4) and slender > 0.3:
        part = replace(part, taper=draw.uniform(-0.75, 0.75) * min(slender, 1.0))
    if draw.chance(0.2) and slender > 0.8:
        part = replace(part, twist=draw.sign() * draw.uniform(0.3, 1.1) / part.outline_radius)
    if draw.chance(0.2) and part.profile != Profile.STAR:
        part = replace(part, pipe=draw.uniform(0.06, 0.16) * radius, rounding=min(part.rounding, 0.05 * radius))
    return part


def random_cage(draw: Draw, size: Triple) -> Part:
    """Wires along the edges of a box, a barrel or a globe."""
    kind = draw.choice((Kind.BOX_CAGE, Kind.BARREL_CAGE, Kind.GLOBE_CAGE))
    bar = draw.uniform(0.025, 0.055)
    count = draw.integer(3, 8)
    if kind == Kind.BOX_CAGE:
        return Part(kind, size, pipe=min(bar, 0.4 * min(size)))
    radius = min(size) if kind == Kind.GLOBE_CAGE else min(size[0], size[2])
    return Part(kind, (radius, size[1], radius), profile_count=count, pipe=min(bar, 0.3 * radius, 0.3 * size[1]))


def with_surface(draw: Draw, part: Part, share: float = 0.4) -> Part:
    """The part with a height field on a share of the cases: waves, ridges or upright ribs; thin parts keep smooth."""
    thin = part.kind in (Kind.BOX_CAGE, Kind.BARREL_CAGE, Kind.GLOBE_CAGE, Kind.ARCH) or part.pipe > 0
    smallest = min(part.size[0], part.size[1], part.outline_radius)
    if thin or part.wave != Wave.NONE or smallest < 0.12 or not draw.chance(share):
        return part
    turned = part.kind == Kind.LATHE or (part.kind == Kind.EXTRUSION and part.profile == Profile.CIRCLE)
    wave = Wave.RIBS if turned and draw.chance(0.5) else draw.choice((Wave.SMOOTH, Wave.RIDGED))
    if wave == Wave.RIBS:
        count = draw.integer(6, 22)
        amplitude = draw.uniform(0.15, 0.55) * part.outline_radius / count
        return replace(
            part, wave=wave, wave_amplitude=amplitude, wave_frequency=(float(count), 0.0, 0.0),
            wave_phase=(part.outline_radius, 0.0, 0.0),
        )  # fmt: skip
    amplitude = draw.uniform(0.04, 0.12) * smallest
    steep = draw.uniform(0.25, 0.6) / amplitude
    frequency = min(steep, draw.uniform(4, 16) / smallest)
    axes = draw.choice(((1, 1, 1), (0, 1, 0), (1, 0, 1), (1, 1, 0.5)), (4, 3, 1, 1))
    x, y, z = (draw.uniform(0, 2 * math.pi) if on else math.pi / 2 for on in axes)
    return replace(
        part, wave=wave, wave_amplitude=amplitude,
        wave_frequency=(axes[0] * frequency, axes[1] * frequency, axes[2] * frequency), wave_phase=(x, y, z),
    )  # fmt: skip


def hollowed(draw: Draw, part: Part) -> Part:
    """The part as an open cup: a wall all around, cut off near its top."""
    wall = draw.uniform(0.06, 0.14) * min(part.size[0], part.size[1], part.outline_radius)
    cut = draw.uniform(0.55, 0.95) * part.half_height
    return replace(part, cup=max(wall, 0.012), cup_height=cut)


def _balanced(size: Triple, ratio: float) -> Triple:
    largest = ratio * min(size)
    return min(size[0], largest), min(size[1], largest), min(size[2], largest)
