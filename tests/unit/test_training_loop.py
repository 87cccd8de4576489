"""Runs: they learn, go on after every kind of end, and survive what a batch can do to them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ball_source import BallSource
from small_training import ALONE, mesh_recipe, nerf_recipe, small_trainer
from torch import Tensor

from gtr_core.data.dataset import Batch, BatchRequest
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.training import stage
from gtr_core.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from gtr_core.training.log import read_log
from gtr_core.training.loop import CHECKPOINTS, PICTURES, Rhythm, run_training
from gtr_core.training.trainer import MOST_REFUSALS, Trainer, TrainingDiverged
from gtr_core.training.validation import Validation

EVERY_STEP = Rhythm(log_steps=1)
STEPS = 12


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def assert_same_weights(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def losses(folder: Path) -> list[tuple[float, float]]:
    return [(row["step"], row["loss"]) for row in read_log(folder) if "loss" in row]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trainer]:
    """A run without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    trainer = small_trainer(nerf_recipe(steps=STEPS))
    assert run_training(trainer, folder, rhythm=EVERY_STEP)
    return folder, trainer


class StopAfter:
    """Asks to stop after some steps."""

    def __init__(self, trainer: Trainer, step: int) -> None:
        self.trainer, self.step = trainer, step

    def __call__(self) -> bool:
        return self.trainer.step >= self.step


@pytest.mark.parametrize("threads", [0, 2])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    whole: tuple[Path, Trainer], tmp_path: Path, threads: int
) -> None:
    folder, trainer = whole
    first = small_trainer(nerf_recipe(steps=STEPS), threads=threads)
    assert not run_training(first, tmp_path, rhythm=EVERY_STEP, should_stop=StopAfter(first, 7))
    assert first.step == 7
    second = small_trainer(nerf_recipe(steps=STEPS), threads=threads)
    assert run_training(second, tmp_path, rhythm=EVERY_STEP)
    assert_same_weights(weights(trainer), weights(second))
    assert_same_weights(trainer.average.weights, second.average.weights)
    assert losses(folder) == losses(tmp_path)
    assert [step for step, _ in losses(tmp_path)] == list(range(1, STEPS + 1))


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(whole: tuple[Path, Trainer], tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    first = small_trainer(nerf_recipe(steps=STEPS))

    def kill() -> bool:
        if first.step == 5:
            save_checkpoint(tmp_path / CHECKPOINTS, first.state())
        if first.step == 8:
            raise Killed
        return False

    with pytest.raises(Killed):
        run_training(first, tmp_path, rhythm=EVERY_STEP, should_stop=kill)
    assert losses(tmp_path)[-1][0] == 7, "the log is ahead of the checkpoint"
    second = small_trainer(nerf_recipe(steps=STEPS))
    assert run_training(second, tmp_path, rhythm=EVERY_STEP)
    assert_same_weights(weights(whole[1]), weights(second))
    assert losses(tmp_path) == losses(whole[0])


def test_gradients_of_parts_are_those_of_the_whole_step() -> None:
    parts = small_trainer(nerf_recipe(steps=STEPS, parts=2))
    single = small_trainer(nerf_recipe(steps=STEPS))
    for _ in range(6):
        a, b = single.advance(), parts.advance()
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
        assert a.norm == pytest.approx(b.norm, rel=1e-3)
    for name, value in weights(single).items():
        assert float((value - weights(parts)[name]).abs().max()) < 1e-4, name


def test_blocks_that_are_computed_twice_learn_the_same() -> None:
    saving = small_trainer(replace(nerf_recipe(), recompute=True))
    plain = small_trainer(nerf_recipe())
    for _ in range(3):
        assert saving.advance().loss == plain.advance().loss
    assert_same_weights(weights(saving), weights(plain))


def test_bfloat16_learns_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_gains_by_bfloat16", lambda device: True)
    recipe = nerf_recipe()
    half = tuple(
        replace(phase, loss=replace(phase.loss, field_config=replace(phase.loss.field_config, bfloat16=True)))
        for phase in recipe.phases
    )
    exact, rounded = small_trainer(recipe), small_trainer(replace(recipe, phases=half))
    first, second = exact.advance(), rounded.advance()
    assert first.loss != second.loss
    assert first.loss == pytest.approx(second.loss, rel=0.02)
    assert first.norm == pytest.approx(second.norm, rel=0.1)
    assert all(parameter.dtype == torch.float32 for parameter in rounded.model.parameters())


def test_it_learns_and_its_average_is_written_as_the_network() -> None:
    trainer = small_trainer(nerf_recipe(steps=80, rate=3e-3), source=BallSource(count=4))
    records = [trainer.advance().terms for _ in range(40)]
    for term, factor in (("tsdf", 0.95), ("point_color", 0.85)):
        first, last = (sum(terms[term] for terms in part) for part in (records[:8], records[-8:]))
        assert last < factor * first, term
    assert {"rgb", "ssim", "gradient", "mask", "depth", "opacity"} <= set(records[-1])
    model = trainer.averaged_model()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, trainer.average.weights[name])
    assert not model.training


