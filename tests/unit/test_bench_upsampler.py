"""The comparison of upsamplers: what it gives to learn, and that it writes what it measures."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from gtr_core.evaluation.grid_artefact import line_spectrum, measure_grid

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """The benchmark with few planes, so that it takes seconds."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_upsampler

    monkeypatch.setattr(bench_upsampler, "TRAINING", 8)
    monkeypatch.setattr(bench_upsampler, "HELD_OUT", 4)
    return bench_upsampler


def test_the_planes_hold_nothing_that_an_upsampler_has_to_invent(bench):
    planes = bench.smooth_planes(8, torch.Generator().manual_seed(0))
    assert float(planes.square().mean()) == pytest.approx(1, abs=0.1)
    grid = measure_grid(planes, 8)
    assert grid.images < 2
    assert grid.seams == pytest.approx(1, abs=0.02)
    spectrum = line_spectrum(planes * torch.hann_window(128) * torch.hann_window(128)[:, None], 8)
    assert float(spectrum.power[spectrum.frequency > 0.5 / 8].sum()) < 1e-5


def test_all_upsamplers_get_the_same_task_and_learn(bench, tmp_path, monkeypatch, capsys):
    out, picture = tmp_path / "upsampler.json", tmp_path / "upsampler.png"
    arguments = ["--seeds", "1", "--steps", "25", "--out", str(out), "--picture", str(picture)]
    monkeypatch.setattr(sys, "argv", ["bench_upsampler.py", *arguments])
    threads = torch.get_num_threads()
    bench.main()
    torch.set_num_threads(threads)
    report = json.loads(out.read_text())
    trained = {row["upsampler"]: row for row in report["table"] if row["steps"]}
    assert trained.keys() == bench.UPSAMPLERS.keys()
    assert all(row["error"]["mean"] < 0.9 for row in trained.values())
    assert {run["steps"] for run in report["runs"]} == {0, 25}
    assert len(capsys.readouterr().out.splitlines()) == len(report["runs"]) == 6
    task = bench.Task(0)
    assert torch.equal(task.tokens, bench.Task(0).tokens)
    assert all(torch.equal(a, b) for a, b in zip(task.batches(3, 0), task.batches(3, 0), strict=True))
    with Image.open(picture) as sheet:
        assert sheet.width > 1000
