"""The figures of one result on one object."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

FIGURES = (
    "psnr", "ssim", "lpips", "cd", "f_score", "iou", "mask_iou", "see_through", "normal_angle",
)  # fmt: skip
"""Names of the figures of quality in the order of the tables."""


@dataclass(frozen=True)
class Row:
    """One object, one system, one variant. A figure that could not be had is None, and ``missing`` says why.

    Args:
        object: name of the object.
        system: name of the system.
        variant: "" as it comes, else the refinement: "+20 steps", "+4 s".
        status: whether there is a result.
        reason: one sentence on why there is none; empty when there is one.
        psnr: dB, mean over the novel views.
        ssim: mean over the novel views.
        lpips: mean over the novel views; lower is better.
        cd: Chamfer distance as the protocol defines it (times 100).
        f_score: percent.
        iou: of the shapes as the protocol defines it, in [0, 1].
        mask_iou: of the outlines in the novel views, in [0, 1].
        see_through: percent of the true surface that one can see through.
        normal_angle: degrees between the normals in the novel views.
        watertight: whether the mesh is closed.
        vertices: of the mesh.
        faces: of the mesh.
        seconds: wall time of the system from the inputs to this result.
        cpu_seconds: processor time of the same.
        notes: sentences on what the result could not know, and how it was aligned.
        missing: name of a figure -> why it could not be had.
        device: where the system ran.
        commit: state of the code; a + marks uncommitted changes.
        object_digest: of the object's files.
        system_digest: of the system's settings.
        protocol_digest: of the conventions.
    """

    object: str
    system: str
    variant: str = ""
    status: Literal["ok", "failed"] = "ok"
    reason: str = ""
    psnr: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    cd: float | None = None
    f_score: float | None = None
    iou: float | None = None
    mask_iou: float | None = None
    see_through: float | None = None
    normal_angle: float | None = None
    watertight: bool | None = None
    vertices: int | None = None
    faces: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    notes: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    device: str = ""
    commit: str = ""
    object_digest: str = ""
    system_digest: str = ""
    protocol_digest: str = ""

    def __post_init__(self) -> None:
        for name in (*FIGURES, "seconds", "cpu_seconds"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} of {self.object}, {self.system} is {value}, which is no figure")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; its inverse is :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Row:
        """The row of these values.

        Raises:
            ValueError: when they are not those of a row.
        """
        if set(values) != {entry.name for entry in fields(cls)}:
            raise ValueError("these are not the values of a row")
        return cls(**{**values, "notes": tuple(values["notes"])})


def rows_to_json(rows: tuple[Row, ...] | list[Row]) -> bytes:
    """The file of one object and system."""
    return (json.dumps({"rows": [row.to_dict() for row in rows]}, indent=1, allow_nan=False) + "\n").encode()


def rows_from_json(data: bytes) -> list[Row]:
    """The rows of such a file.

    Raises:
        ValueError: when it is damaged.
    """
    try:
        return [Row.from_dict(values) for values in json.loads(data)["rows"]]
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("this file holds no rows") from error
