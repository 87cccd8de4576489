"""The job of a reconstruction, kept with the file while it runs: after Blender was closed, its result can be fetched.

Nothing happens by itself. When a file is opened that names a job, a running server is asked whether it still has it;
only then the panel offers it.
"""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import asdict, dataclass
from typing import Any

import bpy

from .. import windows
from ..job.seen import JobSeen
from ..values import Placement, ReconstructOptions
from .mailbox import Mailbox
from .run import Run

ASK_SECONDS = 5.0
"""A question that no server has answered is repeated after this time."""
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLACES = ("BESIDE", "OVER", "CURSOR")


@dataclass(frozen=True)
class FormerJob:
    """What a file remembers of a job: enough to put its mesh where it belongs."""

    job_id: str
    title: str
    placement: Placement
    options: ReconstructOptions
    height: float = 0.0

    def run(self, context: bpy.types.Context) -> Run:
        """The run that waits for the job and fetches its mesh."""
        area = context.area
        return Run(
            "reconstruct",
            self.title,
            context.scene.name,
            selection=windows.selection(context),
            area=area.as_pointer() if area is not None and area.type == "VIEW_3D" else 0,
            place=self.placement.mode,
            source_names=tuple(self.placement.source_names),
            key="fetch",
            options=self.options,
            placement=self.placement,
            height=self.height,
            job_id=self.job_id,
            attach=True,
        )


def note(run: Run, job_id: str) -> None:
    """Write the job of a running reconstruction into its scene, so that a file saved now knows it."""
    if run.scene_closed or run.placement is None or run.options is None or job_id in ("", run.noted_job):
        return
    scene = bpy.data.scenes.get(run.scene)
    if scene is None:
        return
    options = asdict(run.options)
    del options["background"]  # the job has its views already
    stored = {
        "kind": run.kind,
        "job": job_id,
        "object": run.title,
        "placement": asdict(run.placement),
        "height": run.height,
        "options": options,
    }
    scene.gtr.running_job, run.noted_job = json.dumps(stored), job_id


def forget(run: Run) -> None:
    """The job is over: a file saved from now on names none."""
    scene = bpy.data.scenes.get(run.scene)
    if run.noted_job and not run.scene_closed and scene is not None:
        scene.gtr.running_job = ""
    run.noted_job = ""


def read(scene: bpy.types.Scene) -> FormerJob | None:
    """The job that a scene names; None without one and for text that is not ours."""
    try:
        return _parsed(json.loads(scene.gtr.running_job))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class Former:
    """The job of the open file: looked for once, offered while the server has it."""

    def __init__(self) -> None:
        self.offered: FormerJob | None = None
        self._scene = ""
        self._job: FormerJob | None = None
        self._opened = True
        self._next_question = 0.0

    def file_opened(self) -> None:
        """Another file is open: look into it at the next beat."""
        self.offered = self._job = None
        self._opened = True

    def look(self, mailbox: Mailbox, *, ready: bool) -> None:
        """Read the opened file; ask the server about its job as soon as one is ready. Never starts one."""
        if self._opened:
            self._opened, self._next_question = False, 0.0
            own = [scene for scene in bpy.data.scenes if scene.library is None]
            found = {scene.name: job for scene in own if (job := read(scene)) is not None}
            self._scene, self._job = next(iter(found.items()), ("", None))
        if self._job is None or self.offered is not None or not ready or time.monotonic() < self._next_question:
            return
        self._next_question = time.monotonic() + ASK_SECONDS
        mailbox.runner().look_for_job(self._job.job_id)

    def seen(self, answer: JobSeen) -> None:
        """Offer the job, or drop it without a word when the server has it no more."""
        if self._job is None or answer.job_id != self._job.job_id:
            return
        if answer.known:
            self.offered = self._job
        else:
            self.drop()

    def replaced(self) -> None:
        """A new job has taken the place of the file's former one."""
        self.offered = self._job = None

    def drop(self) -> None:
        """Forget the job of the file."""
        scene = bpy.data.scenes.get(self._scene)
        if scene is not None and self._job is not None and read(scene) == self._job:
            scene.gtr.running_job = ""
        self.offered = self._job = None


def _parsed(stored: dict[str, Any]) -> FormerJob:
    place, options = stored["placement"], stored["options"]
    center = tuple(float(value) for value in place["center"])
    radius, width, height = float(place["radius"]), float(place["width"]), float(stored["height"])
    sound = len(center) == 3 and all(math.isfinite(value) for value in (*center, radius, width, height))
    known = stored["kind"] == "reconstruct" and place["mode"] in _PLACES and _JOB_ID.fullmatch(stored["job"])
    if not (sound and known and radius > 0 and height >= 0):
        raise ValueError("no job of ours")
    return FormerJob(
        stored["job"],
        str(stored["object"]),
        Placement(center, radius, place["mode"], width, [str(name) for name in place["source_names"]]),
        ReconstructOptions(
            str(options["model"]), int(options["grid_resolution"]), int(options["face_limit"]), int(options["seed"])
        ),
        height,
    )
