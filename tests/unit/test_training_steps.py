"""Schedule, optimiser, guard, average, recipes, data feed: the small parts of a run."""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from ball_source import BallSource
from torch import nn

from gtr_core.data.dataset import Batch, BatchRequest
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.training.data_feed import DataFeed, Key
from gtr_core.training.distributed import World, share_of
from gtr_core.training.mesh_stage import MeshConfig
from gtr_core.training.nerf_stage import NerfConfig
from gtr_core.training.optimizer import AveragedWeights, GradientGuard, OptimizerConfig, make_optimizer
from gtr_core.training.recipes import RECIPES, get_recipe
from gtr_core.training.schedule import Schedule

CPU = torch.device("cpu")


def test_the_rate_rises_then_falls_to_nothing_along_a_cosine() -> None:
    schedule = Schedule(1e-3, 100, warmup_steps=10)
    rates = [schedule.rate(step, schedule.share(step, 0, None)) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4, rel=1e-3)
    assert rates[9] == pytest.approx(1e-3, rel=0.03)
    assert rates[50] == pytest.approx(5e-4)
    assert rates[100] == pytest.approx(0)
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_a_run_on_time_ends_with_its_budget_however_many_steps_it_made() -> None:
    schedule = Schedule(1e-3, 100, clock="seconds")
    assert schedule.share(5, 30, 60) == 0.5
    assert not schedule.is_over(5000, 59, 60)
    assert schedule.is_over(5, 60, 60)
    assert schedule.share(50, 1e9, None) == 0.5, "without a budget it goes by steps"
    assert schedule.is_over(100, 0, None)
    by_steps = replace(schedule, clock="steps")
    assert by_steps.share(50, 59, 60) == 0.5
    assert by_steps.is_over(50, 60, 60), "the budget ends every run"


def test_only_matrices_decay() -> None:
    model = GTR(CONFIGS["gtr-tiny"])
    optimizer = make_optimizer(model, OptimizerConfig(weight_decay=0.05))
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        expected = 0.0 if "norm" in name or name.endswith("bias") else 0.05
        assert decays[id(parameter)] == expected, name


def test_the_guard_leaves_explosions_out_and_gets_used_to_growth() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    guard = GradientGuard(OptimizerConfig(max_norm=1.0, explosion=5.0, window=30))

    def judge(norm: float) -> tuple[str, float]:
        parameter.grad = torch.full((4,), norm / 2)
        return guard.judge([parameter])

    assert judge(100.0) == ("good", 100.0), "nothing is known yet"
    assert parameter.grad is not None
    assert float(parameter.grad.norm()) == pytest.approx(1, rel=1e-4), "clipped"
    for _ in range(30):
        assert judge(0.5)[0] == "good"
    assert judge(2.4)[0] == "good"
    assert judge(2.6)[0] == "exploding"
    assert judge(math.inf)[0] == "not finite"
    verdicts = [judge(4.0)[0] for _ in range(30)]
    assert verdicts[0] == "exploding"
    assert verdicts[-1] == "good"
    twin = GradientGuard(OptimizerConfig(window=30))
    twin.restore(guard.state())
    assert twin.state() == guard.state()


def test_the_average_follows_quickly_at_first_and_slowly_later() -> None:
    model = nn.Linear(2, 2)
    average = AveragedWeights(model, 0.9)
    start = average.weights["weight"].clone()
    with torch.no_grad():
        model.weight.add_(1.0)
    average.follow(model, 0)
    assert torch.allclose(average.weights["weight"], start + 0.9), "decay 1 / 10"
    before = average.weights["weight"].clone()
    average.follow(model, 10_000)
    assert torch.allclose(average.weights["weight"], before + 0.1 * (model.weight.detach() - before))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_samples_of_a_step_are_dealt_out_once_each(parts: int, size: int) -> None:
    dealt = [
        index
        for rank in range(size)
        for part in range(parts)
        for index in share_of(24, 8, part, parts, World(rank, size, CPU))
    ]
    assert sorted(dealt) == list(range(24, 32))


def test_a_batch_that_cannot_be_divided_is_the_users_fault() -> None:
    with pytest.raises(GtrError, match="multiple of 6") as caught:
        share_of(0, 8, 0, 2, World(0, 3, CPU))
    assert caught.value.code is ErrorCode.BAD_INPUT


