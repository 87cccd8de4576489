"""Words for the usual primitives, with sizes in the units of the object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import RADII, Kind, Profile
from gtr_core.data.procedural.part import Part, Triple


def box(size: Triple, corner: float = 0.0, rounding: float = 0.0, **more: Any) -> Part:
    """A block of these half extents; ``corner`` rounds its upright edges, ``rounding`` the others."""
    smallest = min(size)
    corner, rounding = min(corner, 0.95 * min(size[0], size[2])), min(rounding, 0.95 * smallest)
    return Part(Kind.EXTRUSION, size, profile=Profile.BOX, profile_corner=corner, rounding=rounding, **more)


def cylinder(radius: float, half: float, rounding: float = 0.0, **more: Any) -> Part:
    """Upright; with ``taper`` a cone, with ``pipe`` a tube."""
    rounding = min(rounding, 0.95 * half, 0.95 * radius)
    return Part(Kind.EXTRUSION, (radius, half, radius), profile=Profile.CIRCLE, rounding=rounding, **more)


def prism(count: int, radius: float, half: float, corner: float = 0.0, rounding: float = 0.0, **more: Any) -> Part:
    """A regular polygon with sides at ``radius`` from the axis, extruded."""
    corner, rounding = min(corner, 0.9 * radius), min(rounding, 0.9 * half, 0.9 * radius)
    return Part(
        Kind.EXTRUSION, (radius, half, radius), profile=Profile.POLYGON, profile_count=count, profile_corner=corner,
        rounding=rounding, **more,
    )  # fmt: skip


def flower(count: int, radius: float, petal: float, half: float, rounding: float = 0.0, **more: Any) -> Part:
    """Round petals of radius ``petal`` that reach to ``radius``, extruded."""
    return Part(
        Kind.EXTRUSION, (radius, half, petal), profile=Profile.FLOWER, profile_count=count,
        rounding=min(rounding, 0.9 * half, 0.5 * petal), **more,
    )  # fmt: skip


def star(count: int, radius: float, notch: float, half: float, corner: float = 0.0, **more: Any) -> Part:
    """A star with points at ``radius`` and notches at ``notch``, extruded."""
    return Part(
        Kind.EXTRUSION, (radius, half, notch), profile=Profile.STAR, profile_count=count,
        profile_corner=min(corner, 0.5 * notch), **more,
    )  # fmt: skip


def cross(long: float, short: float, half: float, corner: float = 0.0, rounding: float = 0.0, **more: Any) -> Part:
    """A plus sign of two bars, extruded."""
    corner, rounding = min(corner, 0.9 * short), min(rounding, 0.9 * half, 0.9 * short)
    return Part(
        Kind.EXTRUSION, (long, half, short), profile=Profile.CROSS, profile_corner=corner, rounding=rounding, **more
    )


def ball(size: Triple, exponents: tuple[float, float] = (2.0, 2.0), **more: Any) -> Part:
    """A superellipsoid: 2 round, above 4 nearly a box, below 2 pointed."""
    return Part(Kind.SUPERELLIPSOID, size, exponents=exponents, **more)


def lathe(radii: Sequence[float], half: float, *, smooth: bool = True, rounding: float = 0.0, **more: Any) -> Part:
    """Turned about y: ``RADII`` radii from the lower to the upper end."""
    if len(radii) != RADII:
        raise ValueError(f"a lathe has {RADII} radii, got {len(radii)}")
    size = (max(radii), half, max(radii))
    rounding = min(rounding, 0.9 * half, 0.9 * min(radii))
    return Part(Kind.LATHE, size, radii=tuple(radii), smooth=smooth, rounding=max(rounding, 0.0), **more)


def arch(radius: float, tube: float, *, closed: bool = False, **more: Any) -> Part:
    """Half a ring in the x-y plane, open to -x; a whole one when closed."""
    return Part(Kind.ARCH, (radius, tube, tube), profile_count=2 if closed else 1, **more)


def capsule(radius: float, half: float, **more: Any) -> Part:
    """A rod with round ends; ``half`` is half its whole length."""
    half = max(half, 1.05 * radius)
    return cylinder(radius, half, rounding=radius, **more)


def random_radii(draw: Draw, radius: float, half: float, steepest: float = 1.1) -> tuple[float, ...]:
    """A profile to turn, that never gets steeper than the tracer likes and nowhere thinner than a tenth."""
    step = steepest * 2 * half / (RADII - 1)
    radii = [draw.uniform(0.25, 1.0) * radius]
    for _ in range(RADII - 1):
        target = radii[-1] + draw.uniform(-1, 1) * step * draw.choice((0.2, 0.6, 1.0))
        radii.append(min(max(target, 0.12 * radius), radius))
    largest = max(radii)
    # Wide profiles of low height would become steep when stretched to the radius.
    stretch = min(radius / largest, 1.3)
    return tuple(value * stretch for value in radii)
