"""Cameras from which training views are drawn."""

from __future__ import annotations

import math

import torch

from gtr_core.geometry.cameras import FOV_DEGREES, Cameras, orbit

MARGIN = 1.08
"""How much farther than just far enough a camera stands, so that no pixel of the outline touches the border."""


def random_cameras(
    count: int,
    *,
    size: int,
    radius: float,
    seed: int,
    fov_degrees: tuple[float, float] = (FOV_DEGREES, FOV_DEGREES),
    spread: float = 1.6,
) -> Cameras:
    """Cameras in random directions, evenly over the sphere, that see a ball around the origin as a whole.

    Args:
        count: of cameras.
        size: side of the square pictures in pixels.
        radius: of the ball, world units.
        seed: same seed, same cameras.
        fov_degrees: the field of view is drawn evenly from this range.
        spread: the distance is drawn evenly from the least that shows the whole ball to this many times as much.

    Returns:
        The cameras, looking at the origin; above the poles the picture's up is the azimuth's.
    """
    generator = torch.Generator().manual_seed(seed)
    azimuth, height, closeness, wideness = torch.rand(4, count, generator=generator, dtype=torch.float64)
    fovs = fov_degrees[0] + wideness * (fov_degrees[1] - fov_degrees[0])
    least = MARGIN * radius / torch.sin(torch.deg2rad(fovs) / 2)
    distances = least * (1 + closeness * (spread - 1))
    elevations = torch.rad2deg(torch.asin(2 * height - 1))
    single = [
        orbit([a], [e], height=size, width=size, distance=d, fov_degrees=f)
        for a, e, d, f in zip(
            (360 * azimuth).tolist(), elevations.tolist(), distances.tolist(), fovs.tolist(), strict=True
        )
    ]
    c2w = torch.cat([camera.c2w for camera in single])
    intrinsics = torch.cat([camera.intrinsics for camera in single])
    return Cameras(c2w, intrinsics, size, size)


BALL = math.sqrt(3) * 0.9
"""Radius that holds every object whose longest side is 1.8."""