def test_the_paper_is_trained_as_the_paper_says() -> None:
    nerf, mesh = get_recipe("gtr-paper", "nerf"), get_recipe("gtr-paper", "mesh")
    (first,), (second,) = nerf.phases, mesh.phases
    assert isinstance(first.loss, NerfConfig)
    assert isinstance(second.loss, MeshConfig)
    assert (first.batch, second.batch) == (512, 192)
    assert (nerf.schedule.learning_rate, nerf.schedule.steps, mesh.schedule.learning_rate) == (1e-4, 150_000, 5e-5)
    assert nerf.optimizer.weight_decay == mesh.optimizer.weight_decay == 0.05
    assert (first.request.input_views, first.request.target_views, first.request.patch) == (4, 4, 128)
    assert (second.request.target_views, second.request.target_size, second.request.patch) == (8, 512, 0)
    assert first.loss.sampling.stratified == 256
    assert first.loss.perceptual.lpips == 0.5
    loss = second.loss
    assert (loss.perceptual.lpips, loss.depth, loss.mask, loss.opacity) == (0.5, 0.5, 1.0, 0.5)
    assert loss.grid_resolution == 256
    assert first.loss.mask == first.loss.depth == first.loss.opacity == loss.normal == 0
    release = get_recipe("gtr-release", "mesh").phases[0].loss
    assert release.depth == 0.2


def test_every_recipe_can_do_without_points_and_none_asks_for_what_does_not_fit() -> None:
    for (preset, stage), recipe in RECIPES.items():
        config = CONFIGS[preset]
        for has_points in (True, False):
            phases = recipe.for_source(has_points=has_points).phases
            assert phases[-1].until == 1.0
            assert [phase.until for phase in phases] == sorted(phase.until for phase in phases)
            for phase in phases:
                request = phase.request
                assert request.input_size % config.patch_size == 0
                assert request.target_views or (has_points and phase.loss.field_config.points.used), (preset, stage)
                assert isinstance(phase.loss, MeshConfig) == (stage == "mesh")
    with pytest.raises(GtrError, match="no training of fit"):
        get_recipe("fit", "nerf")


def test_phases_follow_each_other() -> None:
    recipe = get_recipe("gtr-mini", "nerf")
    first, second = recipe.phases
    assert recipe.phase(0.0) is first
    assert recipe.phase(0.49) is second
    assert recipe.phase(1.0) is second
    bigger = first.with_batch(7)
    assert bigger.batch == 7
    assert bigger.without_points is not None
    assert bigger.without_points.batch == 7


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_data_made_ahead_is_the_data(threads: int) -> None:
    request = BatchRequest(2, 16, 0)
    source = BallSource()

    def key(later: int) -> Key:
        return range(4 * later, 4 * later + 4), request

    with DataFeed(source, 0, threads=threads) as feed:
        for step in range(3):
            batch = feed.get(key(step), lambda later, step=step: key(step + later))  # type: ignore[misc]
            expected = BallSource().batch(0, range(4 * step, 4 * step + 4), request)
            assert torch.equal(batch.indices, expected.indices)
            assert torch.equal(batch.inputs.rgba, expected.inputs.rgba)
        jump = feed.get(key(9), lambda later: key(9 + later))
        assert jump.indices.tolist() == [36, 37, 38, 39]
    if threads:
        assert sorted(source.asked[:20]) == sorted(set(source.asked[:20])), "nothing is made twice"


def test_data_is_made_while_the_network_computes() -> None:
    request = BatchRequest(1, 16, 0)
    begun = threading.Event()

    class Slow(BallSource):
        def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
            if indices[0] == 4:
                begun.set()
            return super().batch(seed, indices, request)

    with DataFeed(Slow(), 0, threads=1) as feed:
        feed.get((range(4), request), lambda later: (range(4 * later, 4 * later + 4), request))
        assert begun.wait(60), "the next batch is begun although nobody asked for it"


def test_a_fault_of_the_data_reaches_the_training() -> None:
    class Broken(BallSource):
        def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
            raise GtrError(ErrorCode.BAD_INPUT, "The data is broken.")

    request = BatchRequest(1, 16, 0)
    with DataFeed(Broken(), 0, threads=1) as feed, pytest.raises(GtrError, match="broken"):
        feed.get((range(4), request), lambda later: (range(4 * later, 4 * later + 4), request))
