"""The server's API as methods: one method per route, typed errors, retries where they are safe."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from .errors import ClientError
from .link.api import RETRIES, Api
from .link.transport import READ_SECONDS, BrokenReply, Reply

MESH_LIMIT, COLORS_LIMIT, MASK_LIMIT = 1 << 30, 1 << 28, 1 << 26
"""Largest answers that we read, bytes."""
TRANSFER_SECONDS = 300.0
"""Time for one upload or download."""
POLL_MARGIN_SECONDS = 5.0
"""A long poll that is so late is no sign of life."""
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-")


@dataclass(frozen=True)
class Preview:
    """Intermediate result of a running job: ``kind`` is "mesh" or "colors", ``data`` the npz."""

    kind: str
    data: bytes
    etag: str
    step: int


class GtrClient(Api):
    """The routes. Use it on the thread of its transport, after :meth:`prove`."""

    def server(self) -> dict[str, Any]:
        """Version, device, limits and models of the server."""
        return self.json("GET", "/server", seconds=10)

    # --- leases and the server's life -------------------------------------------------------------------------------

    def keep_lease(self, lease: str) -> None:
        """Renew this session's lease (the server forgets it after 60 s)."""
        self.call("PUT", f"/clients/{lease}", retry=False, seconds=10)

    def release_lease(self, lease: str) -> None:
        """Say good-bye."""
        self.call("DELETE", f"/clients/{lease}", retry=False, seconds=2)

    def unload(self) -> None:
        """Free the model's memory; ``busy`` while a job runs."""
        self.call("POST", "/server/unload", body={})

    def restart_worker(self) -> None:
        """Kill and restart the model process."""
        self.call("POST", "/server/restart-worker", body={})

    def stop_server(self, *, force: bool = False) -> None:
        """Ask the server to end; ``busy`` when others use it, unless ``force``."""
        self.call("POST", "/server/shutdown", body={"force": force}, retry=False, seconds=5)

    # --- jobs -------------------------------------------------------------------------------------------------------

    def upload(self, data: bytes) -> str:
        """Make the server have a blob; returns its SHA-256. What is there already is not sent."""
        digest = hashlib.sha256(data).hexdigest()
        head = self.call("HEAD", f"/blobs/{digest}", accept=(404,))
        if head.status == 404:
            self._put_blob(digest, data)
        return digest

    def submit(self, body: Mapping[str, Any], key: str) -> str:
        """POST /jobs; returns the job's id. The same key is the same job."""
        return self._submit("/jobs", body, key)

    def refine(self, parent: str, body: Mapping[str, Any], key: str) -> str:
        """Child job that refines the texture of a succeeded job."""
        return self._submit(f"{_job(parent)}/refine", body, key)

    def recolour(self, parent: str, points_blob: str, key: str, *, texels: bool = False) -> str:
        """Child job that evaluates the parent's field at points."""
        return self._submit(f"{_job(parent)}/recolour", {"points_blob": points_blob, "texels": texels}, key)

    def masks(self, body: Mapping[str, Any], key: str) -> str:
        """Job that finds foreground masks."""
        return self._submit("/masks", body, key)

    def job(self, job_id: str) -> dict[str, Any]:
        """State, stats, notes or error of a job."""
        return self.json("GET", _job(job_id))

    def events(self, job_id: str, *, after: int, wait: int = 20) -> dict[str, Any]:
        """Events with a sequence number above ``after``; waits up to ``wait`` seconds for the first (no retries)."""
        query = urlencode({"after": after, "wait": wait})
        seconds = min(READ_SECONDS, wait + POLL_MARGIN_SECONDS)
        return self.json("GET", f"{_job(job_id)}/events?{query}", retry=False, seconds=seconds, polling=True)

    def preview(self, job_id: str, etag: str = "") -> Preview | None:
        """Latest intermediate result, or None when there is none or it is the one with ``etag``."""
        headers = {"If-None-Match": etag} if etag else {}
        reply = self.call(
            "GET", f"{_job(job_id)}/preview", headers=headers, retry=False, limit=MESH_LIMIT, accept=(304,), seconds=60
        )
        if reply.status != 200:
            return None
        step = reply.headers.get("x-gtr-step", "0")
        kind = reply.headers.get("x-gtr-preview", "colors")
        return Preview(kind, reply.body, reply.headers.get("etag", ""), int(step) if step.isdigit() else 0)

    def finish(self, job_id: str) -> None:
        """A refinement stops after its current step and succeeds with the colours it has."""
        self.call("POST", f"{_job(job_id)}/finish", body={})

    def cancel(self, job_id: str) -> None:
        """Ask for the end of a job (no retries: who cancels does not want to wait)."""
        self.call("POST", f"{_job(job_id)}/cancel", body={}, retry=False, seconds=10)

    def artifact(self, job_id: str, name: str, limit: int) -> bytes:
        """Download a result; a broken download goes on where it stopped. Its SHA-256 is checked.

        Raises:
            ClientError: also ``bad_reply`` when the bytes do not have the announced digest.
        """
        path = f"{_job(job_id)}/artifacts/{quote(name, safe='')}"
        part = Part()
        for attempt in range(RETRIES + 1):
            try:
                part = self._continue(path, part, limit)
                break
            except ClientError as error:
                if attempt == RETRIES or error.code not in ("server_off", "no_response"):
                    raise
                if isinstance(error, BrokenReply):
                    part = part.joined(error.reply)
                self.pause(attempt, error)
        digest = part.etag.removeprefix("W/").strip('"')
        if len(digest) == 64 and digest != hashlib.sha256(part.data).hexdigest():
            raise ClientError("bad_reply", values={"reason": "its checksum is wrong"})
        return part.data

    # --- inside -----------------------------------------------------------------------------------------------------

    def _continue(self, path: str, part: Part, limit: int) -> Part:
        headers = {"Range": f"bytes={len(part.data)}-", "If-Range": part.etag} if part.data and part.etag else {}
        reply = self.call("GET", path, headers=headers, retry=False, limit=limit, seconds=TRANSFER_SECONDS)
        joined = part.joined(reply)
        if len(joined.data) > limit:
            raise ClientError("bad_reply", values={"reason": f"it is larger than {limit} bytes"})
        return joined

    def _put_blob(self, digest: str, data: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}

        def put() -> None:
            self.call("PUT", f"/blobs/{digest}", data=data, headers=headers, seconds=TRANSFER_SECONDS)

        try:
            put()
        except ClientError as error:
            if error.code != "digest_mismatch":
                raise
            put()  # damaged on the way: once more, then it is somebody's bug

    def _submit(self, path: str, body: Mapping[str, Any], key: str) -> str:
        for attempt in range(RETRIES + 1):
            try:
                answer = self.json("POST", path, body=body, headers={"Idempotency-Key": key})
            except ClientError as error:
                # The parent is still being finished: it will be there.
                if error.code != "not_succeeded" or attempt == RETRIES:
                    raise
                self.pause(attempt, error)
                continue
            job_id = answer.get("id")
            if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
                raise ClientError("bad_reply", values={"reason": "it names no job"})
            return job_id
        raise AssertionError("the last attempt returns or raises")


@dataclass(frozen=True)
class Part:
    """The first bytes of a download and the version that they belong to."""

    data: bytes = b""
    etag: str = ""

    def joined(self, reply: Reply) -> Part:
        """With the bytes of an answer: behind ours if it continues them (206), else in their place."""
        etag = reply.headers.get("etag", "")
        if reply.status == 206:
            start = _CONTENT_RANGE.match(reply.headers.get("content-range", ""))
            if start is None or int(start.group(1)) != len(self.data) or etag != self.etag:
                raise ClientError("bad_reply", values={"reason": "it continues another file"})
            return Part(self.data + reply.body, etag)
        return Part(reply.body, etag) if reply.status == 200 else self


def _job(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"
