"""Several processes train like one: same weights, after deaths and with other numbers of them."""

from pathlib import Path

import pytest
import torch
import training_process
from torchrun import torchrun

from gtr_core.training.log import read_log

PROCESS = Path(training_process.__file__)
STEPS, BATCH = 6, 4


def run_together(folder: Path, *, steps: int = STEPS, dies_after: int = 0) -> None:
    """Two processes, started by torchrun."""
    output = torchrun(PROCESS, folder, steps, BATCH, dies_after)
    assert "trained with 2" in output


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "weights.pt", weights_only=True)
    return state


def largest_difference(a: Path, b: Path) -> float:
    left, right = weights(a), weights(b)
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process with the whole batch."""
    folder = tmp_path_factory.mktemp("alone")
    training_process.train(folder, STEPS, BATCH, 0)
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes with half of it each."""
    folder = tmp_path_factory.mktemp("together")
    run_together(folder)
    return folder


def test_two_processes_learn_what_one_learns_with_the_batch_of_both(alone: Path, together: Path) -> None:
    assert largest_difference(alone, together) < 1e-5
    for one, both in zip(read_log(alone), read_log(together), strict=True):
        assert one["step"] == both["step"]
        assert one["loss"] == pytest.approx(both["loss"], rel=1e-5)


def test_a_process_that_dies_is_started_again_and_nothing_is_lost(together: Path, tmp_path: Path) -> None:
    run_together(tmp_path, dies_after=4)
    assert (tmp_path / "died").exists()
    assert largest_difference(together, tmp_path) == 0
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_run_goes_on_with_another_number_of_processes(alone: Path, tmp_path: Path) -> None:
    run_together(tmp_path, steps=3)
    training_process.train(tmp_path, STEPS, BATCH, 0)
    assert largest_difference(alone, tmp_path) < 1e-5
