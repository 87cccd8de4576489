"""``gtr train`` from the command line: a run, its files, its errors, and what its weights are good for."""

import argparse
import csv
import io
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from ball_source import BallSource

from gtr_core.cli import train
from gtr_core.cli.main import CANCELLED, OK, USER_ERROR, main
from gtr_core.cli.train_progress import TrainProgress
from gtr_core.data.dataset import BatchRequest
from gtr_core.errors import GtrError
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.mesh_files import write_mesh
from gtr_core.model.weights import load_model
from gtr_core.model.weights_header import read_header
from gtr_core.pipeline import Pipeline
from gtr_core.training.loop import PICTURES
from gtr_core.training.trainer import StepRecord
from gtr_core.views import Views

FEW = ["--steps", "4", "--batch", "2", "--log-steps", "1", "--threads", "0", "--device", "cpu"]


CHOOSE_SOURCE = train._source


def options(data: list[str], **changes: object) -> argparse.Namespace:
    """What the choice of a source looks at."""
    values = {"data": data, "objects": 0, "device": "cpu", "processes": None, "preview_data": False}
    return argparse.Namespace(**values | changes)


@pytest.fixture(autouse=True)
def balls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that needs no compiler and no time."""
    monkeypatch.setattr(train, "_source", lambda options: BallSource())


def gtr_train(stage: str, folder: Path, *options: str) -> int:
    return main(["train", stage, "--preset", "gtr-tiny", *FEW, "-o", str(folder), *options])


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the first stage."""
    folder = tmp_path_factory.mktemp("runs") / "nerf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_source", lambda options: BallSource())
        assert gtr_train("nerf", folder) == OK
    return folder


