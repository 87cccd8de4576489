"""Looking at a refinement at milestones changes nothing of it."""

import pytest
import torch
from test_stages_texture import Residual
from texture_scene import make_field, painted_ball

from gtr_core.evaluation import snapshots
from gtr_core.evaluation.snapshots import Milestones, refinement_snapshots
from gtr_core.pipeline import Pipeline, Reconstruction
from gtr_core.presets import get_preset

PRESETS = {"fit": Residual, "gtr-tiny": type(make_field())}


class Clock:
    """Every reading is half a second after the one before."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 0.5
        return self.now

    def process_time(self) -> float:
        return self.now / 2


@pytest.fixture(params=PRESETS)
def start(request):
    mesh, views = painted_ball()
    field = make_field(PRESETS[request.param])
    pipeline = Pipeline(get_preset(request.param), torch.device("cpu"))
    return pipeline, Reconstruction(views, field, mesh.with_colors(field.color(mesh.vertices)), request.param)


def shots(start, milestones):
    return {shot.variant: shot for shot in refinement_snapshots(*start, milestones)}


def test_a_continued_refinement_is_one_refinement(start, monkeypatch) -> None:
    monkeypatch.setattr(snapshots, "time", Clock())
    pipeline, begun = start
    found = shots(start, Milestones((5, 15), (1.0, 3.0)))
    assert set(found) == {"+5 steps", "+15 steps", "+1 s", "+3 s"}
    for steps in (5, 15):
        alone = pipeline.refine_texture(begun, steps=steps)
        together = found[f"+{steps} steps"]
        assert together.steps == together.reconstruction.refinement.steps == steps
        assert torch.equal(together.reconstruction.mesh.colors, alone.mesh.colors)
        assert together.reconstruction.mesh.vertices is begun.mesh.vertices


def test_seconds_count_from_the_start_and_looks_do_not_count(start, monkeypatch) -> None:
    monkeypatch.setattr(snapshots, "time", Clock())
    found = shots(start, Milestones((), (1.0, 9.0)))
    early, late = found["+1 s"], found["+9 s"]
    assert early.steps < late.steps
    assert 1.0 <= early.seconds < 9.0 <= late.seconds
    assert late.cpu_seconds == pytest.approx(late.seconds / 2)
    alone = shots(start, Milestones((), (9.0,)))["+9 s"]
    assert abs(alone.steps - late.steps) <= 5  # the look at +1 s took none of the 9 seconds


def test_a_texture_of_which_the_best_is_kept_is_stopped_by_the_clock_where_it_is_looked_at(monkeypatch) -> None:
    monkeypatch.setattr(snapshots, "time", Clock())
    mesh, views = painted_ball()
    field = make_field(Residual)
    begun = Reconstruction(views, field, mesh.with_colors(field.color(mesh.vertices)), "fit")
    found = shots((Pipeline(get_preset("fit"), torch.device("cpu")), begun), Milestones((), (0.1, 4.0, 7.3)))
    assert all(shot.steps % 5 == 0 for shot in found.values())


def test_no_milestones_no_work(start) -> None:
    assert shots(start, Milestones()) == {}