def test_the_density_is_written_as_sharp_as_it_was_learned() -> None:
    recipe = nerf_recipe(steps=10)
    sharp = tuple(
        replace(phase, loss=replace(phase.loss, field_config=replace(phase.loss.field_config, sharpness=(1.0, 3.0))))
        for phase in recipe.phases
    )
    trainer = small_trainer(replace(recipe, phases=sharp))
    base = CONFIGS["gtr-tiny"].density_head
    assert trainer.averaged_model().config.density_head == base
    trainer.step = 5
    assert trainer.averaged_model().config.density_head == replace(base, scale=2.0 * base.scale)
    trainer.step = 10
    assert trainer.averaged_model().config.density_head == replace(base, scale=3.0 * base.scale)


def test_the_mesh_stage_survives_a_network_without_any_surface() -> None:
    model = GTR(replace(CONFIGS["gtr-tiny"], density_bias=-20.0), generator=torch.Generator().manual_seed(0))
    trainer = small_trainer(mesh_recipe(), model=model)
    record = trainer.advance()
    assert record.verdict == "good"
    assert record.terms["lost"] == 1
    assert record.terms["rescue"] == pytest.approx(1, abs=1e-3)
    assert all(parameter.grad is not None for parameter in trainer.model.parameters()), "processes agree on that"
    assert math.isfinite(record.norm)


def test_the_mesh_stage_brings_a_lost_surface_back() -> None:
    model = GTR(replace(CONFIGS["gtr-tiny"], density_bias=-1.5), generator=torch.Generator().manual_seed(0))
    recipe = mesh_recipe(steps=400)
    trainer = small_trainer(
        replace(recipe, schedule=replace(recipe.schedule, learning_rate=1e-2)), model=model, source=BallSource(count=1)
    )
    assert trainer.advance().terms["lost"] == 1
    for _ in range(60):
        record = trainer.advance()
        if record.terms["lost"] == 0:
            break
    assert record.terms["lost"] == 0
    assert "rescue" not in record.terms
    assert record.terms["normal"] > 0
    assert record.terms["depth"] >= 0
    trainer.advance()


class Bad(BallSource):
    """Data with a number that is none in the samples from ``first`` on."""

    def __init__(self, first: int, where: str) -> None:
        super().__init__()
        self._first, self._where = first, where

    def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        batch = super().batch(seed, indices, request)
        assert batch.points is not None
        if max(indices) >= self._first and self._where == "distance":
            batch.points.distance[:] = math.nan
        return batch


