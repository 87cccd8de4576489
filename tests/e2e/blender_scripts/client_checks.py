"""Runs inside Blender: the job process with the requests and numpy that this Blender has. Prints one line of JSON."""

import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "unit")]

from fake_gtr_server import FakeServer, finish_at_once  # noqa: E402
from job_events import PATIENCE, to_end, wait_for  # noqa: E402

from blender_addon.job_process import JobProcess  # noqa: E402
from blender_addon.values import (  # noqa: E402
    CapturedView,
    Progress,
    ReconstructOptions,
    RefineOptions,
    ServerSettings,
)

EYE = [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]
VIEWS = [CapturedView(f"View {i}", b"png%d" % i, EYE, EYE) for i in range(4)]


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
    wait_for(lambda: (runner.poll(), fake.open_polls)[1])
    runner.cancel(handle)
    cancelled = to_end(runner, handle)

    fake.on_job = finish_at_once
    after = to_end(runner, runner.submit_reconstruct(VIEWS, ReconstructOptions()))
    ended = runner.shutdown(PATIENCE)
    wait_for(lambda: not fake.leases)
    return {
        "python": list(sys.version_info[:2]), "numpy": numpy.__version__, "requests": requests.__version__,
        "whole": [type(event).__name__ for event in whole if not isinstance(event, Progress)],
        "cancelled": type(cancelled[-1]).__name__, "polls_at_cancel": fake.open_polls_at("POST", "/cancel"),
        "after": type(after[-1]).__name__, "ended": ended, "leases": len(fake.leases),
    }  # fmt: skip


print("CLIENT " + json.dumps(main()))
