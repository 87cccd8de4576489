"""The job of a reconstruction or refinement, kept with the file while it runs: a later Blender can fetch its result.

Nothing happens by itself. When a file is opened that names a job, a running server is asked whether it still has it;
only then the panel offers it.
"""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import bpy

from .. import windows
from ..job.seen import JobSeen
from ..result import objects as result_objects
from ..values import Placement, ReconstructOptions, RefineOptions
from .mailbox import Mailbox
from .run import Run

ASK_SECONDS = 5.0
"""A question that no server has answered is repeated after this time."""
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLACES = ("BESIDE", "OVER", "CURSOR")


@dataclass(frozen=True)
class FormerJob:
    """What a file remembers of a job: enough to put its result where it belongs.

    Args:
        kind: reconstruct gives a mesh, refine gives colours to an object that is in the file.
        job_id: of the server.
        title: name of the source, or of the result that is refined.
        placement: where the mesh goes.
        options: how the mesh was asked for.
        height: of a mesh from images, in Blender units; 0 otherwise.
        refine: the refinement that is still to come (reconstruct), or that the job is (refine).
        result_id: the object that gets the colours.
    """

    kind: Literal["reconstruct", "refine"]
    job_id: str
    title: str
    placement: Placement | None = None
    options: ReconstructOptions | None = None
    height: float = 0.0
    refine: RefineOptions | None = None
    result_id: str = ""

    def run(self, context: bpy.types.Context) -> Run:
        """The run that waits for the job and fetches its result."""
        area = context.area
        run = Run(self.kind, self.title, context.scene.name, selection=windows.selection(context), key="fetch")
        run.area = area.as_pointer() if area is not None and area.type == "VIEW_3D" else 0
        run.attach, run.refine, run.result_id = self.job_id, self.refine, self.result_id
        run.placement, run.options, run.height = self.placement, self.options, self.height
        if self.placement is not None:
            run.place, run.source_names = self.placement.mode, tuple(self.placement.source_names)
        return run


def note(run: Run, mesh_job: str, job: str) -> None:
    """Write the job of a running reconstruction or refinement into its scene, so that a file saved now knows it.

    Args:
        run: whose job it is.
        mesh_job: its reconstruction when that has succeeded, else empty.
        job: what the server does for it now; empty before it has accepted anything.
    """
    if run.scene_closed or run.kind not in ("reconstruct", "refine"):
        return
    meshes = run.kind == "reconstruct" and run.mesh is None
    if meshes:
        job = mesh_job or job
    # Between the mesh and the first word of its refinement the job is still the one whose mesh is in the scene.
    if job in ("", run.noted_job) or (run.mesh is not None and job == mesh_job):
        return
    scene = bpy.data.scenes.get(run.scene)
    if scene is None:
        return
    stored = _mesh_in_words(run) if meshes else {"kind": "refine", "result": run.result_id}
    stored.update(job=job, object=run.title, refine=asdict(run.refine) if run.refine is not None else None)
    scene.gtr.running_job, run.noted_job = json.dumps(stored), job


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


def _mesh_in_words(run: Run) -> dict[str, Any]:
    assert run.options is not None
    assert run.placement is not None
    options = asdict(run.options)
    del options["background"]  # the job has its views already
    return {"kind": "reconstruct", "placement": asdict(run.placement), "height": run.height, "options": options}


def _parsed(stored: dict[str, Any]) -> FormerJob:
    job_id, title, refine = stored["job"], str(stored["object"]), _refine(stored["refine"])
    if not _JOB_ID.fullmatch(job_id):
        raise ValueError("no job id")
    if stored["kind"] == "refine":
        if refine is None or result_objects.find(stored["result"]) is None:
            raise ValueError("nothing to colour")
        return FormerJob("refine", job_id, title, refine=refine, result_id=stored["result"])
    place, options, height = stored["placement"], stored["options"], float(stored["height"])
    center = tuple(float(value) for value in place["center"])
    radius, width = float(place["radius"]), float(place["width"])
    sound = len(center) == 3 and all(math.isfinite(value) for value in (*center, radius, width, height))
    known = stored["kind"] == "reconstruct" and place["mode"] in _PLACES
    if not (sound and known and radius > 0 and height >= 0):
        raise ValueError("no job of ours")
    return FormerJob(
        "reconstruct",
        job_id,
        title,
        Placement(center, radius, place["mode"], width, [str(name) for name in place["source_names"]]),
        ReconstructOptions(
            str(options["model"]), int(options["grid_resolution"]), int(options["face_limit"]), int(options["seed"])
        ),
        height,
        refine,
    )


def _refine(stored: dict[str, Any] | None) -> RefineOptions | None:
    if stored is None:
        return None
    views = stored["views"]
    return RefineOptions(
        int(stored["steps"]),
        float(stored["strength"]),
        tuple(int(view) for view in views) if views is not None else None,
        int(stored["seed"]),
    )