def test_a_loss_that_is_no_number_stops_the_run_with_its_state_kept(tmp_path: Path) -> None:
    trainer = small_trainer(nerf_recipe(steps=STEPS), source=Bad(12, "distance"))
    with pytest.raises(TrainingDiverged, match="step 4"):
        run_training(trainer, tmp_path, rhythm=EVERY_STEP)
    kept = load_checkpoint(tmp_path / CHECKPOINTS / "diverged.pt")
    assert kept["step"] == 3
    assert all(bool(torch.isfinite(value).all()) for value in kept["model"].values())
    assert latest_checkpoint(tmp_path / CHECKPOINTS) is None, "no run goes on from there"


def test_gradients_that_are_no_numbers_are_left_out_but_not_for_ever() -> None:
    trainer = small_trainer(nerf_recipe(steps=40))
    before = weights(trainer)
    hook = trainer.model.planes.register_hook(lambda gradient: gradient * math.nan)
    for _ in range(MOST_REFUSALS - 1):
        assert trainer.advance().verdict == "not finite"
    assert_same_weights(before, weights(trainer))
    with pytest.raises(TrainingDiverged, match="10 steps in a row"):
        trainer.advance()
    hook.remove()
    assert trainer.advance().verdict == "good"


def test_time_limits_stop_a_call_or_a_run(tmp_path: Path) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    recipe = nerf_recipe(steps=1000)
    timed = replace(recipe, schedule=replace(recipe.schedule, clock="seconds"))
    trainer = small_trainer(timed)
    trainer.budget = 30.0
    assert not run_training(trainer, tmp_path, rhythm=replace(EVERY_STEP, call_seconds=12), clock=clock)
    assert 10 < trainer.seconds < 16
    again = small_trainer(timed)
    again.budget = 30.0
    assert run_training(again, tmp_path, rhythm=EVERY_STEP, clock=clock)
    assert 30 <= again.seconds < 36
    assert again.share == 1


def test_checkpoints_are_whole_few_and_of_this_version(tmp_path: Path) -> None:
    for step in (3, 11, 20):
        save_checkpoint(tmp_path, {"step": step, "numbers": torch.arange(3)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000011.pt", "00000020.pt"]
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert torch.equal(load_checkpoint(latest)["numbers"], torch.arange(3))
    latest.write_bytes(latest.read_bytes()[:100])
    with pytest.raises(GtrError, match="cannot be read") as caught:
        load_checkpoint(latest)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    torch.save({"format": 99}, latest)
    with pytest.raises(GtrError, match="this version"):
        load_checkpoint(latest)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 1, "evil": Path}, tmp_path / "00000001.pt")
    with pytest.raises(GtrError, match="cannot be read"):
        load_checkpoint(tmp_path / "00000001.pt")


@pytest.mark.parametrize("stage", ["nerf", "mesh"])
def test_fixed_objects_are_drawn_and_judged(tmp_path: Path, stage: str) -> None:
    recipe = mesh_recipe(steps=2) if stage == "mesh" else nerf_recipe(steps=2)
    trainer = small_trainer(recipe)
    request = recipe.phases[-1].request
    validation = Validation.of(BallSource(), request, stage, objects=2, grid_resolution=16)  # type: ignore[arg-type]
    run_training(trainer, tmp_path, validation=validation, rhythm=EVERY_STEP)
    assert sorted(path.name for path in (tmp_path / PICTURES).iterdir()) == ["00000000.png", "00000002.png"]
    judged = [row["validation_psnr"] for row in read_log(tmp_path) if "validation_psnr" in row]
    assert len(judged) == 2
    assert all(5 < value < 40 for value in judged)


def test_a_log_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n1,0.5\n2,0.4\n3,0.")
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2, 3]
    (tmp_path / "log.csv").write_text("step,loss\n1,0.5\n2,x")
    assert [row["step"] for row in read_log(tmp_path)] == [1]
    assert read_log(tmp_path / "nowhere") == []


def test_processes_alone_agree_with_themselves() -> None:
    assert ALONE.agree(True, 3.5) == (True, 3.5)
    assert torch.equal(ALONE.mean(torch.ones(2)), torch.ones(2))
    assert ALONE.is_first
