"""The protocol of the evaluation (paper section 4.1), and every convention that the paper leaves open.

What the paper says: 4 orthogonal input views of 512 px; 20 views on an orbit of even azimuths with elevations of -30, 0
and 30 degrees on white; meshes re-centred, rescaled into [-1, 1]^3 and registered by ICP; 16 000 surface samples; the
Chamfer distance times 100. What it leaves open, what stands here, and why:

- Chamfer distance: the sum of both directions' mean *squared* distances. Unsquared it could not be: two samplings of
  one surface with 16 000 points are 0.5 to 1.4 apart already (mean of both directions times 100; measured on 12
  objects of the development set), and the paper's tables go down to 0.50 as a mean over 130 objects. Squared, that
  floor is 0.01 to 0.05. The sum of both directions is what the usual library gives (PyTorch3D's ``chamfer_distance``).
  Others in the field take the mean of the unsquared distances (SyncDreamer), so that is one field away.
- IoU: of the insides of closed meshes at the centres of 64^3 voxels, as SyncDreamer has it. "From 16 000 surface
  points" may also mean the voxels that the points touch; the figures speak for the inside. Shapes of known quality
  (visual hulls of 1, 2 and 4 views, smooth distortions of the truth; 14 closed objects) were measured both ways. Where
  their mean Chamfer distances are those of the paper's rows, 0.5, 1.1 and 4.4, the insides overlap by 0.67 to 0.79,
  0.54 to 0.70 and 0.44 (paper: 0.73, 0.64 and 0.45); the touched voxels of 16^3 by 0.62 to 0.74, 0.49 to 0.58 and
  0.29, with 12^3 little closer and with finer voxels farther off. An open mesh has no inside: then there is a reason
  instead of a figure.
- ICP: both directions matched, with one free scale (``icp_scale``), from the better of two starts: box on box, and as
  the result came. The frame of another program is first turned in all 24 ways.
- Orbit: the first azimuth is half a step off the front, so no novel view is an input view.
"""

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

IOU_RESOLUTIONS: dict[IouKind, int] = {"volume": 64, "surface": 16}
"""Voxels per side: see the reasons in the description of this module."""
MAX_IOU_RESOLUTION = 512


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
        iou: ``volume``: voxels whose centre is inside of the closed meshes; ``surface``: voxels that hold a surface
            sample, which open meshes have too.
        iou_resolution: voxels per side of [-1, 1]^3; 0 stands for :data:`IOU_RESOLUTIONS` of the kind.
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
    iou: IouKind = "volume"
    iou_resolution: int = 0
    alignment: AlignmentKind = "icp"
    icp_scale: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {"input_cameras": tuple(CAMERA_SETS), "chamfer": get_args(ChamferKind), "iou": get_args(IouKind),
                   "alignment": get_args(AlignmentKind)}  # fmt: skip
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise _bad(f"{name} is {getattr(self, name)!r}.", f"Choose one of {', '.join(known)}.")
        for name in ("input_size", "num_novel", "novel_size", "supersample", "surface_samples"):
            if getattr(self, name) < 1:
                raise _bad(f"{name} is {getattr(self, name)}.", "Give a number of at least 1.")
        if not 0 <= self.iou_resolution <= MAX_IOU_RESOLUTION:
            raise _bad(f"iou_resolution is {self.iou_resolution}.", f"Give a number up to {MAX_IOU_RESOLUTION}.")
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
    def iou_voxels(self) -> int:
        """Voxels per side for the IoU: ``iou_resolution``, or that of the kind where it is 0."""
        return self.iou_resolution or IOU_RESOLUTIONS[self.iou]

    @property
    def digest(self) -> str:
        """16 hex digits that change with any field."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """One line of JSON with every field, in a fixed order; numbers that depend on others are written out."""
        return json.dumps({**asdict(self), "iou_resolution": self.iou_voxels}, sort_keys=True)

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
