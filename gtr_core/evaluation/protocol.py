"""The protocol of the evaluation (paper section 4.1), and every convention that the paper leaves open."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import CAMERA_SETS, Cameras, camera_set, orbit
from gtr_core.metrics.chamfer import ChamferKind

IouKind = Literal["surface", "volume"]
AlignmentKind = Literal["icp", "bounds", "none"]

HALF_EXTENT = 0.9
"""Half the longest side of a true object in the world; shapes are compared after division by it, in [-1, 1]^3."""


@dataclass(frozen=True)
class Protocol:
    """Everything that a figure of the evaluation depends on, apart from the object and the system.

    Args:
        input_cameras: named camera set of the input views; the paper gives 4 orthogonal ones.
        input_size: side of the input pictures in pixels.
        with_depth: give the systems exact depth and normals of the input views as well, as a capture of a scene has
            them; the paper gives colours only.
        num_novel: views of the orbit on which pictures are compared; azimuths evenly all around, half a step off 0.
        novel_size: side of these pictures in pixels.
        elevations: degrees, taken in turn along the orbit.
        background: grey value behind the object, 1 = white.
        supersample: side of the square of colour samples per pixel, in the true pictures and in those of the results.
        surface_samples: points drawn on each surface.
        chamfer: how the two directed mean distances become one figure.
        chamfer_squared: whether distances are squared before the mean.
        iou: ``surface``: voxels that the surface samples touch; ``volume``: nodes inside of closed meshes.
        iou_resolution: voxels per side of [-1, 1]^3.
        alignment: what makes the frames of result and truth agree before shapes are compared.
        icp_scale: whether the registration may change the scale as well; without it, the scale is that of the boxes.
        seed: of the surface samples.
    """

    input_cameras: str = "orthogonal"
    input_size: int = 512
    with_depth: bool = False
    num_novel: int = 20
    novel_size: int = 256
    elevations: tuple[float, ...] = (-30.0, 0.0, 30.0)
    background: float = 1.0
    supersample: int = 3
    surface_samples: int = 16_000
    chamfer: ChamferKind = "two_sided_sum"
    chamfer_squared: bool = True
    iou: IouKind = "surface"
    iou_resolution: int = 32
    alignment: AlignmentKind = "icp"
    icp_scale: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {"input_cameras": tuple(CAMERA_SETS), "chamfer": get_args(ChamferKind), "iou": get_args(IouKind),
                   "alignment": get_args(AlignmentKind)}  # fmt: skip
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise _bad(f"{name} is {getattr(self, name)!r}.", f"Choose one of {', '.join(known)}.")
        for name in ("input_size", "num_novel", "novel_size", "supersample", "surface_samples", "iou_resolution"):
            if getattr(self, name) < 1:
                raise _bad(f"{name} is {getattr(self, name)}.", "Give a number of at least 1.")
        if not self.elevations:
            raise _bad("elevations is empty.", "Give at least one elevation in degrees.")

    @property
    def input_camera_set(self) -> Cameras:
        """Cameras of the input views."""
        return camera_set(self.input_cameras, height=self.input_size, width=self.input_size)

    @property
    def novel_cameras(self) -> Cameras:
        """Cameras of the orbit."""
        step = 360 / self.num_novel
        azimuths = [step * (k + 0.5) for k in range(self.num_novel)]
        elevations = [self.elevations[k % len(self.elevations)] for k in range(self.num_novel)]
        return orbit(azimuths, elevations, height=self.novel_size, width=self.novel_size)

    @property
    def digest(self) -> str:
        """16 hex digits that change with any field."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """One line of JSON with every field, in a fixed order."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Protocol:
        """The protocol that :meth:`to_json` wrote.

        Raises:
            GtrError: ``bad_input`` for a text that holds no protocol.
        """
        try:
            values = json.loads(text)
            known = {field.name for field in fields(cls)}
            kept = {name: value for name, value in values.items() if name in known}
            return cls(**{**kept, "elevations": tuple(float(value) for value in kept["elevations"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _bad("This is no protocol of an evaluation.", "Start a new report folder.") from error


def _bad(message: str, hint: str) -> GtrError:
    return GtrError(ErrorCode.BAD_INPUT, message, hint)
