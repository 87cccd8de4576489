"""What only a GPU would show, on a device without numbers: nothing on the CPU, and nobody waits for a number."""

import contextlib

import pytest
import torch

from gtr_core.data.dataset import Batch, BatchRequest, Points, PosedPictures
from gtr_core.data.procedural_plans import Planner, PlanningProcesses
from gtr_core.data.training_cameras import CameraRange
from gtr_core.geometry import cameras
from gtr_core.geometry.volume import intersect_box
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.training import ray_rendering, target_rays
from gtr_core.training.perceptual import Perceptual
from gtr_core.training.recipes import get_recipe

META, B = torch.device("meta"), 2


def pictures(views: int, size: int) -> PosedPictures:
    shapes = [(size, size, 4), (4, 4), (4,), (size, size), (size, size, 3)]
    return PosedPictures(*(torch.empty(B, views, *shape, device=META) for shape in shapes))


def batch(request: BatchRequest) -> Batch:
    points = Points(*(torch.empty(B, 16, *shape, device=META) for shape in ((3,), (), (3,), (3,))))
    targets = pictures(request.target_views, request.target_side) if request.target_views else None
    return Batch(torch.arange(B), pictures(request.input_views, request.input_size), targets, points)


@pytest.mark.parametrize("preset", ["gtr-mini", "gtr-paper"])
def test_the_first_stage_stays_on_its_device_and_waits_for_nothing(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what reads numbers on purpose, or cannot be had without a real device
    monkeypatch.setattr(cameras, "_check", lambda c2w, intrinsics: None)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    for module in (ray_rendering, target_rays):
        monkeypatch.setattr(module, "sample_generator", lambda *_, **__: None)
    with META:
        model = GTR(CONFIGS[preset])
    for phase in get_recipe(preset, "nerf").phases:
        model.zero_grad()
        stage = phase.stage(model, Perceptual(phase.loss.perceptual, None), seed=0)
        loss, terms = stage(batch(phase.request), 0.5)
        loss.backward()
        assert {value.device for value in (loss, *terms.values())} == {META}
        assert all(weight.grad is not None and weight.grad.device == META for weight in model.parameters())


def test_moving_a_batch_leaves_its_numbers_where_python_reads_them() -> None:
    moved = batch(BatchRequest(2, 16, 0)).to("meta")
    assert moved.inputs.rgba.device == META
    assert moved.indices.tolist() == [0, 1]


def test_rays_that_miss_the_box_share_the_others_way() -> None:
    origins = torch.tensor([[0.0, 0.0, 4.0], [0.0, 3.0, 4.0], [0.0, 0.0, 6.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0]]).expand(3, -1)
    near, far, hit = intersect_box(origins, directions)
    assert hit.tolist() == [True, False, True]
    assert near.tolist() == [3.0, 3.0, 5.0]
    assert far.tolist() == [5.0, 7.0, 7.0]
    near, far, hit = intersect_box(origins[1:2], directions[1:2])
    assert (near.item(), far.item(), hit.item()) == (1.0, 2.0, False)
    assert [len(part) for part in intersect_box(origins[:0], directions[:0])] == [0, 0, 0]


def test_processes_plan_the_same_samples() -> None:
    planner, request = Planner(1, CameraRange()), BatchRequest(3, 16, 2, 32, patch=8)
    processes = PlanningProcesses(planner, 1)
    try:
        theirs = processes.plan(5, range(6), range(6), request)
    finally:
        processes.close()
    ours = planner.plan(5, range(6), range(6), request)
    assert theirs.tables.tobytes() == ours.tables.tobytes()
    assert (theirs.inputs == ours.inputs).all()
    assert theirs.inputs.shape == (6, 3, 20)
    assert (theirs.targets == ours.targets).all()
