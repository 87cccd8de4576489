"""A small server that speaks enough of the API to play every good and bad server that the add-on may meet."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np

TOKEN = "the-key-that-nobody-may-see"
API = "/api/v1"


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def tetrahedron(color: int = 100) -> dict[str, np.ndarray]:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    return {"vertices": vertices, "faces": faces, "colors": np.full((4, 3), color, np.uint8)}


@dataclass
class FakeJob:
    """A job that is told what to do by its test."""

    id: str
    task: str
    parent: str | None
    body: dict
    state: str = "succeeded"
    error: dict | None = None
    artifacts: dict[str, bytes] = field(default_factory=dict)
    events: list[dict] = field(default_factory=list)
    preview: tuple[str, bytes] | None = None
    ends_when_shown: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, stage: str, code: str = "progress", **data: int) -> None:
        with self.changed:
            self.events.append(
                {"seq": len(self.events) + 1, "stage": stage, "progress": 0.5, "message_code": code, "data": data}
            )
            self.changed.notify_all()

    def end(self, state: str, error: dict | None = None) -> None:
        with self.changed:
            self.state, self.error = state, error
            self.changed.notify_all()


class FakeServer:
    """Runs on a free port; ``override`` replaces the answer to paths that begin with a prefix.

    Tests wait for what has reached it, not for time: ``asked``, ``open_polls``; ``open_polls_at`` proves that a request
    did not wait for the end of a long poll.
    """

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.open_polls = 0
        self.closed = False
        self._open_at: list[int] = []
        self._lock = threading.Lock()
        self.raw = bytearray()
        self.blobs: dict[str, bytes] = {}
        self.jobs: dict[str, FakeJob] = {}
        self.keys: dict[str, str] = {}
        self.leases: set[str] = set()
        self.overrides: dict[str, Callable[[Handler], None]] = {}
        self.on_job: Callable[[FakeJob], None] = finish_at_once
        self.on_shutdown: Callable[[], None] = lambda: None
        self.api = {"min": "1.0", "max": "1.0"}
        self._http = _Http(("127.0.0.1", 0), Handler)
        self._http.fake = self
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}{API}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def write_state(self, path: Path, *, pid: int = 0, token: str | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {"product": "gtr", "pid": pid, "host": "127.0.0.1", "port": self.port, "token": token or self.token}
        path.write_text(json.dumps({**state, "version": "0", "api": self.api, "instance_id": f"fake{self.port}"}))
        return path

    def asked(self, method: str, ending: str) -> int:
        return len(self.open_polls_at(method, ending))

    def open_polls_at(self, method: str, ending: str) -> list[int]:
        """Of each such request: how many long polls had not been answered when it came."""
        with self._lock:
            seen = list(zip(self.requests, self._open_at, strict=True))
        return [count for (m, path, _), count in seen if m == method and urlsplit(path).path.endswith(ending)]

    def note(self, handler: Handler) -> None:
        with self._lock:
            self.requests.append((handler.command, handler.path, dict(handler.headers)))
            self._open_at.append(self.open_polls)
            self.raw += f"{handler.command} {handler.path}\n{handler.headers}".encode() + handler.body

    @contextlib.contextmanager
    def polled(self) -> Iterator[None]:
        with self._lock:
            self.open_polls += 1
        try:
            yield
        finally:
            with self._lock:
                self.open_polls -= 1

    def close(self) -> None:
        self.closed = True
        self._http.shutdown()
        self._http.server_close()
        self._http.cut_all()
        self._thread.join()
        for job in list(self.jobs.values()):
            with job.changed:
                job.changed.notify_all()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    fake: FakeServer

    def __init__(self, *args) -> None:
        self.connections = []
        super().__init__(*args)

    def process_request(self, request, client_address) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def cut_all(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(2)

    def handle_error(self, request, client_address) -> None:
        return  # clients go away in the middle: that is what the tests are about


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, *_args) -> None:
        return

    def __getattr__(self, name: str):
        if name.startswith("do_"):
            return self._dispatch
        raise AttributeError(name)

    @property
    def fake(self) -> FakeServer:
        return self.server.fake

    def answer(self, status: int, body: bytes | dict | list = b"", headers: dict[str, str] | None = None) -> None:
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def problem(self, status: int, code: str, detail: str = "", **extra) -> None:
        self.answer(status, {"code": code, "detail": detail, "status": status, **extra})

    def _dispatch(self) -> None:
        fake = self.fake
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        fake.note(self)
        path = urlsplit(self.path).path.removeprefix(API)
        for prefix, override in list(fake.overrides.items()):
            if path.startswith(prefix):
                override(self)
                return
        if path == "/health":
            self.prove()
        elif self.headers.get("Authorization") != f"Bearer {fake.token}":
            self.problem(401, "auth")
        else:
            self._route(path.strip("/").split("/"))

    def prove(self) -> None:
        fake = self.fake
        nonce = parse_qs(urlsplit(self.path).query).get("nonce", [""])[0]
        proof = hmac.new(fake.token.encode(), nonce.encode(), hashlib.sha256).hexdigest()
        self.answer(200, {"status": "ok", "product": "gtr", "api": fake.api, "proof": proof})

    def _route(self, parts: list[str]) -> None:
        fake = self.fake
        if parts == ["server", "shutdown"]:
            self.answer(202, {})
            fake.on_shutdown()
        elif parts[0] == "server":
            self.answer(200, {"product": "gtr", "device": {"kind": "cpu", "name": "cpu", "free": 8 << 30}})
        elif parts[0] == "clients":
            (fake.leases.add if self.command == "PUT" else fake.leases.discard)(parts[1])
            self.answer(204)
        elif parts[0] == "blobs":
            self._blob(parts[1])
        elif parts[0] in ("jobs", "masks") and self.command == "POST" and parts[-1] in _TASKS:
            self._new_job(_TASKS[parts[-1]], parts[1] if len(parts) == 3 else None)
        else:
            self._job(parts)

    def _blob(self, digest: str) -> None:
        blobs = self.fake.blobs
        if self.command == "PUT":
            blobs[digest] = self.body
            self.answer(201 if hashlib.sha256(self.body).hexdigest() == digest else 400)
        else:
            self.answer(200 if digest in blobs else 404)

    def _new_job(self, task: str, parent: str | None) -> None:
        fake = self.fake
        body, key = json.loads(self.body), self.headers["Idempotency-Key"]
        wanted = [image["blob"] for image in body.get("images", [])]
        missing = [digest for digest in wanted if digest not in fake.blobs]
        if missing:
            self.problem(409, "missing_blobs", missing=missing)
            return
        if key not in fake.keys:
            job = FakeJob(f"job_{len(fake.jobs):026d}", task, parent, body, "running")
            fake.keys[key], fake.jobs[job.id] = job.id, job
            fake.on_job(job)
        self.answer(202, {"id": fake.keys[key], "state": "queued"})

    def _job(self, parts: list[str]) -> None:
        job = self.fake.jobs.get(parts[1])
        if job is None:
            self.problem(404, "unknown_job")
        elif len(parts) == 2:
            told = {"id": job.id, "task": job.task, "state": job.state, "error": job.error}
            self.answer(200, {**told, "notes": ["a note"], "stats": {}})
        elif parts[2] == "events":
            self._events(job)
        elif parts[2] == "artifacts":
            data = job.artifacts[parts[3]]
            self.answer(200, data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"'})
        elif parts[2] == "preview":
            kind, data = job.preview or ("", b"")
            self.answer(200 if data else 204, data, {"X-GTR-Preview": kind, "ETag": f'"{hash(data)}"'})
            if data and job.ends_when_shown:
                job.end("succeeded")
        elif parts[2] == "cancel":
            job.end("cancelled")
            self.answer(202, {})
        elif parts[2] == "finish":
            job.end("succeeded")
            self.answer(202, {})

    def _events(self, job: FakeJob) -> None:
        query = parse_qs(urlsplit(self.path).query)
        after, wait = int(query["after"][0]), float(query["wait"][0])
        with self.fake.polled(), job.changed:
            job.changed.wait_for(
                lambda: len(job.events) > after or job.state != "running" or self.fake.closed, timeout=wait
            )
            told = {"events": job.events[after:], "state": job.state, "last_seq": len(job.events)}
        self.answer(200, told)


_TASKS = {"jobs": "reconstruct", "refine": "refine", "recolour": "recolour", "masks": "masks"}


def results_of(job: FakeJob) -> dict[str, bytes]:
    """Honest artifacts for a job of any task."""
    if job.task == "reconstruct":
        return {"mesh.npz": npz(**tetrahedron())}
    if job.task == "masks":
        return {f"mask_{i:03d}.png": grey_png(4, 3) for i in range(len(job.body["images"]))}
    return {"colors.npz": npz(colors=np.full((4, 3), 200, np.uint8))}


def finish_at_once(job: FakeJob) -> None:
    job.artifacts = results_of(job)
    job.tell("fit", done=1, total=2)
    job.end("succeeded")


def grey_png(width: int, height: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (width, height), 255).save(file, "PNG")
    return file.getvalue()
