"""Pinhole cameras in the OpenCV convention, and the named camera sets.

World: right-handed, +y up, the object inside [-1, 1]^3. Camera axes: x right, y down, z forward.
Pixel (row r, column c) has its centre at (u, v) = (c + 0.5, r + 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError

DISTANCE = 4.0
"""Distance of the standard cameras from the origin, in world units."""
FOV_DEGREES = 30.0
"""Horizontal and vertical field of view of the standard cameras."""
NEAR, FAR = 0.1, 100.0
"""Clip planes of the raster projection, in world units."""


@dataclass(frozen=True)
class Cameras:
    """V cameras that share one image size.

    Args:
        c2w: (V, 4, 4) float32, camera to world, rigid (det +1).
        intrinsics: (V, 4) float32, fx, fy, cx, cy in pixels.
        height: image height in pixels.
        width: image width in pixels.

    Raises:
        GtrError: ``camera_invalid`` when a camera is not finite, not rigid or has no focal length.
    """

    c2w: Tensor
    intrinsics: Tensor
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.c2w.shape[1:] != (4, 4) or self.intrinsics.shape != (len(self.c2w), 4):
            raise ValueError(f"c2w {tuple(self.c2w.shape)} and intrinsics {tuple(self.intrinsics.shape)} do not fit")
        _check(self.c2w, self.intrinsics)

    def __len__(self) -> int:
        return len(self.c2w)

    def __getitem__(self, index: slice | Sequence[int] | Tensor) -> Cameras:
        """A subset of the cameras, by slice or by a list of indices."""
        return Cameras(self.c2w[index], self.intrinsics[index], self.height, self.width)

    def to(self, device: torch.device | str) -> Cameras:
        """The same cameras on another device."""
        return Cameras(self.c2w.to(device), self.intrinsics.to(device), self.height, self.width)

    @property
    def w2c(self) -> Tensor:
        """(V, 4, 4) world to camera: the rigid inverse of ``c2w``."""
        rotation = self.c2w[:, :3, :3].transpose(1, 2)
        result = torch.zeros_like(self.c2w)
        result[:, :3, :3] = rotation
        result[:, :3, 3] = -(rotation @ self.c2w[:, :3, 3:]).squeeze(-1)
        result[:, 3, 3] = 1
        return result

    @property
    def positions(self) -> Tensor:
        """(V, 3) camera centres in world units."""
        return self.c2w[:, :3, 3]

    def resized(self, height: int, width: int) -> Cameras:
        """The same cameras for images resampled to ``height`` x ``width``."""
        scale = self.intrinsics.new_tensor([width / self.width, height / self.height] * 2)
        return Cameras(self.c2w, self.intrinsics * scale, height, width)

    def project(self, points: Tensor) -> Tensor:
        """Project world points (N, 3) into every view: (V, N, 3) = u, v in pixels and camera z."""
        w2c = self.w2c
        camera = points @ w2c[:, :3, :3].transpose(1, 2) + w2c[:, None, :3, 3]
        focal, centre = self.intrinsics[:, None, :2], self.intrinsics[:, None, 2:]
        z = camera[..., 2:]
        return torch.cat([camera[..., :2] / z * focal + centre, z], dim=-1)

    @property
    def clip_from_world(self) -> Tensor:
        """(V, 4, 4) raster projection with row 0 at the top: NDC = (2u/W - 1, 2v/H - 1), z/w in [-1, 1]."""
        fx, fy, cx, cy = self.intrinsics.unbind(-1)
        clip = torch.zeros_like(self.c2w)
        clip[:, 0, 0], clip[:, 0, 2] = 2 * fx / self.width, 2 * cx / self.width - 1
        clip[:, 1, 1], clip[:, 1, 2] = 2 * fy / self.height, 2 * cy / self.height - 1
        clip[:, 2, 2], clip[:, 2, 3] = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
        clip[:, 3, 2] = 1
        return clip @ self.w2c


def _check(c2w: Tensor, intrinsics: Tensor) -> None:
    rotation = c2w[:, :3, :3].double()
    error = (rotation.transpose(1, 2) @ rotation - torch.eye(3, dtype=torch.double, device=c2w.device)).abs()
    good = (
        torch.isfinite(c2w).all(-1).all(-1)
        & torch.isfinite(intrinsics).all(-1)
        & (error.amax((1, 2)) < 1e-3)
        & (torch.linalg.det(rotation.nan_to_num()) > 0)
        & (intrinsics[:, :2] > 0).all(-1)
    )
    if not bool(good.all()):
        view = int((~good).nonzero()[0])
        raise GtrError(
            ErrorCode.CAMERA_INVALID,
            f"The camera of image {view + 1} cannot be used (singular, mirrored or not finite).",
            "Choose another camera set or correct the camera file.",
            view=view,
        )


def intrinsics_from_fov(fov_degrees: float, height: int, width: int) -> Tensor:
    """(4,) fx, fy, cx, cy of a centred camera with this horizontal field of view and square pixels."""
    focal = width / 2 / math.tan(math.radians(fov_degrees) / 2)
    return torch.tensor([focal, focal, width / 2, height / 2], dtype=torch.float32)


def orbit(
    azimuths: Sequence[float],
    elevations: Sequence[float],
    *,
    height: int,
    width: int,
    distance: float = DISTANCE,
    fov_degrees: float = FOV_DEGREES,
) -> Cameras:
    """Cameras around the origin that look at it.

    Azimuth 0 stands on +z and grows towards +x; elevation 90 stands on +y. The poles are allowed: there the
    azimuth alone turns the camera.

    Args:
        azimuths: degrees, one per camera.
        elevations: degrees in [-90, 90], one per camera.
        height: image height in pixels.
        width: image width in pixels.
        distance: from the origin, world units.
        fov_degrees: horizontal field of view.
    """
    azimuth = torch.deg2rad(torch.tensor(azimuths, dtype=torch.float64))
    elevation = torch.deg2rad(torch.tensor(elevations, dtype=torch.float64))
    sin_a, cos_a, sin_e, cos_e = azimuth.sin(), azimuth.cos(), elevation.sin(), elevation.cos()
    backward = torch.stack([sin_a * cos_e, sin_e, cos_a * cos_e], dim=-1)
    right = torch.stack([cos_a, torch.zeros_like(cos_a), -sin_a], dim=-1)
    down = torch.linalg.cross(-backward, right)
    c2w = torch.eye(4, dtype=torch.float64).repeat(len(azimuth), 1, 1)
    c2w[:, :3, :] = torch.stack([right, down, -backward, distance * backward], dim=-1)
    intrinsics = intrinsics_from_fov(fov_degrees, height, width).repeat(len(azimuth), 1)
    return Cameras(c2w.float(), intrinsics, height, width)


_CORNER = math.degrees(math.asin(1 / math.sqrt(3)))

CAMERA_SETS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "orthogonal": (("Front", 0, 0), ("Right", 90, 0), ("Back", 180, 0), ("Left", 270, 0)),
    "zero123plus": tuple((f"{a}", a, e) for a, e in zip(range(30, 360, 60), (20, -10) * 3, strict=True)),
    "sphere6": (
        ("Front", 0, 0), ("Right", 90, 0), ("Back", 180, 0), ("Left", 270, 0), ("Top", 0, 90), ("Bottom", 0, -90),
    ),
    "sphere14": (
        ("Front", 0, 0), ("Right", 90, 0), ("Back", 180, 0), ("Left", 270, 0), ("Top", 0, 90), ("Bottom", 0, -90),
        *((f"Upper {a}", a, _CORNER) for a in range(45, 360, 90)),
        *((f"Lower {a}", a, -_CORNER) for a in range(45, 360, 90)),
    ),
}  # fmt: skip
"""Named camera sets: (view name, azimuth, elevation) in degrees, all at ``DISTANCE`` with ``FOV_DEGREES``.

``zero123plus`` is the view order of Zero123++ v1.2 (3 x 2 grid, row-major).
"""


def camera_set(name: str, *, height: int, width: int) -> Cameras:
    """The cameras of a named set.

    Raises:
        GtrError: ``camera_missing`` when no set has this name.
    """
    if name not in CAMERA_SETS:
        raise GtrError(
            ErrorCode.CAMERA_MISSING,
            f"There is no camera set named {name}.",
            f"Choose one of {', '.join(CAMERA_SETS)}.",
        )
    _, azimuths, elevations = zip(*CAMERA_SETS[name], strict=True)
    return orbit(azimuths, elevations, height=height, width=width)
