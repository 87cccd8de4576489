"""One zip for every Blender: as an add-on in 3.4 and 5.0, as an extension in 5.0, with and without packages."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import build_addon

SCRIPT = Path(__file__).with_name("blender_scripts") / "install_addon.py"
BPY = importlib.util.find_spec("bpy")
CASES = [("blender", "legacy"), ("bpy", "legacy"), ("bpy", "extension")]


@pytest.fixture(scope="module")
def addon_zip(tmp_path_factory) -> Path:
    return build_addon.build(tmp_path_factory.mktemp("dist"))


def command(which: str) -> list[str]:
    if which == "bpy":
        if BPY is None:
            pytest.skip("the module bpy is not installed")
        return [sys.executable, str(SCRIPT)]
    program = shutil.which("blender")
    if program is None:
        pytest.skip("there is no program named blender")
    return [program, "-b", "--factory-startup", "--python-exit-code", "1", "--python", str(SCRIPT)]


@pytest.mark.parametrize("packages", ["packages", "blocked"])
@pytest.mark.parametrize(("which", "way"), CASES)
def test_install_enable_disable_and_again(addon_zip, tmp_path, which: str, way: str, packages: str) -> None:
    folders = {
        f"BLENDER_USER_{name}": str(tmp_path / name) for name in ("SCRIPTS", "CONFIG", "EXTENSIONS", "DATAFILES")
    }
    for folder in folders.values():
        Path(folder).mkdir()
    environment = {**os.environ, **folders, "BLENDER_USER_RESOURCES": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("GTR_HOME", None)
    done = subprocess.run(
        [*command(which), "--", str(addon_zip), way, packages],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800, env=environment, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("INSTALL ")]
    assert done.returncode == 0, done.stdout
    assert lines, done.stdout
    assert "Traceback" not in done.stdout
    found = json.loads(lines[0].removeprefix("INSTALL "))
    version = build_addon.project_version()
    assert found["version"] == version
    assert found["bl_info"] in ([int(part) for part in version.split(".")], None if way == "extension" else "needed")
    assert found["same"]
    assert found["data_same"]
    assert found["handlers_left"] == 0
    assert len(found["registered"]) > 15
    assert found["server_line"] == ("" if packages == "blocked" else "off"), "the job process speaks"
    assert found["folder"] == "gtr"
    assert found["siblings"] == ["gtr"], "nothing spilled beside it"
    assert found["missing"] == (["numpy", "requests"] if packages == "blocked" else [])


def test_manifest_passes_blenders_own_validator(addon_zip) -> None:
    if BPY is None or not BPY.submodule_search_locations:
        pytest.skip("the module bpy is not installed")
    root = Path(BPY.submodule_search_locations[0])
    tools = sorted(root.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
    assert tools, f"the extension tool is not where it was in {root}"
    done = subprocess.run(
        [sys.executable, str(tools[-1]), "validate", str(addon_zip)],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success parsing TOML" in done.stdout
