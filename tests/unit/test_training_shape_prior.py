"""Training of the shape prior: what it learns from, that it learns, and its command."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gtr_core.cli import train_prior
from gtr_core.cli.main import OK, USER_ERROR, main
from gtr_core.fit import shape_prior as prior_module
from gtr_core.fit.shape_prior import ShapePrior, load_prior
from gtr_core.fit.visual_hull import visual_hull
from gtr_core.progress import Cancelled
from gtr_core.training import shape_prior as training
from gtr_core.training.schedule import Schedule
from gtr_core.training.shape_prior import PriorRecipe, PriorStep, prior_sample, train_shape_prior

SMALL = 24


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the grid, for speed."""
    monkeypatch.setattr(prior_module, "RESOLUTION", SMALL)
    monkeypatch.setattr(training, "RESOLUTION", SMALL)


def steps_clock(steps: int) -> Callable[[], float]:
    """A clock that lets so many steps of training pass in one second."""
    times = iter([0.0, *((k + 0.5) / steps for k in range(steps)), 1.0])
    return lambda: next(times)


def test_samples_are_the_same_whenever_they_are_made() -> None:
    (views, distance), (again, same) = prior_sample(3, 5), prior_sample(3, 5)
    assert torch.equal(views.rgba, again.rgba)
    assert torch.equal(distance, same)
    assert not torch.equal(distance, prior_sample(3, 6)[1])


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_inside_of_an_object_lies_inside_its_hull(index: int) -> None:
    views, distance = prior_sample(0, index)
    hull = visual_hull(views, prior_module.RESOLUTION).values
    inside = distance < 0
    assert inside.any()
    assert float((hull[inside] < 0.03).float().mean()) > 0.99


def test_it_learns(small: None) -> None:
    told: list[PriorStep] = []
    recipe = PriorRecipe(batch=1, schedule=Schedule(2e-3, steps=40, warmup_steps=3, clock="seconds"))
    train_shape_prior(1.0, recipe=recipe, seed=1, on_step=lambda step, _: told.append(step), clock=steps_clock(40))
    assert [step.step for step in told] == list(range(1, 41))
    ratios = [step.loss / step.hull_loss for step in told]
    assert ratios[0] == pytest.approx(1, abs=0.05)
    assert sum(ratios[-15:]) / 15 < 0.92


def test_the_same_seed_gives_the_same_weights(small: None) -> None:
    recipe = PriorRecipe(batch=1)
    first, again, other = (
        train_shape_prior(1.0, recipe=recipe, seed=seed, clock=steps_clock(2)).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_command_leaves_weights(tmp_path: Path, small: None, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "prior.safetensors"
    assert main(["train-prior", "-o", str(path), "--budget-seconds", "1"]) == OK
    assert isinstance(load_prior(path), ShapePrior)
    assert str(path) in capsys.readouterr().out


def test_the_command_says_what_is_wrong(tmp_path: Path, small: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-prior", "-o", str(tmp_path / "p"), "--budget-seconds", "0"]) == USER_ERROR
    assert "--budget-seconds" in capsys.readouterr().err
    assert main(["train-prior", "-o", str(tmp_path / "no" / "p"), "--budget-seconds", "0.1"]) == USER_ERROR
    assert "does not exist" in capsys.readouterr().err


def test_the_command_can_be_stopped_and_keeps_what_it_has(tmp_path: Path, small: None) -> None:
    path, asked = tmp_path / "prior.safetensors", []

    def check() -> None:
        asked.append(None)
        if len(asked) == 2:
            raise Cancelled

    options = argparse.Namespace(output=path, budget_seconds=60.0, threads=1, seed=0)
    with pytest.raises(Cancelled, match="is written"):
        train_prior.run(options, check)
    assert isinstance(load_prior(path), ShapePrior)
