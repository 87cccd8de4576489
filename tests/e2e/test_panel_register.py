"""The installed add-on registers in both Blenders even where Blender's Python lacks numpy and requests."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "blender_scripts" / "panel_register.py"


@pytest.mark.parametrize("blender", ["bpy", "blender"])
def test_registers_without_numpy_and_requests(blender: str, tmp_path: Path) -> None:
    if blender == "bpy" and importlib.util.find_spec("bpy") is None:
        pytest.skip("the module bpy is not installed")
    if blender == "blender" and shutil.which("blender") is None:
        pytest.skip("there is no program named blender")
    subprocess.run([sys.executable, ROOT / "build_addon.py", "-o", tmp_path], check=True, capture_output=True)
    (addon,) = tmp_path.glob("*.zip")
    with zipfile.ZipFile(addon) as archive:
        archive.extractall(tmp_path / "scripts" / "addons")
    environment = {
        **os.environ,
        "BLENDER_USER_SCRIPTS": str(tmp_path / "scripts"),
        "BLENDER_USER_CONFIG": str(tmp_path / "config"),
        "GTR_HOME": str(tmp_path / "home"),
    }
    command = [sys.executable] if blender == "bpy" else ["blender", "-b", "--factory-startup", "--python"]
    done = subprocess.run(
        [*command, SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        env=environment,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("GTR_FACTS ")]
    assert lines, done.stdout[-4000:]
    assert "Traceback" not in done.stdout, done.stdout[-4000:]
    facts = json.loads(lines[0].removeprefix("GTR_FACTS "))
    assert not facts["before"]
    assert facts["enable"] == facts["again"] == ["FINISHED"]
    assert facts["there"] == [True, True]
    assert "Blender's Python lacks numpy and requests" in facts["reconstruct"]
    assert "Blender's Python lacks numpy and requests" in facts["start"]
    assert facts["views"] == 14
    count, unknown = facts["icons"]
    assert count > 15
    assert unknown == []
    before, during, after = facts["handlers"]
    assert during == before + 3
    assert after == before
    assert facts["left"] == [False, False, False]
    assert not (tmp_path / "home").exists()
