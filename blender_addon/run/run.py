"""What one click set in motion: the run, its progress line, its error. Plain data, no bpy."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from ..errors import ClientError
from ..messages import ROWS, failure
from ..packages import MissingPackages
from ..values import (
    Background,
    CapturedView,
    Failed,
    MeshReady,
    MeshResult,
    Placement,
    ReconstructOptions,
    RefineOptions,
)

Kind = Literal["capture", "reconstruct", "refine", "recolour", "masks", "bake"]


class State(str, Enum):
    """States of the panel; which one holds is computed from the server line, the run and the error."""

    NOT_SET_UP = "not_set_up"
    OFF = "off"
    STARTING = "starting"
    READY = "ready"
    CAPTURING = "capturing"
    RUNNING = "running"
    MESH_IN = "mesh_in"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    INCOMPATIBLE = "incompatible"


@dataclass(frozen=True)
class ErrorBox:
    """One sentence and the actions behind its buttons.

    Args:
        code: row of messages.py.
        text: the sentence, numbers filled in.
        buttons: (label, id of the action) pairs of fixes.py.
        details: full text for the clipboard.
        view: index of the image at fault, or None.
    """

    code: str
    text: str
    buttons: tuple[tuple[str, str], ...] = ()
    details: str = ""
    view: int | None = None

    @classmethod
    def of(cls, error: ClientError | MissingPackages) -> ErrorBox:
        """The box for an exception of the client or of the scene."""
        message = failure(error)
        view = error.view if isinstance(error, ClientError) else None
        return cls(message.code, message.text, message.buttons, message.details, view)

    @classmethod
    def of_failed(cls, event: Failed) -> ErrorBox:
        """The box for a request that failed."""
        row = ROWS.get(event.code)
        return cls(event.code, event.text, row.buttons if row else (), event.details, event.view)


@dataclass(frozen=True)
class ProgressLine:
    """What the panel shows of a run: ``fraction`` of the whole in [0,1], what happens, how long it takes."""

    fraction: float = 0.0
    text: str = ""
    times: str = ""


@dataclass
class Run:
    """One request from the click to its end; survives a failure, so that one click can run it again.

    Args:
        kind: what it does.
        title: name of the source or of the result, for names and messages.
        scene: name of the scene in which the button was pressed.
        selection: names of the selected objects at that time, then the active one; the result is selected only while
            they are still the same.
        area: address of the 3D view in which the button was pressed, 0 elsewhere.
        place: where the result goes.
        height: what the result's height is to be, in Blender units; 0 keeps the scale of the placement.
        source_names: objects to capture (reconstruct, capture).
        key: settings that decide how long it takes, for the time left.
        result_id: id of the result object ("" before it is there).
        preview_id: id of the object that shows the rough surface.
        export: of a texture: the TexturedExport that waits for it.
        recolour_after: the user edited the mesh meanwhile, so a recolouring at its vertices of now must follow.
        after_refine: this is that recolouring.
        mesh: the mesh as it came, kept so that nothing is lost when the object is deleted.
        colors: the last colours that came, (N,3) uint8 sRGB.
        colors_before: those before the first live ones.
        unshown: live colours have come that the object does not show yet.
        shown_at: when live colours were written last.
        show_cost: seconds that writing and redrawing them took; None until the next beat.
        attach: the job of an earlier Blender that is fetched; nothing is sent.
        noted_job: the job that the scene names now.
        kept_note: why the views could not be kept; empty otherwise.
        unchanged: the refinement found nothing better.
    """

    kind: Kind
    title: str
    scene: str
    selection: tuple[str, ...] = ()
    area: int = 0
    place: Literal["BESIDE", "OVER", "CURSOR"] = "BESIDE"
    source_names: tuple[str, ...] = ()
    key: str = ""
    options: ReconstructOptions | None = None
    refine: RefineOptions | None = None
    views: tuple[CapturedView, ...] = ()
    placement: Placement | None = None
    height: float = 0.0
    handle: str = ""
    result_id: str = ""
    preview_id: str = ""
    job_id: str = ""
    mesh: MeshResult | None = None
    ready: MeshReady | None = None
    colors: Any = None
    colors_before: Any = None
    unchanged: bool = False
    attach: str = ""
    noted_job: str = ""
    kept_note: str = ""
    step: int = 0
    points: Any = None
    images: tuple[bytes, ...] = ()
    masks: tuple[bytes, ...] = ()
    export: Any = None
    background: Background = field(default_factory=Background)
    gone: bool = False
    recolour_after: bool = False
    after_refine: bool = False
    cancelling: bool = False
    stopping: bool = False
    lost: bool = False
    scene_closed: bool = False
    stage: str = ""
    text: str = ""
    fraction: float = 0.0
    started: float = field(default_factory=time.monotonic)
    cancelled_at: float = 0.0
    unshown: bool = False
    shown_at: float = 0.0
    show_cost: float | None = 0.0

    def restart_clock(self) -> None:
        """The run begins (again): progress and clock at zero, every mark of the former attempt gone."""
        self.started = time.monotonic()
        self.stage, self.text, self.fraction = "", "", 0.0
        self.cancelling = self.stopping = self.lost = self.gone = self.recolour_after = False

    @property
    def elapsed(self) -> float:
        """Seconds since the click."""
        return time.monotonic() - self.started
