"""The process that carries requests: the same ends as the thread in it, whatever happens to it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from fake_gtr_server import FakeServer, finish_at_once
from job_events import PATIENCE, collect, to_end
from job_events import wait_for as wait_until

from blender_addon import job_process
from blender_addon.job_process import JobProcess, python_programs
from blender_addon.link.server_line import ServerLine
from blender_addon.values import (
    Cancelled,
    CapturedView,
    ColorsReady,
    Failed,
    Finished,
    MeshReady,
    ReconstructOptions,
    RefineOptions,
    ServerSettings,
)

EYE = [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]
VIEWS = [CapturedView(f"View {i}", os.urandom(1 << 20), EYE, EYE) for i in range(4)]
OPTIONS = ReconstructOptions()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setenv("GTR_HOME", str(tmp_path))
    server = FakeServer()
    server.write_state(tmp_path / "server.json")
    yield server
    server.close()


@pytest.fixture
def runner(fake):
    made = JobProcess(ServerSettings())
    yield made
    assert made.shutdown(PATIENCE)


def wait_for(runner: JobProcess, condition: Callable[[], object]) -> None:
    def come_true() -> object:
        assert not [event for event in runner.poll() if isinstance(event, Failed)]
        return condition()

    wait_until(come_true)


def child_of(runner: JobProcess) -> psutil.Process:
    return psutil.Process(runner._process.pid)


def test_whole_way(fake, runner) -> None:
    handle = runner.submit_reconstruct(VIEWS, OPTIONS, RefineOptions(steps=5))
    assert runner.active == {handle}
    assert runner.can_resubmit(handle), "known before the process has said a word"
    events = to_end(runner, handle)
    (mesh,) = [event for event in events if isinstance(event, MeshReady)]
    (colors,) = [event for event in events if isinstance(event, ColorsReady)]
    assert isinstance(events[-1], Finished)
    assert mesh.mesh.vertices.dtype == np.float32
    assert len(colors.colors) == len(mesh.mesh.vertices)
    assert runner.jobs_of(handle)[0] == mesh.job_id
    assert runner.active == frozenset()
    assert [fake.blobs[image["blob"]] for image in fake.jobs[mesh.job_id].body["images"]] == [v.png for v in VIEWS]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gtr-")]


def test_cancelled(fake, runner) -> None:
    fake.on_job = lambda job: None
    handle = runner.submit_reconstruct(VIEWS, OPTIONS)
    wait_for(runner, lambda: runner.jobs_of(handle)[1])
    runner.cancel(handle)
    assert isinstance(to_end(runner, handle)[-1], Cancelled)


def test_killed_process_is_told_and_replaced(fake, runner) -> None:
    fake.on_job = lambda job: None
    handle = runner.submit_reconstruct(VIEWS, OPTIONS)
    wait_for(runner, lambda: fake.jobs)
    child_of(runner).send_signal(signal.SIGKILL)
    events = collect(runner, lambda e: isinstance(e, ServerLine) and e.state == "failed")
    failed = next(event for event in events if isinstance(event, Failed))
    assert failed.handle == handle
    assert "-9" in failed.details
    assert not runner.can_resubmit(handle), "its views went with it"
    with pytest.raises(KeyError):
        runner.resubmit(handle)
    fake.on_job = finish_at_once
    assert isinstance(to_end(runner, runner.submit_reconstruct(VIEWS, OPTIONS))[-1], Finished)


def test_failed_request_runs_again(fake, runner) -> None:
    def fail(job) -> None:
        job.error = {"code": "empty_reconstruction", "detail": "Nothing was found."}
        job.end("failed")

    fake.on_job = fail
    handle = runner.submit_reconstruct(VIEWS, OPTIONS)
    assert isinstance(to_end(runner, handle)[-1], Failed)
    fake.on_job = finish_at_once
    again = runner.resubmit(handle)
    assert again != handle
    assert isinstance(to_end(runner, again)[-1], Finished)


def test_lease_is_released_when_blender_is_gone(fake) -> None:
    runner = JobProcess(ServerSettings())
    to_end(runner, runner.submit_reconstruct(VIEWS, OPTIONS))
    assert len(fake.leases) == 1
    child = child_of(runner)
    runner._pipe.close()  # what the system does with the pipe of a process that was killed
    child.wait(PATIENCE)
    wait_until(lambda: not fake.leases)
    assert runner.shutdown()


def test_a_python_without_the_packages_is_passed_over(fake, tmp_path, monkeypatch) -> None:
    bare = tmp_path / "python3.0"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    absent = str(tmp_path / "python2")
    monkeypatch.setattr(job_process, "python_programs", lambda: [absent, str(bare), sys.executable])
    runner = JobProcess(ServerSettings())
    assert isinstance(to_end(runner, runner.submit_reconstruct(VIEWS, OPTIONS))[-1], Finished)
    assert runner.shutdown(PATIENCE)


def test_no_python_at_all_is_said(fake, monkeypatch) -> None:
    monkeypatch.setattr(job_process, "python_programs", lambda: ["/nonexistent/python"])
    runner = JobProcess(ServerSettings())
    (failed,) = [e for e in to_end(runner, runner.submit_reconstruct(VIEWS, OPTIONS)) if isinstance(e, Failed)]
    assert "Python" in failed.details
    assert runner.active == frozenset()
    assert runner.shutdown()


def test_shutdown_before_the_first_word() -> None:
    runner = JobProcess(ServerSettings())
    runner.check_server()
    assert runner.shutdown(PATIENCE)
    assert runner.poll() == []


def test_programs_exist_and_are_pythons() -> None:
    programs = python_programs()
    assert programs
    assert all(Path(program).is_file() and Path(program).name.startswith("python") for program in programs)
