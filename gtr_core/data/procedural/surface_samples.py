"""Random points of the surface that can be seen from outside, with normals and colours: direct supervision in 3D."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.data.procedural.scenes import Scenes

_RAYS_PER_POINT = 4
_DISTANCE = 2.5


@dataclass(frozen=True)
class SurfaceSamples:
    """N points on each of S objects.

    Args:
        points: (S, N, 3) in world units.
        normals: (S, N, 3) unit outward normals.
        colors: (S, N, 3) sRGB in [0, 1].
    """

    points: Tensor
    normals: Tensor
    colors: Tensor


def sample_surface(scenes: Scenes, count: int, generator: torch.Generator) -> SurfaceSamples:
    """Draw points where random rays from all around meet the objects.

    Rays go from a sphere to points that are uniform in the object's box, so that walls in cavities that can be looked
    into get their share. An object that few rays hit repeats some of its points.

    Args:
        scenes: S objects.
        count: points per object.
        generator: on the device of the scenes' tracer.

    Raises:
        RuntimeError: when no ray hits an object at all, which normalised objects exclude.
    """
    device, number = generator.device, len(scenes)
    shape = (number, _RAYS_PER_POINT * count, 3)
    extents = torch.tensor(scenes.tables["extent"].tolist(), device=device)[:, None]
    starts = torch.nn.functional.normalize(torch.randn(shape, generator=generator, device=device), dim=-1) * _DISTANCE
    targets = (torch.rand(shape, generator=generator, device=device) * 2 - 1) * extents
    directions = torch.nn.functional.normalize(targets - starts, dim=-1)
    hits = scenes.trace(starts, directions, colors=False)
    found = hits.mask.sum(1, keepdim=True)
    if not bool((found > 0).all()):
        raise RuntimeError("an object was not hit by any ray")
    hit_first = hits.mask.int().argsort(dim=1, descending=True, stable=True)
    chosen = hit_first.gather(1, torch.arange(count, device=device).expand(number, -1) % found)
    each = chosen[..., None].expand(-1, -1, 3)
    points = (starts + directions * hits.distance[..., None]).gather(1, each)
    normals, colors = scenes.tracer.surface(scenes.tables, points)
    return SurfaceSamples(points, normals, colors)
