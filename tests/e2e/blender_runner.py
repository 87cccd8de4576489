"""Runs a script of checks in every Blender of this machine, once each, and hands out the outcome of each check."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).with_name("blender_scripts")
BLENDERS = ("bpy", "blender")
"""The Python module and the system's program (Debian's 3.4.1)."""
MARK = "GTR_CHECK "
SECONDS = 1800
"""Until a Blender is given up: far beyond what the slowest machine needs."""


def parametrize(script: str):
    """Decorator: one test per check of the script and Blender; the test gets ``outcome`` = None or what went wrong."""
    tree = ast.parse((SCRIPTS / script).read_text("utf-8"))
    checks = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")]
    cases = [(blender, check) for blender in BLENDERS for check in checks]
    ids = [f"{blender}-{check.removeprefix('check_')}" for blender, check in cases]
    return pytest.mark.parametrize(("blender", "check"), cases, ids=ids)


def assert_passed(script: str, blender: str, check: str) -> None:
    """Fail with the traceback from inside Blender when the check failed there."""
    outcomes, output = run(script, blender)
    if check not in outcomes:
        pytest.fail(f"{blender} ended before {check}:\n{output[-4000:]}")
    if outcomes[check] is not None:
        pytest.fail(outcomes[check], pytrace=False)


@cache
def run(script: str, blender: str) -> tuple[dict[str, str | None], str]:
    """Outcome by check, and everything that was printed."""
    done = subprocess.run(
        [*_command(blender), str(SCRIPTS / script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    told = [line for line in done.stdout.splitlines() if line and not line.startswith(("Fra:", " Time:", "Saved:"))]
    return dict(json.loads(line.removeprefix(MARK)) for line in lines), "\n".join(told)


def _command(blender: str) -> list[str]:
    if blender == "bpy":
        if importlib.util.find_spec("bpy") is None:
            pytest.skip("the module bpy is not installed")
        return [sys.executable]
    program = shutil.which("blender")
    if program is None:
        pytest.skip("there is no program named blender")
    return [program, "-b", "--factory-startup", "--python"]