def test_a_run_leaves_curves_pictures_and_weights(first_run: Path) -> None:
    with (first_run / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4", "4"]
    judged = [row["validation_psnr"] for row in rows]
    assert all(judged[place] for place in (0, -1)), "before the first step and after the last"
    assert not any(judged[1:-1])
    assert {path.name for path in (first_run / PICTURES).iterdir()} == {"00000000.png", "00000004.png"}
    header = read_header(first_run / "weights.safetensors")
    assert (header.preset, header.licence) == ("gtr-tiny", "Apache-2.0")
    assert header.source == "gtr train nerf: balls, 4 steps, 8 samples, seed 0"
    assert json.loads((first_run / "run.json").read_text())["perceptual"].startswith("SSIM")


def test_the_weights_reconstruct(first_run: Path) -> None:
    path = first_run / "weights.safetensors"
    pipeline = Pipeline.load(None, weights=path, device="cpu")
    assert pipeline.preset.name == "gtr-tiny"
    pictures = BallSource().batch(0, [0], BatchRequest(4, 32, 0)).inputs
    views = Views(pictures.rgba[0], pictures.cameras(0))
    model = load_model(path, dtype="float32")
    with torch.no_grad():  # raise the density until there is a surface: four steps do not make one
        model.density_mlp.layers[-1].bias.fill_(20.0)  # type: ignore[union-attr]
    pipeline.model.load_state_dict(model.state_dict())  # type: ignore[union-attr]
    result = pipeline.reconstruct(views, grid_resolution=16)
    assert len(result.mesh.faces) > 0


def test_the_same_command_finds_nothing_left_to_do(first_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, weights = (first_run / "log.csv").read_bytes(), load_model(first_run / "weights.safetensors").state_dict()
    assert gtr_train("nerf", first_run) == OK
    assert "finished" in capsys.readouterr().out
    assert (first_run / "log.csv").read_bytes() == log
    for name, value in load_model(first_run / "weights.safetensors").state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_another_run_does_not_go_into_the_same_folder(first_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gtr_train("nerf", first_run, "--seed", "1") == USER_ERROR
    assert "seed 0, not 1" in capsys.readouterr().err


def test_the_second_stage_goes_on_from_the_first(first_run: Path, tmp_path: Path) -> None:
    assert gtr_train("mesh", tmp_path / "mesh", "--from", str(first_run), "--normal", "0.1") == OK
    header = read_header(tmp_path / "mesh" / "weights.safetensors")
    assert header.source.endswith("; from nerf")
    assert load_model(tmp_path / "mesh" / "weights.safetensors").config == header.config


def test_the_second_stage_does_not_start_from_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gtr_train("mesh", tmp_path) == USER_ERROR
    assert "--from" in capsys.readouterr().err


def test_weights_of_another_preset_are_refused(
    first_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "nerf", "--preset", "gtr-mini", "--from", str(first_run), "-o", str(tmp_path), *FEW]
    assert main(arguments) == USER_ERROR
    assert "gtr-tiny, not of gtr-mini" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "fit"], "no training of fit"),
        (["--steps", "-1"], "cannot be negative"),
        (["--batch", "3", "--parts", "2"], "divided evenly"),
        (["--lpips", "nowhere.pth"], "nowhere.pth"),
    ],
)
def test_wrong_options_are_said_in_a_sentence(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gtr_train("nerf", tmp_path, *options) == USER_ERROR
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_command_goes_on(
    first_run: Path, tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ending(BallSource):
        def batch(self, seed, indices, request):  # type: ignore[no-untyped-def]
            if 2 in indices and seed == 0:
                os.kill(os.getpid(), number)
            return super().batch(seed, indices, request)

    monkeypatch.setattr(train, "_source", lambda options: Ending())
    assert gtr_train("nerf", tmp_path) == CANCELLED
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["00000002.pt"]
    monkeypatch.setattr(train, "_source", lambda options: BallSource())
    assert gtr_train("nerf", tmp_path) == OK
    whole, resumed = (load_model(folder / "weights.safetensors") for folder in (first_run, tmp_path))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_data_can_be_looked_at_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gtr_train("mesh", tmp_path, "--preview-data") == OK
    assert (tmp_path / "data.png").stat().st_size > 1000
    assert "balls" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["data.png"]


def test_sources_are_named_and_weighed(tmp_path: Path) -> None:
    write_mesh(Mesh(torch.eye(3), torch.tensor([[0, 1, 2]])), tmp_path / "one.ply")

    def chosen(*data: str) -> str:
        return CHOOSE_SOURCE(options(list(data))).name

    assert chosen() == "procedural objects (family 0)"
    assert chosen(str(tmp_path)) == f"1 meshes of {tmp_path.name}"
    assert chosen("procedural=3", f"{tmp_path}=1").startswith("75% procedural objects (family 0), 25% 1 meshes")
    for wrong in (f"{tmp_path}=many", f"{tmp_path}=0"):
        with pytest.raises(GtrError):
            chosen(wrong)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(step: int) -> StepRecord:
    return StepRecord(step, 8 * step, 1e-3, 0.5, "good", 0.25, {"rgb": 0.1, "lost": 0.0})


def test_a_terminal_shows_one_line_with_loss_and_speed() -> None:
    times = iter(range(100))
    terminal = Terminal()
    progress = TrainProgress(stream=terminal, clock=lambda: float(next(times)))
    progress.step(record(1), 0.25)
    progress.step(record(2), 0.5)
    progress.row({"step": 2, "validation_psnr": 21.5})
    progress.close()
    lines = terminal.getvalue().split("\r")
    assert "50.0%" in lines[2]
    assert "8.0 samples/s" in lines[2]
    assert "loss 0.2500" in lines[2]
    assert "rgb 0.1000" in lines[2]
    assert "new views 21.50 dB" in lines[3]


def test_a_file_gets_a_line_now_and_then() -> None:
    times = iter(range(100))
    stream = io.StringIO()
    progress = TrainProgress(stream=stream, clock=lambda: float(next(times)))
    for step in range(1, 31):
        progress.step(record(step), 0.1)
        progress.row({"step": step, "samples_per_second": 8.0, "loss": 0.25, "rgb": 0.1})
    progress.close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "step 1: 8.0 samples/s, loss 0.2500, rgb 0.1000"
    assert 4 <= len(lines) <= 8
