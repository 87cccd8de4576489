"""Real servers on real sockets, and a plain client for them."""

from __future__ import annotations

import hashlib
import io
import math
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests

from gtr_server import state_file
from gtr_server.app import create_app
from gtr_server.services import Services, build
from gtr_server.serving import HttpServer, bind
from gtr_server.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 180.0
"""Seconds until a test gives up: far beyond what the slowest machine needs."""
TERMINAL = ("succeeded", "failed", "cancelled")


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true value of ``condition``; fails with ``what`` when it does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds:.0f} s in vain for: {what}")


class Client:
    """The API by its addresses, nothing hidden."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.url = f"http://127.0.0.1:{port}/api/v1"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", PATIENCE)
        return self.session.request(method, self.url + path, allow_redirects=False, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, key: str | None = None) -> requests.Response:
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.call("POST", path, json={} if body is None else body, headers=headers)

    def put_blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.call("PUT", f"/blobs/{digest}", data=data, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        return digest

    def submit(self, path: str, body: Any, key: str | None = None) -> str:
        answer = self.post(path, body, key)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, job: str) -> dict[str, Any]:
        answer = self.get(f"/jobs/{job}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def follow(self, job: str, until: Callable[[dict[str, Any]], bool] | None = None) -> list[dict[str, Any]]:
        """All events until the job ends, or until one fulfils ``until``."""
        events: list[dict[str, Any]] = []
        end, last = time.monotonic() + PATIENCE, 0
        while time.monotonic() < end:
            answer = self.get(f"/jobs/{job}/events", params={"after": last, "wait": 5}).json()
            last = answer["last_seq"]
            for event in answer["events"]:
                events.append(event)
                if until is not None and until(event):
                    return events
            if answer["state"] in TERMINAL:
                # A job of an earlier server tells nothing.
                if not events or events[-1]["data"].get("state") in TERMINAL:
                    return events
                time.sleep(0.01)  # the state is stored a moment before it is told
        raise AssertionError(f"the job did not end, or did not say so: {events[-3:]}")

    def reach(self, job: str, stage: str) -> None:
        """Wait until the job is in this stage."""
        events = self.follow(job, lambda event: event["stage"] == stage)
        assert events[-1]["stage"] == stage, events[-1]

    def end(self, job: str) -> dict[str, Any]:
        """The job once it has ended."""
        self.follow(job)
        return self.job(job)


@contextmanager
def front(home: Path, **settings: Any) -> Iterator[tuple[Client, Services]]:
    """The front without its worker, in this process, on a real socket: queued jobs stay queued."""
    settings = {"idle_timeout": math.inf, **settings}
    services = build(Settings(home=home, **settings), "test-token-" + uuid.uuid4().hex)
    listener = bind(0)
    services.port = listener.getsockname()[1]
    server = HttpServer(create_app(services), listener)
    stop = threading.Event()
    thread = threading.Thread(target=server.run_until, args=(stop,))
    thread.start()
    client = Client(services.port, services.token)
    try:
        yield client, services
    finally:
        client.session.close()
        stop.set()
        server.pull_trigger()
        services.events.close()
        thread.join()
        server.shut(1.0)
        services.store.close()


class RealServer:
    """``python -m gtr_server`` as a process of its own.

    Args:
        home: its folder.
        options: further command line options.
        fault: contents of the fault file (see :mod:`gtr_server.faults`); change it with :meth:`set_fault`.
    """

    def __init__(self, home: Path, *options: str, fault: str = "") -> None:
        home.parent.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.fault_file, self.release = home.parent / "fault", home.parent / "release"
        self.set_fault(fault)
        environment = {
            **os.environ,
            "GTR_TESTING": "1",
            "GTR_FAULT": f"file:{self.fault_file}",
            "GTR_FAULT_RELEASE": str(self.release),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        self.output = home.parent / f"{home.name}.out"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gtr_server", "--home", str(home), "--device", "cpu", *options],
                cwd=home.parent, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def set_fault(self, fault: str) -> None:
        self.fault_file.write_text(fault)

    @property
    def state(self) -> state_file.State | None:
        return state_file.read(self.home / "server.json")

    def client(self) -> Client:
        """A client, as soon as the server answers."""

        def answering() -> state_file.State | None:
            assert self.process.poll() is None, self.output.read_text()
            state = self.state
            return state if state and state.pid == self.process.pid and state_file.answers(state, PATIENCE) else None

        found = wait_until(answering, "the server answers")
        return Client(found.port, found.token)

    def worker(self) -> psutil.Process:
        """The worker process, as soon as there is one."""

        def found() -> psutil.Process | None:
            children = psutil.Process(self.process.pid).children()
            return next((p for p in children if any("spawn_main" in part for part in _command(p))), None)

        return wait_until(found, "a worker process")

    def wait(self, seconds: float = PATIENCE) -> int:
        return self.process.wait(seconds)

    def ready_worker(self, client: Client) -> psutil.Process:
        """The worker process, as soon as it has loaded its libraries."""
        wait_until(lambda: client.get("/server").json()["worker"]["state"] == "ready", "a ready worker")
        return self.worker()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def running(home: Path, *options: str, fault: str = "") -> Iterator[RealServer]:
    """A real server that is stopped at the end."""
    server = RealServer(home, *options, fault=fault)
    try:
        yield server
    finally:
        server.stop()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def read_npz(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def problem(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """Check that the answer is this problem document; returns it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["code"] == code, document
    assert document["status"] == status
    for leak in ("Traceback", "/home", "/tmp", "C:\\Users"):
        assert leak not in answer.text
    return dict(document)
