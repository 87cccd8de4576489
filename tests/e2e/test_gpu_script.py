"""The GPU script, rehearsed on a CPU with tiny numbers: the very calls, so that no GPU minute is spent on a typo."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from gtr_core.model.weights import load_model
from gtr_core.model.weights_header import read_header

ROOT = Path(__file__).resolve().parents[2]
MORE, ALL = 3, 0
STEPS = 6


def call(folder: Path, *options: str) -> tuple[int, str]:
    """One call, as on the machine that is lent: the package is not installed there."""
    command = [sys.executable, "benchmarks/gpu/run.py", "--out", str(folder / "state"), "--back", str(folder / "back")]
    command += ["--seconds", "900", "--tiny", "--device", "cpu", "--preset", "gtr-tiny", "--speed-preset", "gtr-tiny"]
    command += ["--nerf-seconds", "600", "--mesh-seconds", "600", "--validation-objects", "1", "--evaluation-jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("GTR_OBJECTS", None)
    done = subprocess.run(
        [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=1800
    )
    return done.returncode, done.stdout + done.stderr


def outcome(folder: Path, step: str) -> dict[str, object]:
    return json.loads((folder / "state" / "steps" / f"{step}.json").read_text())["outcome"]


def test_calls_continue_each_other_also_on_another_machine(tmp_path: Path) -> None:
    code, said = call(tmp_path)
    assert code == MORE, said
    for step in ("preflight", "rasterizers", "table_marching_cubes", "speed"):
        assert outcome(tmp_path, step)["status"] == "done", (step, said)
    for step in ("packages", "nvdiffrast", "procedural"):
        assert outcome(tmp_path, step)["status"] == "absent", step
    begun = outcome(tmp_path, "train_nerf")
    assert begun["status"] == "partly"
    needs = set(outcome(tmp_path, "preflight")["figures"]["imported_by_training"])
    assert not needs & {"trimesh", "skimage", "pydantic", "flask", "waitress", "fast_simplification", "requests"}

    brought = tmp_path / "brought"
    shutil.copytree(tmp_path / "back", brought)
    shutil.rmtree(tmp_path / "state")  # another machine, as bare as the first one was
    code, said = call(tmp_path, "--take", str(brought))
    assert code == ALL, said
    assert "Took over the stage nerf" in said
    assert outcome(tmp_path, "train_nerf")["figures"]["step"] == STEPS > begun["figures"]["step"] > 0
    assert outcome(tmp_path, "train_mesh")["figures"]["step"] == STEPS
    assert outcome(tmp_path, "evaluate_objects")["status"] == "absent"
    assert outcome(tmp_path, "evaluate_validation")["status"] == "done", said
    check_what_came_back(tmp_path / "back")

    known = {path.name: path.read_bytes() for path in (tmp_path / "state" / "steps").iterdir()}
    code, said = call(tmp_path, "--take", str(brought))  # this machine still knows that all is done
    assert code == ALL, said
    assert "The state is still here" in said
    assert known == {path.name: path.read_bytes() for path in (tmp_path / "state" / "steps").iterdir()}


def check_what_came_back(back: Path) -> None:
    files = sorted(back.iterdir())
    assert len(files) <= 8
    assert all(path.stat().st_size < 16 << 20 for path in files)
    index = back / "gtr-tiny.safetensors.index.json"
    assert read_header(index).preset == "gtr-tiny"
    assert read_header(index).source.startswith("gtr train mesh: procedural objects")
    assert load_model(index).config == read_header(index).config
    card = (back / "MODEL_CARD.md").read_text()
    assert "A rehearsal" in card
    assert "all white" in card, "the table of the evaluation"
    assert "samples/s" in card
    with zipfile.ZipFile(back / "report.zip") as archive:
        names = set(archive.namelist())
    assert {"runs/nerf/log.csv", "runs/mesh/log.csv", "logs/train_nerf.log", "results/speed.json"} <= names
    assert {"runs/nerf/pictures/00000006.png", "reports/validation/table.md"} <= names
