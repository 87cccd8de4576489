"""Weights of which every process holds a part: the run, its checkpoints, its pictures and its file are the same."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import train_command_process
import training_process
from ball_source import BallSource
from PIL import Image, ImageChops
from torchrun import torchrun

from gtr_core.cli import train
from gtr_core.cli.main import OK
from gtr_core.fields.surface import ISO_LEVEL, density_grid
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.model.weights import load_model, save_model
from gtr_core.training.batch_field import field_of
from gtr_core.training.checkpoint import load_checkpoint
from gtr_core.training.log import read_log
from gtr_core.training.recipes import get_recipe

STEPS, BATCH = 6, 4


def checkpoint(folder: Path, step: int = STEPS) -> dict[str, Any]:
    return load_checkpoint(folder / "checkpoints" / f"{step:08d}.pt")


def largest_difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def assert_same_state(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Weights, their average, the optimiser and the norms of the gradients."""
    assert a.keys() == b.keys()
    for name in ("model", "average"):
        assert largest_difference(a[name], b[name]) < 1e-5, name
    assert a["norms"] == pytest.approx(b["norms"], rel=1e-4)
    assert a["optimizer"]["param_groups"] == b["optimizer"]["param_groups"]
    left, right = a["optimizer"]["state"], b["optimizer"]["state"]
    assert left.keys() == right.keys()
    for index in left:
        assert left[index]["step"] == right[index]["step"]
        for name in ("exp_avg", "exp_avg_sq"):
            size = float(left[index][name].abs().max())
            assert largest_difference({name: left[index][name]}, {name: right[index][name]}) <= 1e-3 * size, name


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process, from the first step to the last."""
    folder = tmp_path_factory.mktemp("alone")
    training_process.train(folder, STEPS, BATCH)
    return folder


@pytest.fixture(scope="module")
def sharded(alone: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two processes that share the weights, from the first step to the last; and what they say."""
    folder = tmp_path_factory.mktemp("sharded")
    return folder, torchrun(training_process.__file__, folder, STEPS, BATCH, 0, 1)


def test_two_processes_that_share_the_weights_learn_what_one_learns(alone: Path, sharded: tuple[Path, str]) -> None:
    folder, output = sharded
    assert_same_state(checkpoint(alone), checkpoint(folder))
    for one, both in zip(read_log(alone), read_log(folder), strict=True):
        assert one["loss"] == pytest.approx(both["loss"], rel=1e-5)
        assert one["gradient_norm"] == pytest.approx(both["gradient_norm"], rel=1e-4)
    total = sum(parameter.numel() for parameter in GTR(CONFIGS["gtr-tiny"]).parameters())
    held = [int(number) for number in re.findall(r"rank \d holds (\d+)", output)]
    assert sum(held) == total, "nothing is held twice"
    assert max(held) < 0.55 * total


def test_one_process_goes_on_where_two_shared_the_weights(
    alone: Path, sharded: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(sharded[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "checkpoints" / f"{STEPS:08d}.pt").unlink()
    training_process.train(tmp_path, STEPS, BATCH)
    assert_same_state(checkpoint(alone), checkpoint(tmp_path))


def test_two_go_on_sharing_the_weights_where_one_was_alone(alone: Path, tmp_path: Path) -> None:
    shutil.copytree(alone, tmp_path, dirs_exist_ok=True)
    (tmp_path / "checkpoints" / f"{STEPS:08d}.pt").unlink()
    torchrun(training_process.__file__, tmp_path, STEPS, BATCH, 0, 1)
    assert_same_state(checkpoint(alone), checkpoint(tmp_path))


def network_that_loses_one_of_two(path: Path) -> None:
    """Weights with which the first ball of a run has no surface and the second has one, or the other way round."""
    model = GTR(CONFIGS["gtr-tiny"], generator=torch.Generator().manual_seed(0))
    recipe = get_recipe("gtr-tiny", "mesh")
    inputs = BallSource().batch(0, range(2), recipe.phases[0].request).inputs
    with torch.no_grad():
        field = field_of(model, inputs, model.config.density_head, bfloat16=False)
        resolution = recipe.phases[0].loss.grid_resolution  # type: ignore[union-attr]
        highest = [float(density_grid(field.one(index), resolution).max()) for index in range(2)]
        raw = sum(model.config.density_head.raw_at(value) for value in highest) / 2
        model.density_mlp.layers[-1].bias += model.config.density_head.raw_at(ISO_LEVEL) - raw  # type: ignore[union-attr]
    save_model(model, path, description={"preset": "gtr-tiny", "licence": "", "source": "test"})


def test_the_command_leaves_the_same_pictures_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one process sees a surface and the other sees none, so that only one asks the colour network."""
    monkeypatch.setattr(train, "_source", None)  # is put back in the end
    network_that_loses_one_of_two(tmp_path / "start.safetensors")
    options = ["mesh", "--preset", "gtr-tiny", "--from", str(tmp_path / "start.safetensors"), "--device", "cpu"]
    options += ["--steps", "2", "--batch", "2", "--log-steps", "1", "--threads", "0", "-o"]
    assert train_command_process.train_on_balls(*options, str(tmp_path / "alone")) == OK
    torchrun(train_command_process.__file__, *options, tmp_path / "both", "--shard-weights")
    one, both = (read_log(tmp_path / name) for name in ("alone", "both"))
    assert one[1]["lost"] == 0.5
    assert both[1]["lost"] in (0, 1), "what the first process saw"
    for a, b in zip(one, both, strict=True):
        assert a.keys() - b.keys() <= {"rescue"}
        for name in {"loss", "gradient_norm", "validation_psnr"} & a.keys():
            assert a[name] == pytest.approx(b[name], rel=1e-4), name
    weights = [
        load_model(tmp_path / name / "weights.safetensors", dtype="float32").state_dict() for name in ("alone", "both")
    ]
    assert largest_difference(*weights) < 1e-5
    names = sorted(path.name for path in (tmp_path / "alone" / "pictures").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "both" / "pictures").iterdir())
    assert len(names) == 2
    for name in names:
        pictures = [Image.open(tmp_path / run / "pictures" / name) for run in ("alone", "both")]
        difference = ImageChops.difference(*pictures).getextrema()
        assert max(high for _, high in difference) <= 2, name
