"""A texture by way of the worker thread: the jobs it makes, what it tells, how it ends early, how it starts again."""

import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import trimesh
from fake_gtr_server import FakeJob, FakeServer, npz
from job_events import ENDS, PATIENCE, collect

from blender_addon.job import bake as job_bake
from blender_addon.job import follow as job_follow
from blender_addon.jobs import JobRunner
from blender_addon.link import api
from blender_addon.texture.values import BakeSurface, TextureReady
from blender_addon.values import Cancelled, Event, Failed, Finished, Progress, ServerSettings

SIZE = 64


@pytest.fixture
def fake(tmp_path, monkeypatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("GTR_HOME", str(tmp_path))
    monkeypatch.setattr(api, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(job_follow, "_RETRY_SECONDS", (0.05,))
    server = FakeServer()
    server.write_state(tmp_path / "server.json")
    server.on_job = lambda job: color(server, job)
    yield server
    server.close()


@pytest.fixture
def runner() -> Iterator[JobRunner]:
    made = JobRunner(ServerSettings())
    yield made
    assert made.shutdown(PATIENCE)


def formula(points: np.ndarray) -> np.ndarray:
    return np.rint(127.5 + 100 * np.sin(points * 4)).astype(np.uint8)


def points_of(fake: FakeServer, job: FakeJob) -> np.ndarray:
    return np.load(io.BytesIO(fake.blobs[job.body["points_blob"]]), allow_pickle=False)


def color(fake: FakeServer, job: FakeJob) -> None:
    job.artifacts = {"colors.npz": npz(colors=formula(points_of(fake, job)))}
    job.tell("color", done=1, total=2)
    job.end("succeeded")


def surface() -> BakeSurface:
    ball = trimesh.creation.icosphere(2)
    return BakeSurface(ball.vertices.astype(np.float32), ball.faces.astype(np.uint32), SIZE)


def to_end(runner: JobRunner, handle: str, on_event=lambda event: None) -> list[Event]:
    return collect(runner, lambda event: on_event(event) or (isinstance(event, ENDS) and event.handle == handle))


def test_texture_of_one_job(fake, runner) -> None:
    events = to_end(runner, runner.submit_bake("job_parent", surface()))
    assert isinstance(events[-1], Finished)
    (ready,) = [event for event in events if isinstance(event, TextureReady)]
    wanted = surface()
    alone = job_bake.bake_texture(wanted, lambda points, _part, _parts: formula(points), lambda *_: None)
    assert ready.texture.png == alone.png
    np.testing.assert_array_equal(ready.texture.vertex[ready.texture.faces], wanted.faces)
    (job,) = fake.jobs.values()
    assert (job.task, job.parent) == ("recolour", "job_parent")
    assert job.body["texels"] is True
    stages = list(dict.fromkeys(event.stage for event in events if isinstance(event, Progress)))
    assert stages == ["start", "unwrap", "send", "wait", "color", "picture"]


def test_many_points_go_in_several_jobs(fake, runner, monkeypatch) -> None:
    monkeypatch.setattr(job_bake, "POINTS_AT_ONCE", 700)
    events = to_end(runner, runner.submit_bake("job_parent", surface()))
    (ready,) = [event for event in events if isinstance(event, TextureReady)]
    alone = job_bake.bake_texture(surface(), lambda points, _part, _parts: formula(points), lambda *_: None)
    assert ready.texture.png == alone.png
    sent = [len(points_of(fake, job)) for job in fake.jobs.values()]
    assert len(sent) >= 3
    assert max(sent) <= 700
    assert len(fake.keys) == len(sent), "each part is a job of its own"
    shares = [event.fraction for event in events if isinstance(event, Progress) and event.stage == "color"]
    assert shares == sorted(shares)
    assert max(shares) < 1


def test_cancel_while_it_is_laid_out(fake, runner, monkeypatch) -> None:
    unwrap, cancelled, handle = job_bake.unwrap, threading.Event(), ""

    def slowly(*arguments):
        assert cancelled.wait(PATIENCE)
        return unwrap(*arguments)

    def cancel(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "unwrap":
            runner.cancel(handle)
            cancelled.set()

    monkeypatch.setattr(job_bake, "unwrap", slowly)
    handle = runner.submit_bake("job_parent", surface())
    assert isinstance(to_end(runner, handle, cancel)[-1], Cancelled)
    assert not fake.jobs, "the server has not been asked for anything"


def test_cancel_while_the_server_colors(fake, runner) -> None:
    fake.on_job = lambda job: job.tell("color", done=1, total=9)
    handle = ""

    def cancel(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "color":
            runner.cancel(handle)

    handle = runner.submit_bake("job_parent", surface())
    events = to_end(runner, handle, cancel)
    assert isinstance(events[-1], Cancelled)
    assert not any(isinstance(event, TextureReady) for event in events)
    assert [job.state for job in fake.jobs.values()] == ["cancelled"]


def test_a_failed_part_is_asked_for_again(fake, runner) -> None:
    fake.on_job = lambda job: job.end("failed", {"code": "worker_crashed", "detail": "It died."})
    handle = runner.submit_bake("job_parent", surface())
    failed = to_end(runner, handle)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "worker_lost"
    fake.on_job = lambda job: color(fake, job)
    events = to_end(runner, runner.resubmit(handle))
    assert isinstance(events[-1], Finished)
    assert len(fake.jobs) == 2, "another try is another job"
    puts = sum(method == "PUT" and "/blobs/" in path for method, path, _ in fake.requests)
    assert puts == 1, "the points are there already"


def test_a_forgotten_result_is_said(fake, runner) -> None:
    fake.overrides["/jobs/job_parent/recolour"] = lambda h: h.problem(404, "unknown_job")
    failed = to_end(runner, runner.submit_bake("job_parent", surface()))[-1]
    assert (type(failed), failed.code) == (Failed, "unknown_job")


def test_a_surface_in_too_many_pieces_is_said(fake, runner) -> None:
    rng = np.random.default_rng(0)
    points = (rng.uniform(-1, 1, (4000, 1, 3)) + rng.normal(0, 0.01, (4000, 3, 3))).reshape(-1, 3).astype(np.float32)
    crumbs = BakeSurface(points, np.arange(12000, dtype=np.uint32).reshape(-1, 3), SIZE)
    failed = to_end(runner, runner.submit_bake("job_parent", crumbs))[-1]
    assert (type(failed), failed.code) == (Failed, "export_failed")
    assert failed.text == "4000 pieces of surface do not fit on 64 x 64 texels."
    assert not fake.jobs
