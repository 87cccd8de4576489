"""A job of an earlier Blender: whether the server still has it, and fetching its mesh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_gtr_server import FakeServer
from job_events import PATIENCE
from job_events import collect as collect_until

from blender_addon.job.seen import JobSeen
from blender_addon.jobs import JobRunner
from blender_addon.link import api
from blender_addon.values import (
    CapturedView,
    ColorsReady,
    Event,
    Failed,
    Finished,
    MeshReady,
    ReconstructOptions,
    RefineOptions,
    ServerLine,
    ServerSettings,
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("GTR_HOME", str(tmp_path))
    monkeypatch.delenv("GTR_PYTHON", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(api, "_FIRST_WAIT", 0.01)
    server = FakeServer()
    server.write_state(tmp_path / "server.json")
    yield server
    server.close()


@pytest.fixture
def runner(fake: FakeServer) -> Iterator[JobRunner]:
    made = JobRunner(ServerSettings())
    yield made
    assert made.shutdown(PATIENCE)


def collect(runner: JobRunner, kind: type | tuple[type, ...]) -> list[Event]:
    return collect_until(runner, lambda event: isinstance(event, kind))


@pytest.fixture
def job(fake: FakeServer, runner: JobRunner) -> str:
    """The id of a reconstruction that an earlier Blender has submitted."""
    eye = [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]
    view = CapturedView("Front", b"png", [[100.0, 0, 8], [0, 100, 8], [0, 0, 1]], eye)
    handle = runner.submit_reconstruct([view], ReconstructOptions())
    assert runner.jobs_of("request_0") == ("", "")
    collect(runner, Finished)
    (found,) = fake.jobs
    assert runner.jobs_of(handle) == (found, found)
    return found


@pytest.mark.parametrize(
    ("state", "known"),
    [("queued", True), ("running", True), ("succeeded", True), ("failed", False), ("cancelled", False)],
)
def test_job_is_known_while_it_can_give_a_result(
    fake: FakeServer, runner: JobRunner, job: str, state: str, known: bool
) -> None:
    fake.jobs[job].end(state)
    runner.look_for_job(job)
    assert [event for event in collect(runner, JobSeen) if isinstance(event, JobSeen)] == [JobSeen(job, known)]


def test_forgotten_job_is_not_known(runner: JobRunner) -> None:
    runner.look_for_job("another")
    assert JobSeen("another", False) in collect(runner, JobSeen)


def test_without_a_server_there_is_no_answer(fake: FakeServer, runner: JobRunner, tmp_path: Path) -> None:
    (tmp_path / "server.json").unlink()
    runner.look_for_job("any")
    runner.check_server()  # answered after it
    assert not any(isinstance(event, JobSeen) for event in collect(runner, ServerLine))


def test_mesh_is_fetched_without_sending_anything(fake: FakeServer, runner: JobRunner, job: str) -> None:
    posted = fake.asked("POST", "/jobs")
    runner.submit_attach(job)
    events = collect(runner, (Finished, Failed))
    (mesh,) = (event for event in events if isinstance(event, MeshReady))
    assert mesh.job_id == job
    assert isinstance(events[-1], Finished)
    assert fake.asked("POST", "/jobs") == posted


def test_refinement_that_was_asked_for_follows_the_fetched_mesh(fake: FakeServer, runner: JobRunner, job: str) -> None:
    runner.submit_attach(job, RefineOptions(steps=7))
    events = collect(runner, (Finished, Failed))
    (mesh,) = (event for event in events if isinstance(event, MeshReady))
    (colors,) = (event for event in events if isinstance(event, ColorsReady) and event.final)
    assert (mesh.job_id, mesh.refining) == (job, True)
    assert fake.jobs[colors.job_id].parent == job
    assert fake.jobs[colors.job_id].body["steps"] == 7


def test_colors_of_a_refinement_are_fetched(fake: FakeServer, runner: JobRunner, job: str) -> None:
    runner.submit_refine(job, RefineOptions(steps=7))
    collect(runner, Finished)
    child = next(found for found in fake.jobs.values() if found.task == "refine")
    posted = len(fake.jobs)
    runner.submit_attach_refine(child.id, 7)
    (colors,) = (event for event in collect(runner, (Finished, Failed)) if isinstance(event, ColorsReady))
    assert (colors.job_id, colors.step, colors.final) == (child.id, 7, True)
    assert len(fake.jobs) == posted


def test_forgotten_job_cannot_be_fetched(runner: JobRunner) -> None:
    runner.submit_attach("another")
    (failed,) = (event for event in collect(runner, Failed) if isinstance(event, Failed))
    assert failed.code == "unknown_job"
