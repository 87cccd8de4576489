"""Runs inside Blender: the job process with the requests and numpy that this Blender has. Prints one line of JSON."""

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]

from fake_gtr_server import FakeServer, finish_at_once  # noqa: E402

from blender_addon.job_process import JobProcess  # noqa: E402
from blender_addon.values import (  # noqa: E402
    Cancelled,
    CapturedView,
    Failed,
    Finished,
    Progress,
    ReconstructOptions,
    RefineOptions,
    ServerSettings,
)

EYE = [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]
VIEWS = [CapturedView(f"View {i}", b"png%d" % i, EYE, EYE) for i in range(4)]


def to_end(runner: JobProcess, handle: str, on_event=lambda event: None) -> list:
    events, slowest = [], 0.0
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        began = time.monotonic()
        found = runner.poll()
        slowest = max(slowest, time.monotonic() - began)
        for event in found:
            on_event(event)
            events.append(event)
        if events and isinstance(events[-1], (Finished, Failed, Cancelled)) and events[-1].handle == handle:
            assert slowest < 0.1, f"poll took {slowest} s"
            return events
        time.sleep(0.01)
    raise AssertionError(events)


def main() -> dict:
    import numpy
    import requests

    os.environ["GTR_HOME"] = tempfile.mkdtemp()
    os.environ["HTTP_PROXY"] = "http://127.0.0.1:9"
    fake = FakeServer()
    fake.write_state(Path(os.environ["GTR_HOME"]) / "server.json")
    runner = JobProcess(ServerSettings())
    whole = to_end(runner, runner.submit_reconstruct(VIEWS, ReconstructOptions(), RefineOptions(steps=5)))

    fake.on_job = lambda job: None
    handle = runner.submit_reconstruct(VIEWS, ReconstructOptions())
    threading.Timer(1.0, runner.cancel, (handle,)).start()
    began = time.monotonic()
    cancelled = to_end(runner, handle)
    seconds = time.monotonic() - began

    fake.on_job = finish_at_once
    after = to_end(runner, runner.submit_reconstruct(VIEWS, ReconstructOptions()))
    ended = runner.shutdown(3)
    return {
        "python": list(sys.version_info[:2]), "numpy": numpy.__version__, "requests": requests.__version__,
        "whole": [type(event).__name__ for event in whole if not isinstance(event, Progress)],
        "cancelled": type(cancelled[-1]).__name__, "cancel_seconds": seconds,
        "after": type(after[-1]).__name__, "ended": ended, "leases": len(fake.leases),
    }  # fmt: skip


print("CLIENT " + json.dumps(main()))
