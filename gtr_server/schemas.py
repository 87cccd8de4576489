"""The JSON bodies of the API, strictly checked (unknown fields, NaN and wrong types are refused)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from gtr_server.limits import MAX_IMAGES

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a blob, lower-case hexadecimal."""
Row3 = Annotated[list[FiniteFloat], Field(min_length=3, max_length=3)]
Row4 = Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]
Unit = Annotated[FiniteFloat, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

RIGID_TOLERANCE = 1e-3
"""Largest allowed entry of R^T R - I; the core's own limit."""
FARTHEST = 1e4
"""Largest distance of a camera from the origin; the object lies inside [-1, 1]^3."""


class Strict(BaseModel):
    """A request body: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Camera(Strict):
    """A pinhole camera, OpenCV axes (x right, y down, z forward), pixel centres at + 0.5."""

    K: Annotated[list[Row3], Field(min_length=3, max_length=3, description="[[fx,0,cx],[0,fy,cy],[0,0,1]], pixels")]
    world_to_camera: Annotated[list[Row4], Field(min_length=4, max_length=4, description="rigid, determinant +1")]
    convention: Literal["opencv"] = "opencv"

    @model_validator(mode="after")
    def _usable(self) -> Camera:
        fault = intrinsics_fault(self.K) or pose_fault(self.world_to_camera)
        if fault:
            raise PydanticCustomError("camera_invalid", "{fault}", {"fault": fault})
        return self


def intrinsics_fault(k: list[list[float]]) -> str | None:
    """What is wrong with a 3x3 intrinsic matrix, in words; None if nothing is."""
    if not (0 < k[0][0] < 1e6 and 0 < k[1][1] < 1e6):
        return "the focal length is not positive or absurdly large"
    if any(abs(value) > 1e-6 for value in (k[0][1], k[1][0], k[2][0], k[2][1])) or abs(k[2][2] - 1) > 1e-6:
        return "K has skew or a bottom row other than 0 0 1"
    if max(abs(k[0][2]), abs(k[1][2])) > 1e6:
        return "the principal point is far outside the image"
    return None


def pose_fault(w2c: list[list[float]]) -> str | None:
    """What is wrong with a 4x4 pose, in words; None if it is rigid with determinant +1."""
    if any(abs(value - wanted) > 1e-6 for value, wanted in zip(w2c[3], (0, 0, 0, 1), strict=True)):
        return "the bottom row of the pose is not 0 0 0 1"
    if max(abs(value) for row in w2c for value in row) > FARTHEST:
        return f"it is more than {FARTHEST:.0f} units away"
    columns = list(zip(*(row[:3] for row in w2c[:3]), strict=True))
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            if abs(_dot(a, b) - (i == j)) > RIGID_TOLERANCE:
                return "its rotation is singular, scaled or sheared"
    (a, b, c) = columns
    cross = (b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0])
    return "its rotation is mirrored (determinant -1)" if _dot(a, cross) < 0 else None


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


class Background(Strict):
    """How the object is told from its background."""

    mode: Literal["auto", "alpha", "key"] = "auto"
    color: Annotated[list[Unit], Field(min_length=3, max_length=3)] | None = None
    tolerance: Annotated[FiniteFloat, Field(gt=0, lt=1)] | None = None


class Image(Strict):
    """One posed picture."""

    blob: Digest
    camera: Camera
    mask_blob: Digest | None = None
    depth_blob: Digest | None = None
    normal_blob: Digest | None = None


class ReconstructOptions(Strict):
    """How the mesh is made."""

    grid_resolution: Annotated[int, Field(ge=16, le=512)] = 256
    face_limit: Annotated[int, Field(ge=0, le=10_000_000, description="0 = no limit, else at least 4")] = 0
    seed: Seed = 0
    background: Background = Background()


class ReconstructRequest(Strict):
    """POST /jobs."""

    model: Annotated[
        str, Field(min_length=1, max_length=100, description="a preset, or a file of the models folder without suffix")
    ] = "fit"
    images: Annotated[list[Image], Field(max_length=MAX_IMAGES)]
    options: ReconstructOptions = ReconstructOptions()

    @model_validator(mode="after")
    def _consistent(self) -> ReconstructRequest:
        cameras = [image.camera for image in self.images]
        for index, camera in enumerate(cameras):
            if camera in cameras[:index]:
                numbers = {"first": cameras.index(camera) + 1, "second": index + 1}
                raise PydanticCustomError(
                    "camera_invalid", "Images {first} and {second} have the same camera.", numbers
                )
        for channel in ("depth", "normal"):
            present = [getattr(image, f"{channel}_blob") is not None for image in self.images]
            if any(present) and not all(present):
                lacking = {"index": present.index(False) + 1, "channel": channel}
                raise PydanticCustomError("bad_input", "Image {index} has no {channel} map, others have one.", lacking)
        return self


class RefineRequest(Strict):
    """POST /jobs/{id}/refine."""

    steps: Annotated[int, Field(ge=1, le=10_000)] = 20
    strength: Annotated[FiniteFloat, Field(gt=0, le=10)] = 1.0
    views: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=MAX_IMAGES)] | None = None
    seed: Seed = 0


class RecolourRequest(Strict):
    """POST /jobs/{id}/recolour; ``texels`` when the points lie closer together than vertices (texture baking)."""

    points_blob: Digest
    texels: bool = False


class MaskImage(Strict):
    """One picture to take the background from."""

    blob: Digest


class MasksRequest(Strict):
    """POST /masks."""

    images: Annotated[list[MaskImage], Field(min_length=1, max_length=MAX_IMAGES)]
    background: Background = Background()


class ShutdownRequest(Strict):
    """POST /server/shutdown."""

    force: bool = False


class EmptyRequest(Strict):
    """The body of requests that need none; it may be left out."""
