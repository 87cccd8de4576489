"""What Blender asks of the job process."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..texture.values import BakeSurface
    from ..values import Background, CapturedView, Handle, ReconstructOptions, RefineOptions


@dataclass(frozen=True)
class Reconstruct:
    """Views to a mesh, refined when ``refine`` is given."""

    views: tuple[CapturedView, ...]
    options: ReconstructOptions
    refine: RefineOptions | None


@dataclass(frozen=True)
class Refine:
    """More texture refinement on the result of a job."""

    job_id: str
    options: RefineOptions


@dataclass(frozen=True)
class Recolour:
    """Colours of a job's field at points (N,3) float32 in the GTR world."""

    job_id: str
    points: NDArray[np.float32]


@dataclass(frozen=True)
class Bake:
    """A texture of a job's field for a surface."""

    job_id: str
    surface: BakeSurface


@dataclass(frozen=True)
class Masks:
    """Foreground masks of image files."""

    images: tuple[bytes, ...]
    background: Background


@dataclass(frozen=True)
class Attach:
    """Follow a reconstruct job that another Blender session submitted; then refine when ``refine`` is given."""

    job_id: str
    refine: RefineOptions | None = None


@dataclass(frozen=True)
class AttachRefine:
    """Follow a refine job that another Blender session submitted with so many steps."""

    job_id: str
    steps: int


Task = Union[Reconstruct, Refine, Recolour, Bake, Masks, Attach, AttachRefine]


@dataclass
class Request:
    """One task on its way, kept after a failure so that it can run again.

    Args:
        handle: its name in events.
        task: what to do.
        key: first part of the Idempotency-Keys; the same key means the same job on the server.
        job_id: the job that is followed now, empty before one is accepted.
        mesh_job: the succeeded reconstruction of a request whose refinement is still to do.
        cancel: set when the user cancels.
        finish: set when the user stops it: stop refining after the current step and keep the colours.
    """

    handle: Handle
    task: Task
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    job_id: str = ""
    mesh_job: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)
    finish: threading.Event = field(default_factory=threading.Event)

    def again(self, handle: Handle, *, same_job: bool) -> Request:
        """A new request for the same task; ``same_job`` finds the job again that the server may still run."""
        key = self.key if same_job else uuid.uuid4().hex
        return replace(self, handle=handle, key=key, job_id="", cancel=threading.Event(), finish=threading.Event())
