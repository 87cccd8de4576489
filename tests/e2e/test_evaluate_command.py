"""``gtr evaluate`` as a user runs it: a whole report, going on after Ctrl-C, and what is wrong in one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import trimesh
from evaluation_systems import write_objects

from gtr_core.evaluation.rows import ReportFolder

DEADLINE = 600
"""Seconds; everything here takes a small part of it on a quiet machine."""


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gtr_core.cli.main", "evaluate", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def run(*arguments: object) -> tuple[int, str, str]:
    process = start(*arguments)
    try:
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    write_objects(folder, "ab")
    (folder / "broken.glb").write_bytes(b"glTF, they said")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_a_report_of_presets_baselines_and_other_programs(objects, cache, tmp_path, tiny_weights) -> None:
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    trimesh.load_scene(objects / "a.glb").export(meshes / "a.ply")
    report = tmp_path / "report"
    options = ["--cache", cache, "--jobs", 2, "--weights", f"gtr-tiny={tiny_weights}", "--baseline", "white", "hull"]
    options += ["--external", f"other={meshes}", "--refine", 2, "--refine-seconds", "--alignment", "bounds"]
    code, out, err = run(objects, "-o", report, *options)
    assert code == 0, err
    assert out.startswith("Method ")
    lines = {line.split("  ")[0] for line in out.splitlines()}
    assert {"all white", "visual hull + projected colours", "other", "gtr-tiny", "gtr-tiny +2 steps"} <= lines
    # the broken object in five rows, and the one object without a counterpart
    assert "6 of 15 new rows failed; the report says why." in out
    assert out.rstrip().endswith(str(report / "report.html"))
    assert "Evaluating" in err
    folder = ReportFolder(report)
    header = folder.header()
    assert header is not None
    assert header.objects == ("a", "b", "broken")
    assert [entry.name for entry in header.systems] == ["white", "hull", "other", "gtr-tiny"]
    (hull,), (other,) = folder.rows("a", "hull"), folder.rows("a", "other")
    assert hull.psnr > 18
    assert hull.mask_iou > 0.9
    assert other.mask_iou > 0.98
    assert other.psnr > 25
    plain, refined = folder.rows("a", "gtr-tiny")
    assert plain.cd == refined.cd
    assert plain.psnr != refined.psnr
    assert "broken" in folder.rows("broken", "hull")[0].reason
    assert json.loads((report / "report.json").read_text())
    code, out, err = run(objects, "-o", report, *options)
    assert code == 0, err
    assert "7 of 12 pairs were there already. 6 of 6 new rows failed" in out
    code, _, err = run(objects, "-o", report, "--baseline", "white", "--chamfer", "two_sided_mean")
    assert code == 2
    assert "was made by another protocol (" in err


def test_ctrl_c_keeps_what_is_done_and_leaves_nothing_behind(objects, cache, tmp_path) -> None:
    report = tmp_path / "report"
    options = ["--cache", cache, "--jobs", 2, "--only", "a", "b", "--baseline", "white", "--preset", "fit"]
    process = start(objects, "-o", report, *options)
    try:
        end = time.monotonic() + DEADLINE
        while not list(report.glob("rows/*/white.json")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
        _, err = process.communicate(timeout=DEADLINE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, err
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    assert not psutil.wait_procs(children, timeout=DEADLINE)[1]
    assert not [path for path in (*report.rglob("*"), *cache.rglob("*")) if path.suffix == ".part"]
    code, out, err = run(objects, "-o", report, "--cache", cache, "--only", "a", "b", "--baseline", "white")
    assert code == 0, err
    assert "pairs were there already." in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nowhere"], "There is no folder nowhere."),
        (["EMPTY"], "holds no object."),
        (["OBJECTS", "--only", "c"], "There is no object c. There are a, b, broken."),
        (["OBJECTS", "--preset", "best"], "There is no preset named best."),
        (["OBJECTS", "--refine", "0"], "0 steps are out of range."),
        (["OBJECTS", "--refine-seconds", "-1"], "-1 seconds are out of range."),
        (["OBJECTS", "--iou", "guess"], "iou is 'guess'."),
        (["OBJECTS", "--jobs", "0"], "0 processes are out of range."),
        (["OBJECTS", "--cluster", "somewhere"], "somewhere is no address of a cluster."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(objects, tmp_path, capsys, options, said) -> None:
    from gtr_core.cli.main import USER_ERROR, main

    places = {"OBJECTS": str(objects), "EMPTY": str(tmp_path)}
    arguments = [places.get(option, option) for option in options]
    assert main(["evaluate", *arguments, "-o", str(tmp_path / "report")]) == USER_ERROR
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
