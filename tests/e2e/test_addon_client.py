"""The job process with the old requests and numpy of Debian's Blender 3.4 (the unit tests run with new ones)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("blender_scripts") / "client_checks.py"


def test_job_process_of_the_oldest_blender() -> None:
    program = shutil.which("blender")
    if program is None:
        pytest.skip("there is no program named blender")
    done = subprocess.run(
        [program, "-b", "--factory-startup", "--python-exit-code", "1", "--python", str(SCRIPT)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800, check=False,
    )  # fmt: skip
    if "No module named 'requests'" in done.stdout or "No module named 'numpy'" in done.stdout:
        pytest.skip("this Blender has no requests or numpy")
    lines = [line for line in done.stdout.splitlines() if line.startswith("CLIENT ")]
    assert lines, done.stdout
    found = json.loads(lines[0].removeprefix("CLIENT "))
    assert found["whole"] == ["ServerLine", "MeshReady", "ColorsReady", "Finished"], "although a proxy is set"
    assert found["cancelled"] == "Cancelled"
    assert found["polls_at_cancel"] == [1], "the poll was not waited for"
    assert found["after"] == "Finished"
    assert (found["ended"], found["leases"]) == (True, 0)
