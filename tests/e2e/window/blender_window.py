"""Starts Debian's Blender with a real window on a display of its own, and brings back what a scenario found."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADDON = HERE.parent.parent.parent / "blender_addon"
WIDTH, HEIGHT = 860, 1120


@dataclass(frozen=True)
class Outcome:
    """What a scenario left: its facts, its folder of pictures, what Blender printed."""

    facts: dict[str, object]
    folder: Path
    output: str


def missing_program() -> str | None:
    """Name of a program that these tests need and that is not here, or None."""
    return next((name for name in ("Xvfb", "blender") if shutil.which(name) is None), None)


@contextlib.contextmanager
def display() -> Iterator[str]:
    """An Xvfb on a display number that it picks itself."""
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp"],
        pass_fds=(write_end,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as pipe:
            number = pipe.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


def crash_report(folder: Path) -> str:
    """What Blender wrote when it crashed: its last operators and the stack in C, empty without one."""
    return "\n".join(path.read_text(errors="replace")[-8000:] for path in folder.glob("*.crash.txt"))


def logs(folder: Path) -> str:
    """What the server and its worker logged last."""
    files = sorted((folder / "home").glob("*.log"))
    return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-6000:]}" for path in files)


def play(script: Path, scenario: str, folder: Path, *, limit: float = 1800.0, **environment: str) -> Outcome:
    """Play one scenario of a script in a fresh Blender with the add-on installed.

    Args:
        script: file that calls ``driver.main``.
        scenario: its name there.
        folder: for settings, pictures and the server's home.
        limit: seconds after which Blender is ended.
        environment: more variables.

    Raises:
        AssertionError: the scenario failed, Blender crashed, or Python printed a traceback.
    """
    out, scripts = folder / "pictures", folder / "scripts"
    addons = scripts / "addons"
    for path in (out, addons, folder / "config", folder / "home"):
        path.mkdir(parents=True, exist_ok=True)
    if not (addons / "gtr").exists():
        shutil.copytree(ADDON, addons / "gtr", ignore=shutil.ignore_patterns("__pycache__"))
    variables = {
        **os.environ,
        "BLENDER_USER_SCRIPTS": str(scripts),
        "BLENDER_USER_CONFIG": str(folder / "config"),
        "GTR_HOME": str(folder / "home"),
        "GTR_PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "PYTHONFAULTHANDLER": "1",
        "TMPDIR": str(folder),
        # A scenario can let the server hold a job at a stage (gtr_server/faults.py): see Driver.hold.
        "GTR_TESTING": "1",
        "GTR_FAULT": f"file:{folder / 'fault'}",
        "GTR_FAULT_RELEASE": str(folder / "release"),
        "PYTHONPATH": "",
        **environment,
    }
    with display() as number:
        blender = subprocess.Popen(
            [
                "blender", "--factory-startup", "--enable-event-simulate", "-p", "0", "0", str(WIDTH), str(HEIGHT),
                "--python-use-system-env", "--python-exit-code", "1",
                "-P", str(script), "--", scenario, str(out),
            ],
            env={**variables, "DISPLAY": number},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = blender.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(blender.pid, signal.SIGKILL)
            output, _ = blender.communicate()
    report = out / "report.json"
    assert report.exists(), (
        f"Blender ended without a report (code {blender.returncode}):\n{output[-6000:]}\n{crash_report(folder)}"
        f"\n{logs(folder)}"
    )
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["error"] is None, (
        f"{found['error']}\n{found['facts']}\npictures in {out}\n{output[-3000:]}\n{logs(folder)}"
    )
    assert "Traceback" not in output, output[-4000:]
    assert blender.returncode == 0, f"Blender crashed when it ended:\n{output[-4000:]}\n{crash_report(folder)}"
    return Outcome(found["facts"], out, output)
