"""Signed distance of an object, written to be read: the oracle of kernel/shape.h, and what runs without a compiler.

Functions take the record of one part or object (``layout.PART``, ``layout.SCENE``) and points (N, 3) in float32 or
float64 on any device, and give values (N,). Every function is a lower bound of the true distance: each primitive is
1-Lipschitz after its damping, and reflections, unions and differences keep that.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from gtr_core.data.procedural.layout import RADII, Fold, Kind, Profile, Record, Wave

FAR_AWAY = 1e6


def scene_distance(scene: Record, points: Tensor) -> Tensor:
    """Signed distances (N,) in world units at world points (N, 3)."""
    return object_distance(scene, object_points(scene, points))[0] * float(scene["scale"])


def object_points(scene: Record, points: Tensor) -> Tensor:
    """World points (N, 3) in the object's own space."""
    rotation, center = _rows(scene["rotation"], points), points.new_tensor(scene["center"].tolist())
    return points @ rotation.T / float(scene["scale"]) + center


def object_distance(scene: Record, points: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distances (N,) in the object's space, and the index (N,) of the part whose surface is nearest."""
    distance = points.new_full(points.shape[:1], FAR_AWAY)
    nearest = distance.clone()
    owner = torch.zeros_like(distance, dtype=torch.long)
    for index in range(int(scene["part_count"])):
        part = scene["parts"][index]
        one, bound = part_distance(part, points)
        # A part that is farther than this changes nothing: the kernels do not even evaluate it.
        near = bound < distance + float(part["blend"])
        owner = torch.where(near & (one < nearest), index, owner)
        nearest = torch.where(near, torch.minimum(nearest, one), nearest)
        distance = torch.where(near, smooth_minimum(distance, one, float(part["blend"])), distance)
    shell = float(scene["shell"])
    if shell > 0:
        distance = (distance + shell).abs() - shell
    for cutter in scene["cutters"][: int(scene["cutter_count"])]:
        one, _ = part_distance(cutter, points)
        distance = -smooth_minimum(-distance, one, float(cutter["blend"]))
    return distance, owner


def part_distance(part: Record, points: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance (N,) of a part, and the distance (N,) of its bounding sphere."""
    around = fold(part, points) - points.new_tensor(part["position"].tolist())
    bound = around.norm(dim=-1) - float(part["radius"])
    q = around @ _rows(part["rotation"], points).T
    distance = _PRIMITIVES[Kind(int(part["kind"]))](part, q)
    if part["wave"] != Wave.NONE:
        distance = distance - wave_height(part, q)
    distance = distance * float(part["step"])
    wall = float(part["cup"])
    if wall > 0:
        distance = torch.maximum((distance + wall).abs() - wall, q[:, 1] - float(part["cup_height"]))
    return torch.maximum(distance, bound), bound


def fold(part: Record, points: Tensor) -> Tensor:
    """Reflect points (N, 3) into the piece of space that a part lives in."""
    x, y, z = points.unbind(-1)
    if part["fold"] in (Fold.MIRROR_X, Fold.MIRROR_XZ):
        x = x.abs()
    if part["fold"] == Fold.MIRROR_XZ:
        z = z.abs()
    if part["fold"] == Fold.RADIAL:
        x, z = fold_sector(int(part["fold_count"]), x, z)
    return torch.stack([x, y, z], dim=-1)


def fold_sector(count: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Reflect the plane into one half of one of ``count`` equal sectors, from angle 0 to pi / count.

    A rotation into the sector would be discontinuous at its border, and rays would step over what is behind it.
    """
    sector = 2 * math.pi / count
    angle, radius = torch.atan2(y, x), torch.hypot(x, y)
    angle = (angle - sector * torch.floor(angle / sector + 0.5)).abs()
    return radius * angle.cos(), radius * angle.sin()


def smooth_minimum(a: Tensor, b: Tensor, k: float) -> Tensor:
    """The minimum, rounded off by a polynomial where the two differ by less than ``k``."""
    if k <= 0:
        return torch.minimum(a, b)
    h = (k - (a - b).abs()).clamp(min=0) / k
    return torch.minimum(a, b) - h * h * k / 4


def box_distance(p: Tensor, half: Tensor) -> Tensor:
    """Exact distance of a box (or rectangle) of these half extents around the origin: p (N, D), half (D,)."""
    outside = p.abs() - half
    distance: Tensor = outside.clamp(min=0).norm(dim=-1) + outside.amax(-1).clamp(max=0)
    return distance


def profile_distance(part: Record, u: Tensor) -> Tensor:
    """Distance (N,) of the outline of an extrusion in its plane, at u (N, 2)."""
    a, _, c = (float(value) for value in part["size"])
    corner, count = float(part["profile_corner"]), int(part["profile_count"])
    match Profile(int(part["profile"])):
        case Profile.BOX:
            return box_distance(u, u.new_tensor([a - corner, c - corner])) - corner
        case Profile.CIRCLE:
            return torch.hypot(u[:, 0], u[:, 1]) - a
        case Profile.CROSS:
            lying = box_distance(u, u.new_tensor([a - corner, c - corner]))
            return torch.minimum(lying, box_distance(u, u.new_tensor([c - corner, a - corner]))) - corner
    x, y = fold_sector(count, u[:, 0], u[:, 1])
    half = math.pi / count
    match Profile(int(part["profile"])):
        case Profile.POLYGON:
            dx, dy = x - (a - corner), y - (a - corner) * math.tan(half)
            return torch.where(dy > 0, torch.hypot(dx, dy), dx) - corner
        case Profile.STAR:
            point = u.new_tensor([a - corner, 0.0])
            notch = u.new_tensor([math.cos(half), math.sin(half)]) * (c - corner)
            return _edge_distance(torch.stack([x, y], dim=-1), point, notch) - corner
    petal = torch.hypot(x - (a - c), y) - c
    return smooth_minimum(petal, torch.hypot(x, y) - (a - c), 0.5 * c)


def _edge_distance(p: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Distance of the segment from start to end (2,) at p (N, 2), negative on its left."""
    along, q = end - start, p - start
    t = ((q @ along) / (along @ along)).clamp(0, 1)
    distance = (q - t[:, None] * along).norm(dim=-1)
    return torch.where(along[0] * q[:, 1] - along[1] * q[:, 0] > 0, -distance, distance)


def extrude(outline: Tensor, y: Tensor, half: float, rounding: float) -> Tensor:
    """An outline (distances in its plane) given a height of twice ``half``, its edges rounded."""
    corner = torch.stack([outline + rounding, y.abs() - (half - rounding)], dim=-1)
    distance: Tensor = corner.amax(-1).clamp(max=0) + corner.clamp(min=0).norm(dim=-1) - rounding
    return distance


def extrusion(part: Record, q: Tensor) -> Tensor:
    """A profile with height, taper, twist and hole."""
    half, pipe = float(part["size"][1]), float(part["pipe"])
    y = q[:, 1].clamp(-half, half)
    turn = y * float(part["twist"])
    x, z = q[:, 0] * turn.cos() - q[:, 2] * turn.sin(), q[:, 0] * turn.sin() + q[:, 2] * turn.cos()
    wide = 1 + y * (float(part["taper"]) / half)
    outline = profile_distance(part, torch.stack([x, z], dim=-1) / wide[:, None]) * wide
    if pipe > 0:
        outline = (outline + pipe).abs() - pipe
    return extrude(outline, q[:, 1], half, float(part["rounding"]))


def superellipsoid(part: Record, q: Tensor) -> Tensor:
    """Where its norm is 1; at least the distance of the box around it."""
    size = q.new_tensor(part["size"].tolist())
    around, along = (float(value) for value in part["exponents"])
    unit = (q.abs() / size).clamp(min=1e-30)
    flat = unit[:, 0] ** around + unit[:, 2] ** around
    norm = (flat ** (along / around) + unit[:, 1] ** along) ** (1 / along)
    return torch.maximum((norm - 1) * size.min(), box_distance(q, size))


def lathe(part: Record, q: Tensor) -> Tensor:
    """A profile of radii along y, joined by straight lines or smooth steps."""
    half = float(part["size"][1])
    t = (q[:, 1].clamp(-half, half) / half + 1) / 2 * (RADII - 1)
    radii = [float(value) for value in part["radii"]]
    radius = torch.full_like(t, radii[0])
    for index, (low, high) in enumerate(pairwise(radii)):
        share = (t - index).clamp(0, 1)
        if part["smooth_radii"]:
            share = share * share * (3 - 2 * share)
        radius = radius + share * (high - low)
    return extrude(torch.hypot(q[:, 0], q[:, 2]) - radius, q[:, 1], half, float(part["rounding"]))


def arch(part: Record, q: Tensor) -> Tensor:
    """Half a ring with round ends, or a whole one."""
    radius, tube, _ = (float(value) for value in part["size"])
    ring = torch.hypot(q[:, 0], q[:, 1]) - radius
    if part["profile_count"] != 2:
        end = torch.hypot(q[:, 0], q[:, 1].abs() - radius)
        ring = torch.where(q[:, 0] > 0, ring, end)
    return torch.hypot(ring, q[:, 2]) - tube


def box_cage(part: Record, q: Tensor) -> Tensor:
    """Bars along the twelve edges of a box."""
    size, bar = q.new_tensor(part["size"].tolist()), float(part["pipe"])
    bars = []
    for axis in range(3):
        along = torch.arange(3, device=q.device) == axis
        center = torch.where(along, 0.0, size - bar)
        bars.append(box_distance(q.abs() - center, torch.where(along, size, bar)))
    return torch.stack(bars).amin(0)


def round_cage(part: Record, q: Tensor) -> Tensor:
    """Rings around y, with meridians (globe) or upright bars (barrel)."""
    bar = float(part["pipe"])
    radius, globe = float(part["size"][0]) - bar, part["kind"] == Kind.GLOBE_CAGE
    level = 0.5 * radius if globe else float(part["size"][1]) - bar
    level_radius = math.sqrt(0.75) * radius if globe else radius
    around, height = torch.hypot(q[:, 0], q[:, 2]), q[:, 1].abs()
    rings = torch.minimum(torch.hypot(around - radius, height), torch.hypot(around - level_radius, height - level))
    x, z = fold_sector(int(part["profile_count"]), q[:, 0], q[:, 2])
    if globe:
        upright = torch.hypot(torch.hypot(x, height) - radius, z)
    else:
        upright = torch.stack([x - radius, (height - level).clamp(min=0), z]).norm(dim=0)
    return torch.minimum(rings, upright) - bar


def wave_height(part: Record, q: Tensor) -> Tensor:
    """Height field (N,) that is added to the surface of a part."""
    frequency, phase = q.new_tensor(part["wave_frequency"].tolist()), q.new_tensor(part["wave_phase"].tolist())
    if part["wave"] == Wave.RIBS:
        fade = (torch.hypot(q[:, 0], q[:, 2]) / phase[0]).clamp(max=1)
        height = fade * torch.sin(torch.atan2(q[:, 2], q[:, 0]) * frequency[0])
    else:
        height = torch.sin(q * frequency + phase).prod(-1)
        if part["wave"] == Wave.RIDGED:
            height = 1 - height.abs()
    return height * float(part["wave_amplitude"])


def _rows(rotation: Record, points: Tensor) -> Tensor:
    return points.new_tensor(rotation.tolist())


_PRIMITIVES = {
    Kind.EXTRUSION: extrusion,
    Kind.SUPERELLIPSOID: superellipsoid,
    Kind.LATHE: lathe,
    Kind.ARCH: arch,
    Kind.BOX_CAGE: box_cage,
    Kind.GLOBE_CAGE: round_cage,
    Kind.BARREL_CAGE: round_cage,
}
