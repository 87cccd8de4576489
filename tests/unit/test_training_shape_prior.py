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
from gtr_core.training import prior_samples
from gtr_core.training.prior_samples import posed, prior_batches, prior_sample
from gtr_core.training.schedule import Schedule
from gtr_core.training.shape_prior import PriorRecipe, PriorStep, train_shape_prior

SMALL = 24


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the grid, for speed."""
    monkeypatch.setattr(prior_module, "RESOLUTION", SMALL)
    monkeypatch.setattr(prior_samples, "RESOLUTION", SMALL)


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


@pytest.mark.parametrize("pose", range(8))
def test_a_posed_object_is_the_same_object(pose: int, small: None) -> None:
    views, distance = prior_sample(0, 1)
    turned, turned_distance = posed(views, distance, pose)
    hull = visual_hull(views, SMALL).values
    expected = posed(views, hull, pose)[1]
    # At a few nodes a mirrored outline lies half a pixel elsewhere.
    difference = visual_hull(turned, SMALL).values.sub(expected).abs()
    assert difference.mean() < 1e-4
    assert difference.amax() < 0.01
    assert (distance < 0).sum() == (turned_distance < 0).sum()
    assert torch.equal(turned_distance, distance) == (pose == 0)
    # Colours go with the object: their mean over the views, at its nodes, turns as its distance does.
    red, turned_red = (ShapePrior()._evidence(one)[0][8] for one in (views, turned))
    assert turned_red.sub(posed(views, red, pose)[1]).abs().mean() < 1e-3


def test_every_object_is_used_as_often_and_its_uses_lie_apart(small: None) -> None:
    batches = prior_batches(2, seed=0, threads=1)
    drawn = [next(batches) for _ in range(24)]
    solid = [int((distance < 0).sum()) for batch in drawn for _, distance in batch]
    uses = [solid.count(volume) for volume in set(solid)]
    assert max(uses) <= 4
    assert sum(uses) / len(uses) > 2
    assert any(batch[0][1].ne(batch[1][1]).any() for batch in drawn)


def test_it_begins_with_what_it_is_given(small: None) -> None:
    start = train_shape_prior(1.0, recipe=PriorRecipe(batch=1), seed=1, clock=steps_clock(3))
    gentle = PriorRecipe(batch=1, schedule=Schedule(1e-9, steps=40, warmup_steps=3, clock="seconds"))
    same = train_shape_prior(1.0, recipe=gentle, seed=2, start=start, clock=steps_clock(2))
    assert all(torch.allclose(value, start.state_dict()[name], atol=1e-6) for name, value in same.state_dict().items())


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

    options = argparse.Namespace(output=path, budget_seconds=60.0, threads=1, seed=0, start=None)
    with pytest.raises(Cancelled, match="is written"):
        train_prior.run(options, check)
    assert isinstance(load_prior(path), ShapePrior)
