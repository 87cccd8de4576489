"""A part of an object as the generator handles it: a primitive, its place, and what is done to its surface."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gtr_core.data.procedural.layout import RADII, Fold, Kind, Profile, Projection, Record, Wave, rounded

Triple = tuple[float, float, float]
Rows = tuple[Triple, Triple, Triple]

UPRIGHT: Rows = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Part:
    """One primitive with its modifiers, in the space of its object.

    The part's own axis is y: extrusions, lathes and barrels stand on it.

    Args:
        kind: which primitive.
        size: half extents along the part's axes; for ARCH radius, tube, unused; STAR and FLOWER use x and z as
            kernel/shape.h says.
        position: of its centre.
        rotation: rows are the part's axes in the object's space.
        fold: reflections that repeat it, ``fold_count`` times for RADIAL.
        rounding: radius of the edges of an extrusion or a lathe.
        profile: outline of an extrusion, with ``profile_count`` corners, petals, points or bars and rounded corners.
        taper: relative growth of the outline at the top, in (-1, 1); the lower end shrinks as much.
        twist: radians per unit of height.
        pipe: half thickness of the wall of a pipe or of the bars of a cage; 0 = solid.
        exponents: of a superellipsoid, around y and along y; 2 = round, large = square.
        radii: of a lathe from its lower to its upper end; ``smooth`` makes curves of them.
        cup: half thickness of the wall when hollowed; 0 = solid. What is above ``cup_height`` is cut off.
        wave: height field, with its amplitude, angular frequency per axis (RIBS: number of ribs) and phase.
        blend: radius of the smooth union with the parts before it (of the smooth cut, for a cutter).
        material: which of the object's materials it has.
        labelled: whether a label may be printed on it.
    """

    kind: Kind
    size: Triple
    position: Triple = (0.0, 0.0, 0.0)
    rotation: Rows = UPRIGHT
    fold: Fold = Fold.NONE
    fold_count: int = 1
    rounding: float = 0.0
    profile: Profile = Profile.BOX
    profile_count: int = 4
    profile_corner: float = 0.0
    taper: float = 0.0
    twist: float = 0.0
    pipe: float = 0.0
    exponents: tuple[float, float] = (2.0, 2.0)
    radii: tuple[float, ...] = (0.0,) * RADII
    smooth: bool = False
    cup: float = 0.0
    cup_height: float = 0.0
    wave: Wave = Wave.NONE
    wave_amplitude: float = 0.0
    wave_frequency: Triple = (0.0, 0.0, 0.0)
    wave_phase: Triple = (0.0, 0.0, 0.0)
    blend: float = 0.0
    material: int = 0
    labelled: bool = False

    def moved(self, x: float, y: float, z: float) -> Part:
        """The same part somewhere else."""
        px, py, pz = self.position
        return replace(self, position=(px + x, py + y, pz + z))

    @property
    def outline_radius(self) -> float:
        """Of a circle around the y axis that holds the outline, without taper and waves."""
        a, _, c = self.size
        match self.kind:
            case Kind.LATHE:
                return max(self.radii)
            case Kind.EXTRUSION if self.profile in (Profile.BOX, Profile.CROSS):
                return math.hypot(a, c)
            case Kind.EXTRUSION if self.profile == Profile.POLYGON:
                return a / math.cos(math.pi / self.profile_count)
            case Kind.EXTRUSION if self.profile == Profile.STAR:
                return max(a, c)
            case Kind.BOX_CAGE | Kind.SUPERELLIPSOID:
                return math.hypot(a, c)
            case Kind.ARCH:
                return self.size[0] + self.size[1]
        return a

    @property
    def radius(self) -> float:
        """Of a sphere around its centre that holds it."""
        outline, half = self.outline_radius * (1 + abs(self.taper)), self.size[1]
        bulge = 1.5 * self.wave_amplitude
        match self.kind:
            case Kind.ARCH:
                return outline + bulge
            case Kind.GLOBE_CAGE:
                return self.size[0] + bulge
            case Kind.SUPERELLIPSOID:
                grown = 1 + self.wave_amplitude / min(self.size)
                round_radius = max(self.size) * math.prod(2 ** max(0.5 - 1 / e, 0.0) for e in self.exponents)
                return min(math.hypot(*self.size), round_radius) * grown
        return math.hypot(outline, half) + bulge

    @property
    def lipschitz(self) -> float:
        """Upper bound of the gradient of the primitive with its wave: what the steps must be divided by."""
        slope = 0.0
        if self.kind == Kind.EXTRUSION:
            outline = self.outline_radius * (1 + abs(self.taper))
            slope = abs(self.taper) * self.outline_radius / self.size[1] + abs(self.twist) * outline
        elif self.kind == Kind.LATHE:
            steepest = max(abs(b - a) for a, b in zip(self.radii, self.radii[1:], strict=False))
            slope = steepest * (RADII - 1) / (2 * self.size[1]) * (1.5 if self.smooth else 1.0)
        bound = (slope + math.sqrt(slope * slope + 4)) / 2
        if self.kind == Kind.SUPERELLIPSOID:
            bound = math.prod(2 ** max(1 / e - 0.5, 0.0) for e in self.exponents)
        if self.wave == Wave.RIBS:
            bound += self.wave_amplitude * (self.wave_frequency[0] + 1) / self.wave_phase[0]
        elif self.wave != Wave.NONE:
            bound += self.wave_amplitude * max(map(abs, self.wave_frequency))
        return bound

    @property
    def half_height(self) -> float:
        """Half of its extent along its own y axis."""
        if self.kind == Kind.ARCH:
            return self.size[0] + self.size[1]
        return self.size[0] if self.kind == Kind.GLOBE_CAGE else self.size[1]

    @property
    def projection(self) -> Projection:
        """How textures lie on it: around things that were turned, on the sides of the others."""
        round_outline = self.kind == Kind.EXTRUSION and self.profile not in (Profile.BOX, Profile.CROSS)
        turned = self.kind in (Kind.LATHE, Kind.BARREL_CAGE) or round_outline
        return Projection.CYLINDER if turned else Projection.BOX

    @property
    def texture_extent(self) -> Triple:
        """Half extents of the box that textures are projected on."""
        if self.kind == Kind.ARCH:
            return self.outline_radius, self.outline_radius, self.size[1]
        if self.projection == Projection.CYLINDER:
            return self.outline_radius, self.half_height, self.outline_radius
        return self.size[0], self.half_height, self.size[2]

    def write(self, record: Record) -> None:
        """Put the shape into a record of type ``layout.PART``; colours are written by the material."""
        for name in _COPIED:
            record[name] = getattr(self, name)
        record["position"], record["rotation"] = rounded(self.position), rounded(self.rotation)
        record["smooth_radii"] = self.smooth
        record["radii"] = self.radii
        step = (1 - 1e-5) / self.lipschitz
        record["step"] = step
        # Walls are measured in the damped function; an opening below the inner side of the lid, or there is none.
        record["cup"] = self.cup * step
        record["cup_height"] = min(self.cup_height, self.half_height - 2.1 * self.cup)
        record["extent"] = self.texture_extent


_COPIED = (
    "kind", "size", "fold", "fold_count", "rounding", "profile", "profile_count",
    "profile_corner", "taper", "twist", "pipe", "exponents", "wave", "wave_amplitude",
    "wave_frequency", "wave_phase", "blend", "radius", "projection",
)  # fmt: skip


def turned(angle: float, axis: str = "y", rows: Rows = UPRIGHT) -> Rows:
    """Axes turned by an angle in radians about a world axis, after the rotation that they already have."""
    c, s = math.cos(angle), math.sin(angle)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    return tuple(_turn_axis(row, first, second, c, s) for row in rows)  # type: ignore[return-value]


def _turn_axis(row: Triple, first: int, second: int, c: float, s: float) -> Triple:
    out = list(row)
    out[first], out[second] = c * row[first] - s * row[second], s * row[first] + c * row[second]
    return out[0], out[1], out[2]


def axis_along(direction: Triple) -> Rows:
    """Axes whose y points along a direction."""
    x, y, z = direction
    length = math.sqrt(x * x + y * y + z * z)
    up = (x / length, y / length, z / length)
    helper = (1.0, 0.0, 0.0) if abs(up[0]) < 0.8 else (0.0, 0.0, 1.0)
    side = _cross(helper, up)
    norm = math.sqrt(sum(v * v for v in side))
    side = (side[0] / norm, side[1] / norm, side[2] / norm)
    return _cross(up, side), up, side


def _cross(a: Triple, b: Triple) -> Triple:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
