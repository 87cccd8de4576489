"""The readable tracer: plain torch, any device, no compiler. Slow; the compiled tracers must agree with it."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.data.procedural.layout import Record
from gtr_core.data.procedural.readable_shape import fold, object_distance, object_points, scene_distance
from gtr_core.data.procedural.readable_texture import part_color
from gtr_core.data.procedural.tracer import Hits, Points

HIT_DISTANCE = 2e-4
"""World units at which a ray has arrived."""
BOX_MARGIN = 0.03
"""Of the box that rays are clipped to: a fine tip may reach out of what ``bounding_box`` found."""
MAX_STEPS = 320
NORMAL_STEP = 7e-4
_TETRAHEDRON = ((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0))


class ReadableTracer:
    """See ``Tracer``; computes in the precision of what it is given."""

    name = "readable"

    def distance(self, tables: Record, points: Tensor) -> Tensor:
        """Signed distances (S, N) at points (S, N, 3)."""
        return torch.stack([scene_distance(scene, p) for scene, p in zip(tables, points, strict=True)])

    def object_distance(self, table: Record, points: Points) -> Points:
        """Signed distances (N,) of one object in its own space at points (N, 3), in double precision."""
        return object_distance(table[0], torch.from_numpy(points))[0].numpy()

    def surface(self, tables: Record, points: Tensor) -> tuple[Tensor, Tensor]:
        """Unit normals and sRGB colours (S, N, 3) at points (S, N, 3) of the surface."""
        normals = [surface_normal(scene, p) for scene, p in zip(tables, points, strict=True)]
        colors = [surface_color(*each) for each in zip(tables, points, normals, strict=True)]
        return torch.stack(normals), torch.stack(colors)

    def trace(self, tables: Record, origins: Tensor, directions: Tensor, *, colors: bool = True) -> Hits:
        """First hits of rays with origins and unit directions (S, N, 3)."""
        distance = torch.stack([march(*each) for each in zip(tables, origins, directions, strict=True)])
        normal = torch.zeros_like(origins)
        color = torch.zeros_like(origins) if colors else None
        for index, scene in enumerate(tables):
            hit = distance[index] > 0
            points = origins[index, hit] + directions[index, hit] * distance[index, hit, None]
            normal[index, hit] = surface_normal(scene, points)
            if color is not None:
                color[index, hit] = surface_color(scene, points, normal[index, hit])
        return Hits(distance, normal, color)


def march(scene: Record, origins: Tensor, directions: Tensor) -> Tensor:
    """Sphere tracing: distances (N,) along rays (N, 3) to the surface, 0 where there is none."""
    half = origins.new_tensor(scene["extent"].tolist()) + BOX_MARGIN
    safe = torch.where(directions.abs() < 1e-9, 1e-9, directions)
    sides = torch.stack([(-half - origins) / safe, (half - origins) / safe])
    t, end = sides.amin(0).amax(-1).clamp(min=0), sides.amax(0).amin(-1)
    found = torch.zeros_like(t)
    under_way = (t <= end).nonzero().squeeze(-1)
    last_t, last_d = t - 1, torch.ones_like(t)
    for _ in range(MAX_STEPS):
        if not len(under_way):
            break
        now = t[under_way]
        d = scene_distance(scene, origins[under_way] + directions[under_way] * now[:, None])
        # The surface is where the line through the last two samples crosses zero, if they are close together.
        back = now - last_t[under_way]
        slope = torch.where(back < 0.01, (last_d[under_way] - d) / back.clamp(min=1e-9), 1.0)
        landing = now + (d / slope.clamp(min=0.05)).clamp(-4 * HIT_DISTANCE, 4 * HIT_DISTANCE)
        hit, onward = d < HIT_DISTANCE, now + d.clamp(min=HIT_DISTANCE)
        found[under_way[hit]] = landing[hit].clamp(min=1e-6)
        last_t[under_way], last_d[under_way], t[under_way] = now, d, onward
        under_way = under_way[~hit & (onward <= end[under_way])]
    return found


def surface_normal(scene: Record, points: Tensor) -> Tensor:
    """Unit gradients (N, 3) from four samples at the corners of a tetrahedron."""
    total = torch.zeros_like(points)
    for corner in _TETRAHEDRON:
        offset = points.new_tensor(corner)
        total = total + offset * scene_distance(scene, points + offset * NORMAL_STEP)[:, None]
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-12)


def albedo(scene: Record, points: Tensor) -> Tensor:
    """sRGB colours (N, 3) without light."""
    own = object_points(scene, points)
    _, owner = object_distance(scene, own)
    color = torch.full_like(points, 0.5)
    for index in sorted(set(owner.tolist())):
        part, mine = scene["parts"][index], owner == index
        around = fold(part, own[mine]) - own.new_tensor(part["position"].tolist())
        color[mine] = part_color(part, around @ own.new_tensor(part["rotation"].tolist()).T)
    return color


def open_share(scene: Record, points: Tensor, normals: Tensor) -> Tensor:
    """Share (N,) of the light that reaches a point past the object itself."""
    blocked, reach, weight = torch.zeros_like(points[:, 0]), 0.04, 0.4
    for _ in range(4):
        distance = scene_distance(scene, points + normals * reach)
        blocked = blocked + (1 - distance / reach).clamp(0, 1) * weight
        reach, weight = reach * 1.9, weight * 0.7
    return 1 - (blocked * float(scene["occlusion"])).clamp(max=0.9)


def surface_color(scene: Record, points: Tensor, normals: Tensor) -> Tensor:
    """sRGB colours (N, 3) under the baked light: ambient, sky from above, one key light, occlusion."""
    color = albedo(scene, points)
    if not scene["lit"]:
        return color
    ambient, sky, key, direction = (
        points.new_tensor(scene[name].tolist()) for name in ("ambient", "sky", "key", "key_direction")
    )
    up, facing = normals[:, 1:2] * 0.5 + 0.5, (normals @ direction).clamp(min=0)[:, None]
    light_share = open_share(scene, points, normals)[:, None]
    light = (ambient + up * sky) * light_share + facing * key * (light_share * 0.5 + 0.5)
    return (color * light).clamp(0, 1)
