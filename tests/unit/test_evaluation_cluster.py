"""The evaluation on a Ray cluster of several machines, all of them on this one."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation import ray_executor
from gtr_core.evaluation.ray_executor import RayExecutor

SCRIPT = Path(__file__).parents[1] / "cluster_script.py"
LONGEST = 900
"""Seconds after which something hangs; it takes about 30 on a quiet machine."""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (the extra cluster)")
    folder = tmp_path_factory.mktemp("cluster")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = process.communicate(timeout=LONGEST)
        assert process.returncode == 0, said[-4000:]
        yield json.loads((folder / "outcome.json").read_text())
    finally:
        if process.poll() is None:
            for child in (*psutil.Process(process.pid).children(recursive=True), process):
                child.kill()
            process.communicate()


def without_machine(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "device": "", "commit": "", "seconds": 0, "cpu_seconds": 0} for row in rows]


def test_a_cluster_gives_the_same_report_as_processes(outcome: Any) -> None:
    local, remote = outcome["same"]["local"], outcome["same"]["remote"]
    assert len(local["rows"]) == 14
    dead = {(row["object"], row["system"]): row["reason"] for row in remote["rows"] if "killed" in row["reason"]}
    assert dead == {("b", "killed"): "Its process crashed or was killed."}
    for row in local["rows"]:
        row["reason"] = dead.get((row["object"], row["system"]), row["reason"])
    assert without_machine(local["rows"]) == without_machine(remote["rows"])
    assert [row["status"] for row in remote["rows"]].count("failed") == 5
    assert local["files"] == remote["files"]
    assert len(remote["files"]) > 14


def test_a_pair_whose_machine_died_runs_on_another(outcome: Any) -> None:
    assert [row["status"] for row in outcome["dying"]["rows"]] == ["ok", "ok"]


def test_without_a_cluster_there_is_one_sentence(outcome: Any) -> None:
    said = "No Ray cluster answers at 127.0.0.1:1: .* Start one with: ray start --head --include-dashboard=false."
    assert re.fullmatch(said, outcome["nobody"])


def test_without_ray_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(ray_executor.importlib, "import_module", not_there)
    with pytest.raises(GtrError, match="needs the package ray, which is not installed") as caught:
        RayExecutor("auto")
    assert caught.value.code is ErrorCode.BACKEND_UNAVAILABLE
