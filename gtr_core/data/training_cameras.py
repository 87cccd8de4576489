"""From where training looks at objects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from gtr_core.geometry.cameras import DISTANCE, FOV_DEGREES, Cameras, orbit


@dataclass(frozen=True)
class CameraRange:
    """Cameras that look at the origin, at random.

    Args:
        elevations: smallest and largest elevation, degrees; drawn evenly over the sphere between them.
        fovs: smallest and largest field of view, degrees.
        radii: smallest and largest radius of the ball around the origin that just fits the picture, world units.
        standard: share of objects whose cameras all have the standard distance and field of view.
        around: share of objects whose input cameras stand evenly around them, as a user takes them, shifted by up to
            ``shift`` degrees each; the others are drawn like all target cameras.
        shift: degrees.
    """

    elevations: tuple[float, float] = (-40.0, 65.0)
    fovs: tuple[float, float] = (25.0, 50.0)
    radii: tuple[float, float] = (1.0, 1.25)
    standard: float = 0.5
    around: float = 0.5
    shift: float = 10.0

    def draw(self, inputs: int, targets: int, sizes: tuple[int, int], generator: torch.Generator) -> list[Cameras]:
        """Cameras for the input pictures and for the target pictures of one object.

        Args:
            inputs: number of input cameras.
            targets: number of target cameras.
            sizes: side of the input and of the target pictures, pixels.
            generator: on the CPU.
        """
        distance, fov = self._lens(generator)
        evenly = _uniform(generator, 0, 1) < self.around
        angles = [self._around(inputs, generator) if evenly else self._anywhere(inputs, generator)]
        angles.append(self._anywhere(targets, generator))
        return [
            orbit(azimuths, elevations, height=size, width=size, distance=distance, fov_degrees=fov)
            for (azimuths, elevations), size in zip(angles, sizes, strict=True)
        ]

    def _lens(self, generator: torch.Generator) -> tuple[float, float]:
        """Distance from the origin and field of view in degrees."""
        standard = _uniform(generator, 0, 1) < self.standard
        fov, radius = _uniform(generator, *self.fovs), _uniform(generator, *self.radii)
        if standard:
            return DISTANCE, FOV_DEGREES
        return radius / math.sin(math.radians(fov / 2)), fov

    def _anywhere(self, count: int, generator: torch.Generator) -> tuple[list[float], list[float]]:
        low, high = (math.sin(math.radians(e)) for e in self.elevations)
        azimuths = [_uniform(generator, 0, 360) for _ in range(count)]
        return azimuths, [math.degrees(math.asin(_uniform(generator, low, high))) for _ in range(count)]

    def _around(self, count: int, generator: torch.Generator) -> tuple[list[float], list[float]]:
        first, height = _uniform(generator, 0, 360), _uniform(generator, -10, 30)
        azimuths = [first + 360 * k / count + _uniform(generator, -self.shift, self.shift) for k in range(count)]
        return azimuths, [height + _uniform(generator, -self.shift, self.shift) for _ in range(count)]


def patches(cameras: Cameras, side: int, generator: torch.Generator) -> Cameras:
    """Cameras for one square of ``side`` pixels at a random place of each picture; 0 leaves the pictures whole."""
    if side == 0 or (side == cameras.height and side == cameras.width):
        return cameras
    if side > min(cameras.height, cameras.width):
        raise ValueError(f"no patch of {side} px fits a picture of {cameras.height} x {cameras.width}")
    corner = torch.stack(
        [
            torch.randint(size - side + 1, (len(cameras),), generator=generator)
            for size in (cameras.width, cameras.height)
        ],
        dim=1,
    )
    intrinsics = cameras.intrinsics.clone()
    intrinsics[:, 2:] -= corner
    return Cameras(cameras.c2w, intrinsics, side, side)


def sample_generator(seed: int, index: int, purpose: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """Randomness of one sample for one purpose: the same in whatever order samples are met."""
    return torch.Generator(device).manual_seed(_mixed(seed, index, purpose))


def _mixed(*words: int) -> int:
    """One 63-bit number out of several, by the finaliser of SplitMix64."""
    mask, state = (1 << 64) - 1, 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return state >> 1


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
