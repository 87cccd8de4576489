"""Plays a script in Blender without a window, the packed add-on and a folder of its own beside it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 1800
"""Until a Blender is given up: far beyond what the slowest machine needs."""


def play(script: str, folder: Path) -> dict[str, Any]:
    """The facts that the script wrote.

    Raises:
        AssertionError: it wrote none, or something printed a traceback.
    """
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("the module bpy is not installed")
    environment = {
        **os.environ,
        "BLENDER_USER_SCRIPTS": str(folder / "scripts"),
        "BLENDER_USER_CONFIG": str(folder / "config"),
        "GTR_HOME": str(folder / "home"),
        "GTR_PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
        # A script can let the server hold a job at a stage (gtr_server/faults.py): see blender_scripts/holding.py.
        "GTR_TESTING": "1",
        "GTR_FAULT": f"file:{folder / 'fault'}",
        "GTR_FAULT_RELEASE": str(folder / "release"),
        # Nobody listens there: whoever trusts the environment fails.
        "http_proxy": "http://127.0.0.1:9",
    }
    for name in ("scripts/addons", "config", "out"):
        (folder / name).mkdir(parents=True)
    subprocess.run([sys.executable, ROOT / "build_addon.py", "-o", folder], check=True, capture_output=True)
    (addon,) = folder.glob("*.zip")
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "blender_scripts" / script, addon, folder / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        env=environment,
        check=False,
    )
    report = folder / "out" / "facts.json"
    assert report.exists(), done.stdout[-6000:]
    assert "Traceback" not in done.stdout, done.stdout[-6000:]
    return dict(json.loads(report.read_text(encoding="utf-8")))
