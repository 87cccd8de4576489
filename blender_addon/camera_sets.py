"""Cameras around the object: the server's named sets, and well spread ones for any number of views."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from .packages import numpy

if TYPE_CHECKING:
    from .values import Matrix

DISTANCE = 4.0
"""From the origin, in GTR units."""
FOV_DEGREES = 30.0
MIN_VIEWS, MAX_VIEWS = 4, 32
_TURNS = 300

Place = tuple[str, float, float]
"""Name, azimuth (0 = Front, growing to the right) and elevation (90 = Top), in degrees."""

_CORNER = math.degrees(math.asin(1 / math.sqrt(3)))
_SIDES: tuple[Place, ...] = (("Front", 0, 0), ("Right", 90, 0), ("Back", 180, 0), ("Left", 270, 0))
_POLES: tuple[Place, ...] = (("Top", 0, 90), ("Bottom", 0, -90))

CAMERA_SETS: dict[str, tuple[Place, ...]] = {
    "orthogonal": _SIDES,
    "zero123plus": tuple((f"{a}", a, e) for a, e in zip(range(30, 360, 60), (20, -10) * 3)),  # noqa: B905 - 3.10
    "sphere6": (*_SIDES, *_POLES),
    "sphere14": (
        *_SIDES,
        *_POLES,
        *((f"Upper {a}", a, _CORNER) for a in range(45, 360, 90)),
        *((f"Lower {a}", a, -_CORNER) for a in range(45, 360, 90)),
    ),
}
"""The same as the server's; ``zero123plus`` is the order of that model's 3 x 2 grid, row by row."""


@dataclass(frozen=True)
class PlacedCamera:
    """A camera that looks at the origin: 3x3 ``K`` in pixels, 4x4 ``world_to_camera`` (OpenCV axes, GTR world)."""

    name: str
    K: Matrix
    world_to_camera: Matrix


def cameras(views: int, height: int, width: int, *, learned: bool = False) -> list[PlacedCamera]:
    """Well spread cameras for a number of views.

    Args:
        views: 4..32. Four are the sides; from six on Top and Bottom are among them.
        height: of the pictures in pixels.
        width: of the pictures in pixels.
        learned: for a learned model, which wants six views placed as Zero123++ places them.

    Raises:
        ValueError: another number of views.
    """
    return [place(spot, height, width) for spot in places(views, learned=learned)]


def named_cameras(name: str, height: int, width: int) -> list[PlacedCamera]:
    """The cameras of a named set (KeyError when there is none of this name)."""
    return [place(spot, height, width) for spot in CAMERA_SETS[name]]


def places(views: int, *, learned: bool = False) -> tuple[Place, ...]:
    """Names and angles of :func:`cameras`."""
    if not MIN_VIEWS <= views <= MAX_VIEWS:
        raise ValueError(f"{views} views: {MIN_VIEWS} to {MAX_VIEWS} are possible")
    if learned and views == 6:
        return CAMERA_SETS["zero123plus"]
    for name in ("orthogonal", "sphere6", "sphere14"):
        if len(CAMERA_SETS[name]) == views:
            return CAMERA_SETS[name]
    return _spread(views)


def place(spot: Place, height: int, width: int) -> PlacedCamera:
    """The camera at a name, azimuth and elevation; square pixels, centred."""
    name, azimuth, elevation = spot
    a, e = math.radians(azimuth), math.radians(elevation)
    backward = (math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e))
    right = (math.cos(a), 0.0, -math.sin(a))
    # down = forward x right: well defined at the poles too, where the azimuth alone turns the camera.
    down = (math.sin(e) * math.sin(a), -math.cos(e), math.sin(e) * math.cos(a))
    forward = tuple(-value for value in backward)
    w2c = [[*right, 0.0], [*down, 0.0], [*forward, DISTANCE], [0.0, 0.0, 0.0, 1.0]]
    focal = width / 2 / math.tan(math.radians(FOV_DEGREES) / 2)
    return PlacedCamera(name, [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]], w2c)


@cache
def _spread(views: int) -> tuple[Place, ...]:
    """Points that push each other apart like charges (Thomson's problem), Top and Bottom fixed from six views on.

    Starts from a golden spiral, so that the result is always the same. The view nearest to the equator is turned to
    azimuth 0.
    """
    np = numpy()
    index = np.arange(views)
    height = 1 - (2 * index + 1) / views
    if views > 5:
        height[[0, -1]] = 1, -1
    azimuth = math.pi * (3 - math.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    points = np.stack([radius * np.sin(azimuth), height, radius * np.cos(azimuth)], axis=-1)
    for turn in range(_TURNS):
        apart = points[:, None] - points[None]
        cubed = (apart**2).sum(-1) ** 1.5
        np.fill_diagonal(cubed, np.inf)
        force = (apart / cubed[..., None]).sum(1)
        force -= (force * points).sum(-1, keepdims=True) * points
        if views > 5:
            force[[0, -1]] = 0
        points += force * (1 - turn / _TURNS) / views
        points /= np.linalg.norm(points, axis=-1, keepdims=True)
    spots = [(math.degrees(math.atan2(x, z)), math.degrees(math.asin(max(-1.0, min(1.0, y))))) for x, y, z in points]
    front = min(spots, key=lambda spot: abs(spot[1]))[0]
    return tuple(_named((a - front) % 360, e) for a, e in spots)


def _named(azimuth: float, elevation: float) -> Place:
    if abs(elevation) > 89.9:
        return _POLES[elevation < 0]
    if round(azimuth) % 360 == 0 and abs(elevation) < 10:
        return ("Front", 0.0, elevation)
    return (f"{azimuth:.0f}° {elevation:+.0f}°", azimuth, elevation)
