"""What each request does, step by step, on the worker thread: read it from the top like a recipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..client import COLORS_LIMIT, MASK_LIMIT, MESH_LIMIT, GtrClient, Preview
from ..errors import ClientError, Interrupted
from ..results import check_mask, read_colors, read_mesh
from ..texture.values import TextureReady
from ..values import ColorsReady, Event, Finished, MasksReady, MeshReady, PreviewMesh, Progress
from . import requests as tasks
from .bake import bake_texture
from .bodies import background_body, blobs_of, npy_bytes, reconstruct_body, refine_body
from .follow import JobFollower, progress_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..link.server_link import ServerLink
    from ..values import RefineOptions

_UPLOAD_ROUNDS = 3
_GONE = frozenset({"server_off", "server_stopped", "auth", "not_gtr"})


class JobFlow:
    """Runs one request from its first byte to its last event.

    Args:
        link: the server.
        emit: takes events.
        run_controls: runs what the panel asked of the server meanwhile.
    """

    def __init__(self, link: ServerLink, emit: Callable[[Event], None], run_controls: Callable[[], None]) -> None:
        self._link = link
        self._emit = emit
        self._run_controls = run_controls

    def run(self, request: tasks.Request) -> None:
        """Do what the request asks; the last event is ``Finished``.

        Raises:
            ClientError, MissingPackages: why it could not be done.
            Interrupted: it was cancelled.
        """
        began = time.monotonic()
        with self._link.cancelled_by(request.cancel):
            self._run(request)
        self._emit(Finished(request.handle, time.monotonic() - began, stopped_early=request.finish.is_set()))

    def _run(self, request: tasks.Request) -> None:
        _check_cancel(request)
        self._progress(request, "start")
        client = self._link.ensure()
        follower = JobFollower(self._link, client, request, self._emit, self._run_controls)
        try:
            self._dispatch(follower, request)
        except ClientError as error:
            if error.code in _GONE or error.code == "no_response":
                self._link.refresh()
            if error.code in _GONE:
                # It was there when we began, so it stopped, and perhaps another one has its port.
                raise ClientError("server_stopped", details=error.details) from error
            raise _name_image(error, request) from error

    def _dispatch(self, follower: JobFollower, request: tasks.Request) -> None:
        task = request.task
        if isinstance(task, tasks.Reconstruct):
            self._reconstruct(follower, request, task)
        elif isinstance(task, tasks.Refine):
            self._refine(follower, request, task.job_id, task.options, None)
        elif isinstance(task, tasks.Recolour):
            self._recolour(follower, request, task)
        elif isinstance(task, tasks.Bake):
            self._bake(follower, request, task)
        elif isinstance(task, tasks.Masks):
            self._masks(follower, request, task)
        elif isinstance(task, tasks.AttachRefine):
            request.job_id = task.job_id
            self._follow_refine(follower, request, task.steps, None)
        else:
            self._attach(follower, request, task)

    # --- the recipes ------------------------------------------------------------------------------------------------

    def _reconstruct(self, follower: JobFollower, request: tasks.Request, task: tasks.Reconstruct) -> None:
        vertex_count = None
        if not request.mesh_job:
            blobs = [blob for view in task.views for blob in blobs_of(view)]
            digests = self._send(follower.client, request, blobs)
            body = reconstruct_body(task, digests)
            request.job_id = self._submit(
                follower, request, blobs, lambda client: client.submit(body, f"{request.key}-reconstruct")
            )
            vertex_count = self._fetch_mesh(follower, request, refining=task.refine is not None)
            request.mesh_job = request.job_id
        if task.refine is not None and not request.finish.is_set():
            self._refine(follower, request, request.mesh_job, task.refine, vertex_count)

    def _attach(self, follower: JobFollower, request: tasks.Request, task: tasks.Attach) -> None:
        vertex_count = None
        if not request.mesh_job:
            request.job_id = task.job_id
            vertex_count = self._fetch_mesh(follower, request, refining=task.refine is not None)
            request.mesh_job = task.job_id
        if task.refine is not None and not request.finish.is_set():
            self._refine(follower, request, request.mesh_job, task.refine, vertex_count)

    def _fetch_mesh(self, follower: JobFollower, request: tasks.Request, *, refining: bool) -> int:
        def show(preview: Preview, _step: int) -> None:
            if preview.kind == "mesh":
                self._emit(PreviewMesh(request.handle, read_mesh(preview.data)))

        job = follower.follow(request.job_id, show)
        self._progress(request, "fetch")
        mesh = read_mesh(follower.client.artifact(request.job_id, "mesh.npz", MESH_LIMIT))
        _check_cancel(request)
        notes = job.get("notes")
        stats = job.get("stats")
        self._emit(
            MeshReady(
                request.handle,
                mesh,
                request.job_id,
                tuple(str(note)[:500] for note in notes[:20]) if isinstance(notes, list) else (),
                stats if isinstance(stats, dict) else {},
                refining,
            )
        )
        return len(mesh.vertices)

    def _refine(
        self,
        follower: JobFollower,
        request: tasks.Request,
        parent: str,
        options: RefineOptions,
        vertex_count: int | None,
    ) -> None:
        _check_cancel(request)
        request.job_id = follower.client.refine(parent, refine_body(options), f"{request.key}-refine")
        self._follow_refine(follower, request, options.steps, vertex_count)

    def _follow_refine(
        self, follower: JobFollower, request: tasks.Request, planned: int, vertex_count: int | None
    ) -> None:
        def show(preview: Preview, step: int) -> None:
            if preview.kind == "colors":
                colors = read_colors(preview.data, vertex_count)
                self._emit(ColorsReady(request.handle, colors, step, False, request.job_id))

        job = follower.follow(request.job_id, show, finishable=True)
        colors = read_colors(follower.client.artifact(request.job_id, "colors.npz", COLORS_LIMIT), vertex_count)
        stats = job.get("stats")
        steps = stats.get("steps") if isinstance(stats, dict) else None
        done = steps if isinstance(steps, int) else planned
        self._emit(ColorsReady(request.handle, colors, done, True, request.job_id))

    def _recolour(self, follower: JobFollower, request: tasks.Request, task: tasks.Recolour) -> None:
        colors = self._colors_at(follower, request, task.job_id, task.points, f"{request.key}-recolour")
        self._emit(ColorsReady(request.handle, colors, 0, True, request.job_id))

    def _bake(self, follower: JobFollower, request: tasks.Request, task: tasks.Bake) -> None:
        def step(stage: str, done: float) -> None:
            _check_cancel(request)
            self._run_controls()
            self._emit(Progress(request.handle, stage, done, text=progress_text(stage)))

        def colors_at(points: NDArray[np.float32], part: int, parts: int) -> NDArray[np.uint8]:
            def emit(event: Event) -> None:
                if isinstance(event, Progress):
                    # Of several jobs each fills its share of one stage.
                    event = replace(event, stage="color", fraction=(part + event.overall) / parts)
                self._emit(event)

            inner = JobFollower(self._link, follower.client, request, emit, self._run_controls)
            colors = self._colors_at(inner, request, task.job_id, points, f"{request.key}-bake-{part}", texels=True)
            follower.client = inner.client
            return colors

        self._emit(TextureReady(request.handle, bake_texture(task.surface, colors_at, step)))

    def _colors_at(
        self,
        follower: JobFollower,
        request: tasks.Request,
        parent: str,
        points: NDArray[np.float32],
        key: str,
        *,
        texels: bool = False,
    ) -> NDArray[np.uint8]:
        blob = npy_bytes(points)
        (digest,) = self._send(follower.client, request, [blob])
        request.job_id = self._submit(
            follower, request, [blob], lambda client: client.recolour(parent, digest, key, texels=texels)
        )
        follower.follow(request.job_id)
        return read_colors(follower.client.artifact(request.job_id, "colors.npz", COLORS_LIMIT), len(points))

    def _masks(self, follower: JobFollower, request: tasks.Request, task: tasks.Masks) -> None:
        blobs = list(task.images)
        digests = self._send(follower.client, request, blobs)
        body = {"images": [{"blob": digest} for digest in digests], "background": background_body(task.background)}
        request.job_id = self._submit(
            follower, request, blobs, lambda client: client.masks(body, f"{request.key}-masks")
        )
        follower.follow(request.job_id)
        names = [f"mask_{index:03d}.png" for index in range(len(blobs))]
        masks = [check_mask(follower.client.artifact(request.job_id, name, MASK_LIMIT)) for name in names]
        self._emit(MasksReady(request.handle, tuple(masks)))

    # --- their steps ------------------------------------------------------------------------------------------------

    def _send(self, client: GtrClient, request: tasks.Request, blobs: list[bytes]) -> list[str]:
        digests = []
        for index, blob in enumerate(blobs):
            _check_cancel(request)
            self._run_controls()
            self._progress(request, "send", index, len(blobs))
            digests.append(client.upload(blob))
        return digests

    def _submit(
        self,
        follower: JobFollower,
        request: tasks.Request,
        blobs: list[bytes],
        post: Callable[[GtrClient], str],
    ) -> str:
        self._progress(request, "wait")
        for attempt in range(_UPLOAD_ROUNDS):
            _check_cancel(request)
            try:
                return post(follower.client)
            except ClientError as error:
                # The server threw old blobs away between upload and submission.
                if error.code != "missing_blobs" or attempt == _UPLOAD_ROUNDS - 1:
                    raise
                self._send(follower.client, request, blobs)
        raise AssertionError("the last round returns or raises")

    def _progress(self, request: tasks.Request, stage: str, done: int = 0, total: int = 0) -> None:
        fraction = done / total if total else 0.0
        self._emit(Progress(request.handle, stage, fraction, done, total, progress_text(stage, done, total)))


def _check_cancel(request: tasks.Request) -> None:
    if request.cancel.is_set():
        raise Interrupted


def _name_image(error: ClientError, request: tasks.Request) -> ClientError:
    """The same error with the name of the image at fault: the user knows names, not indices."""
    task = request.task
    if error.view is None or not isinstance(task, tasks.Reconstruct) or error.view >= len(task.views):
        return error
    name = task.views[error.view].name
    error.values.setdefault("name", f"image {error.view + 1} ({name})")
    if error.text and name not in error.text:
        error.text = f"{name}: {error.text}"
    return error
