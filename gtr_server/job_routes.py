"""Routes about blobs and jobs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, BinaryIO, cast

from flask import Flask, Response, jsonify, request, send_file
from pydantic import BaseModel, ConfigDict, Field

from gtr_server import models
from gtr_server.blobs import digests_in
from gtr_server.cleanup import forget
from gtr_server.job import JOB_ID, Job, NewJob, State, Task
from gtr_server.limits import MAX_WAIT_SECONDS
from gtr_server.outcomes import job_folder
from gtr_server.parsing import check
from gtr_server.problems import Problem, ProblemCode
from gtr_server.reporter import PREVIEW
from gtr_server.schemas import EmptyRequest, MasksRequest, RecolourRequest, ReconstructRequest, RefineRequest
from gtr_server.server_routes import Answer, read_body
from gtr_server.services import Services

DIGEST = re.compile(r"[0-9a-f]{64}")
KEY = re.compile(r"[\x21-\x7e]{1,255}")
MEDIA_TYPES = {
    "glb": "model/gltf-binary", "obj": "model/obj", "png": "image/png", "json": "application/json",
}  # fmt: skip


class EventsQuery(BaseModel):
    """Query of GET /jobs/{id}/events."""

    model_config = ConfigDict(extra="forbid")
    after: Annotated[int, Field(ge=0)] = 0
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)] = 0


class JobsQuery(BaseModel):
    """Query of GET /jobs."""

    model_config = ConfigDict(extra="forbid")
    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[int, Field(ge=0, lt=2**63)] | None = None


def add_to(app: Flask, services: Services, api: str) -> None:
    """Register the routes."""
    handlers = JobRoutes(services, api)
    job = "/jobs/<job_id>"
    for method, path, handler in (
        ("GET", "/blobs/<digest>", handlers.has_blob),
        ("PUT", "/blobs/<digest>", handlers.put_blob),
        ("POST", "/jobs", handlers.reconstruct),
        ("POST", "/masks", handlers.masks),
        ("POST", f"{job}/refine", handlers.refine),
        ("POST", f"{job}/recolour", handlers.recolour),
        ("GET", "/jobs", handlers.list_jobs),
        ("GET", job, handlers.get_job),
        ("DELETE", job, handlers.delete_job),
        ("GET", f"{job}/events", handlers.events),
        ("GET", f"{job}/preview", handlers.preview),
        ("GET", f"{job}/artifacts/<name>", handlers.artifact),
        ("POST", f"{job}/cancel", handlers.cancel),
        ("POST", f"{job}/finish", handlers.finish),
    ):
        app.add_url_rule(api + path, handler.__name__, handler, methods=[method], provide_automatic_options=False)


class JobRoutes:
    """Handlers; each is one short transaction with the store."""

    def __init__(self, services: Services, api: str) -> None:
        self.services, self.api = services, api

    # --- blobs ------------------------------------------------------------------------------------------------------

    def has_blob(self, digest: str) -> Answer:
        """Whether the blob is there (HEAD; GET tells no more)."""
        if not DIGEST.fullmatch(digest) or not self.services.blobs.has(digest):
            raise Problem(ProblemCode.UNKNOWN_BLOB, "There is no such blob.")
        return "", 200

    def put_blob(self, digest: str) -> Answer:
        """Store the body under its digest."""
        if not DIGEST.fullmatch(digest):
            raise Problem(ProblemCode.BAD_REQUEST, "A blob's name is its SHA-256 in lower-case hexadecimal digits.")
        self.services.require_room(request.content_length or 0)
        new = self.services.blobs.put(digest, cast(BinaryIO, request.stream))
        return {}, 201 if new else 200

    # --- new jobs ---------------------------------------------------------------------------------------------------

    def reconstruct(self) -> Answer:
        """Views -> mesh."""

        def new() -> NewJob:
            body: ReconstructRequest = read_body(ReconstructRequest)
            models.require(body.model, len(body.images))
            return NewJob(Task.RECONSTRUCT, body.model, body.model_dump())

        return self._submit(new)

    def masks(self) -> Answer:
        """Pictures -> foreground masks."""
        return self._submit(lambda: NewJob(Task.MASKS, "fit", read_body(MasksRequest).model_dump()))

    def refine(self, job_id: str) -> Answer:
        """Continue a job: better texture."""
        return self._submit(lambda: self._child(Task.REFINE, job_id, RefineRequest))

    def recolour(self, job_id: str) -> Answer:
        """Colours of a job's field at points."""
        return self._submit(lambda: self._child(Task.RECOLOUR, job_id, RecolourRequest))

    def _child(self, task: Task, parent_id: str, model: type[BaseModel]) -> NewJob:
        parent = self._job(parent_id)
        return NewJob(task, parent.model, read_body(model).model_dump(), parent.id)

    def _submit(self, make: Callable[[], NewJob]) -> Answer:
        key = request.headers.get("Idempotency-Key", "")
        if not KEY.fullmatch(key):
            raise Problem(ProblemCode.IDEMPOTENCY_KEY_MISSING, "An Idempotency-Key header is needed.")
        new = make()
        store, supervisor = self.services.store, self.services.supervisor
        fingerprint = hashlib.sha256(json.dumps([request.path, new.request], sort_keys=True).encode()).hexdigest()
        job = store.replay(key, fingerprint)
        if job is None:
            missing = self.services.blobs.missing(sorted(digests_in(new.request)))
            if missing:
                text = f"{len(missing)} blobs must be uploaded first."
                raise Problem(ProblemCode.MISSING_BLOBS, text, extra={"missing": missing})
            if supervisor.crashes.degraded:
                raise Problem(
                    ProblemCode.WORKER_DEGRADED,
                    "The model process keeps crashing.",
                    extra={"reason": supervisor.reason},
                )
            self.services.require_room()
            job, created = store.submit(new, key, fingerprint)
            if created:
                self.services.outcomes.tell(job)
                supervisor.wake()
        headers = {"Location": f"{self.api}/jobs/{job.id}", "Retry-After": "1"}
        return jsonify(self._view(job)), 202, headers

    # --- about one job ----------------------------------------------------------------------------------------------

    def list_jobs(self) -> Answer:
        """Jobs, newest first, page by page."""
        query = check(JobsQuery, request.args.to_dict(), strict=False)
        jobs = self.services.store.page(query.state, query.limit, query.cursor)
        following = str(jobs[-1].number) if len(jobs) == query.limit else None
        return jsonify(items=[self._view(job) for job in jobs], next=following)

    def get_job(self, job_id: str) -> Answer:
        """One job."""
        return jsonify(self._view(self._job(job_id)))

    def delete_job(self, job_id: str) -> Answer:
        """Remove a finished job with its results."""
        forget(self.services.store, self.services.settings, self._job(job_id).id)
        return "", 204

    def events(self, job_id: str) -> Answer:
        """What happened after event number ``after``; waits for something to happen."""
        query = check(EventsQuery, request.args.to_dict(), strict=False)
        job = self._job(job_id)
        log = self.services.events
        events, last = log.after(job.id, query.after)
        if not events and query.wait and not job.state.terminal:
            events, last = log.wait(job.id, query.after, query.wait)
            job = self._job(job_id)
        return jsonify(events=events, state=job.state, last_seq=last)

    def preview(self, job_id: str) -> Answer:
        """The latest intermediate result of a running job."""
        job = self._job(job_id)
        kind, step = self.services.events.preview(job.id)
        try:
            data = (job_folder(self.services.settings, job) / PREVIEW).read_bytes()
        except FileNotFoundError:
            return "", 204
        response = Response(data, mimetype="application/octet-stream")
        response.headers["X-GTR-Preview"] = kind
        response.headers["X-GTR-Step"] = str(step)
        response.set_etag(hashlib.sha256(data).hexdigest())
        response.make_conditional(request)
        return response

    def artifact(self, job_id: str, name: str) -> Answer:
        """A result; with ranges, so that a broken download can go on."""
        job = self._job(job_id)
        found = next((artifact for artifact in job.artifacts if artifact.name == name), None)
        path = job_folder(self.services.settings, job) / name
        if found is None or not path.is_file():
            raise Problem(ProblemCode.UNKNOWN_ARTIFACT, "The job has no such result.")
        media_type = MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        response = send_file(path, mimetype=media_type, etag=found.sha256, conditional=True, max_age=None)
        response.headers["Cache-Control"] = "no-store"
        return response

    def cancel(self, job_id: str) -> Answer:
        """Cancel: at once when queued, soon when running; a job that has ended stays as it is."""
        read_body(EmptyRequest)
        before = self._job(job_id)
        job = self.services.store.request_cancel(before.id)
        if before.state is State.QUEUED and job.state is State.CANCELLED:
            self.services.outcomes.tell(job)
        if job.state is State.CANCELLING:
            self.services.supervisor.cancel(job.id)
        return jsonify(self._view(job)), 200 if before.state.terminal else 202

    def finish(self, job_id: str) -> Answer:
        """Let a running refinement end after its current step."""
        read_body(EmptyRequest)
        job = self._job(job_id)
        if job.state.terminal:
            return jsonify(self._view(job)), 200
        if job.task is not Task.REFINE or job.state is State.QUEUED:
            raise Problem(ProblemCode.CANNOT_FINISH, "Only a running refinement can be finished early.")
        self.services.supervisor.finish(job.id)
        return jsonify(self._view(job)), 202

    def _job(self, job_id: str) -> Job:
        if not re.fullmatch(JOB_ID, job_id):
            raise Problem(ProblemCode.UNKNOWN_JOB, "There is no such job.")
        return self.services.store.get(job_id)

    def _view(self, job: Job) -> dict[str, Any]:
        stage, progress = self.services.events.last(job.id)
        ended = job.state.terminal
        return {
            "id": job.id,
            "task": job.task,
            "model": job.model,
            "parent": job.parent,
            "state": job.state,
            "stage": None if ended else stage,
            "progress": 1.0 if job.state is State.SUCCEEDED else progress,
            "attempt": job.attempt,
            "position": self.services.store.position(job),
            "created": job.created,
            "started": job.started,
            "finished": job.finished,
            "error": job.error,
            "notes": job.notes,
            "warnings": job.notes,
            "stats": job.stats,
            "artifacts": [{"name": a.name, "sha256": a.sha256, "bytes": a.bytes} for a in job.artifacts],
        }
