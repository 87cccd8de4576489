"""What the panels show of the session, derived from its data; nothing here changes anything."""

from __future__ import annotations

import time

from ..link.model_list import KNOWN, ModelInfo
from ..values import ServerLine
from .capturing import Capturing
from .former import Former
from .run import ErrorBox, ProgressLine, Run, State
from .time_left import Durations, in_words

FORCE_AFTER_SECONDS = 10.0
"""A cancel that the server has not confirmed by then offers to restart the model process."""


class Status:
    """Server line, run, error and messages; which :class:`State` holds follows from them."""

    def __init__(self) -> None:
        self.server = ServerLine("off", "Server off")
        self.run: Run | None = None
        self.last: Run | None = None
        self.held: Run | None = None
        self.held_by_paint = False
        self.queue: list[Run] = []
        self.queue_length = 0
        self.capturing = Capturing()
        self.former = Former()
        self.error: ErrorBox | None = None
        self.message = ""
        self.notes: tuple[str, ...] = ()
        self.exported: tuple[str, ...] = ()
        self.durations = Durations()

    @property
    def state(self) -> State:
        """Which state of the panel holds now."""
        if self.run is not None:
            return self._state_of_run(self.run)
        line = self.server
        if "server_not_installed" in (line.code, self.error.code if self.error else ""):
            return State.NOT_SET_UP
        if line.state == "incompatible":
            return State.INCOMPATIBLE
        if self.error is not None:
            return State.FAILED
        if self.message:
            return State.DONE
        if line.state in ("starting", "lost", "ready"):
            return State(line.state)
        return State.OFF

    def _state_of_run(self, run: Run) -> State:
        if run.cancelling:
            return State.CANCELLING
        if self.capturing.active:
            return State.CAPTURING
        if run.lost:
            return State.LOST
        if run.kind == "reconstruct" and run.mesh is not None:
            return State.MESH_IN
        return State.STARTING if run.stage in ("start", "load") else State.RUNNING

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """What can be chosen; while no server answers, the presets with what is known of them."""
        return self.server.models or KNOWN

    def model(self, name: str) -> ModelInfo:
        """The model of this name; one that the server does not list has no file (any more)."""
        for model in self.models:
            if model.id == name:
                return model
        if self.server.models:
            return ModelInfo(name, "absent", name, f"{name} is not in the models folder.")
        return ModelInfo(name, "unknown", name)

    @property
    def server_is_off(self) -> bool:
        """Whether a click has to start the server first."""
        return self.server.state in ("off", "stopped", "failed")

    @property
    def busy(self) -> bool:
        """Whether something runs that the panel shows a bar for."""
        return self.run is not None

    @property
    def kind(self) -> str:
        """Kind of the run, empty when idle."""
        return self.run.kind if self.run is not None else ""

    @property
    def last_was_export(self) -> bool:
        """Whether the message belongs to the Export panel."""
        return self.last is not None and self.last.kind == "bake"

    @property
    def progress(self) -> ProgressLine:
        """Bar, stage and times of the run."""
        run = self.run
        if run is None:
            return ProgressLine()
        if run.cancelling:
            return ProgressLine(run.fraction, "No answer. ✕ = force" if self._may_force(run) else "Cancelling…")
        left = self.durations.left(run.key, run.elapsed)
        times = in_words(run.elapsed) + (f" · about {in_words(left)} left" if left is not None else "")
        return ProgressLine(run.fraction, "Finishing this step…" if run.stopping else run.text, times)

    @property
    def can_cancel(self) -> bool:
        """Whether the bar's button does something."""
        run = self.run
        return run is not None and not run.stopping and (not run.cancelling or self._may_force(run))

    @property
    def can_stop(self) -> bool:
        """Whether the run is a refinement that can end early with what it has."""
        run = self.run
        if run is None or run.cancelling:
            return False
        return run.kind == "refine" or (run.kind == "reconstruct" and run.mesh is not None)

    @property
    def queue_text(self) -> str:
        """``Object 1 of 3`` while several objects are reconstructed one by one."""
        if self.queue_length < 2:
            return ""
        return f"Object {self.queue_length - len(self.queue)} of {self.queue_length}"

    @staticmethod
    def _may_force(run: Run) -> bool:
        return run.cancelling and time.monotonic() - run.cancelled_at >= FORCE_AFTER_SECONDS
