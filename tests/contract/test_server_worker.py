"""What the supervisor promises about its worker (promises R1, R8-R12, R24, R27, R32), with tasks that cost nothing."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from server_under_test import PATIENCE, Client, front, problem, read_npz, wait_until
from sphere_request import plain_request

from gtr_server.crash_history import CrashHistory
from gtr_server.job import Job
from gtr_server.services import Services

STAGES = ["load", "fuse", "extract", "save"]


class Bench:
    """A front in this process, with real workers that do light tasks."""

    def __init__(self, client: Client, services: Services, folder: Path) -> None:
        self.client, self.services, self.folder = client, services, folder

    def fault(self, text: str) -> None:
        (self.folder / "fault").write_text(text)

    def release(self) -> None:
        (self.folder / "release").touch()

    def submit(self) -> str:
        return self.client.submit("/jobs", plain_request(self.client))

    @property
    def worker(self) -> psutil.Process:
        return psutil.Process(wait_until(lambda: self.services.supervisor.worker_pid, "a worker"))

    def settle(self) -> None:
        """Forget crashes, so that the next worker starts at once."""
        self.fault("")
        self.client.post("/server/restart-worker")

    def ready(self) -> None:
        wait_until(lambda: self.services.supervisor.state == "ready", "a ready worker")


@contextmanager
def benched(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: float) -> Iterator[Bench]:
    monkeypatch.setenv("GTR_TESTING", "1")
    monkeypatch.setenv("GTR_FAULT", f"file:{folder / 'fault'}")
    monkeypatch.setenv("GTR_FAULT_RELEASE", str(folder / "release"))
    settings = {"stage_timeout": 10 * PATIENCE, "cancel_grace": 10 * PATIENCE, **settings}
    with front(folder / "home", tasks="light_tasks", **settings) as (client, services):
        # The first delay of the back-off would only make the tests slow; its length is tested by itself below.
        monkeypatch.setattr("gtr_server.crash_history.FIRST_DELAY", 0.01)
        services.supervisor.start()
        yield Bench(client, services, folder)
        services.supervisor.stop()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """However slow the worker is, nothing is ended by the clock."""
    with benched(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A job that does not stop when it is told to is soon ended by force."""
    with benched(tmp_path, monkeypatch, cancel_grace=0.3) as made:
        yield made


@pytest.mark.parametrize("kind", ["kill", "segv", "cuda"])
@pytest.mark.parametrize("stage", ["load", "save"])
def test_job_is_tried_twice_and_never_a_third_time(bench: Bench, kind: str, stage: str) -> None:
    bench.fault(f"{kind}@{stage}")
    job = bench.submit()
    events = bench.client.follow(job)
    assert [event["message_code"] for event in events].count("requeued") == 1
    found = bench.client.job(job)
    assert (found["state"], found["attempt"], found["error"]["code"]) == ("failed", 2, "worker_crashed")
    assert not (bench.services.settings.jobs / job).exists()
    bench.settle()
    assert bench.client.end(bench.submit())["state"] == "succeeded"


def test_job_survives_one_death_of_its_worker(bench: Bench) -> None:
    bench.fault("kill@extract:1")
    job = bench.submit()
    events = bench.client.follow(job)
    found = bench.client.job(job)
    assert (found["state"], found["attempt"]) == ("succeeded", 2)
    assert [path.name for path in (bench.services.settings.jobs / job).iterdir()] == ["a2"]
    shares = [event["progress"] for event in events]
    again = [event["message_code"] for event in events].index("requeued")
    assert shares[:again] == sorted(shares[:again])
    assert shares[again:] == sorted(shares[again:])
    assert shares[again] == 0


def test_killed_worker_is_noticed_at_once_while_idle(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtr_server.supervisor.LONGEST_WAIT", 10 * PATIENCE)  # not by looking now and then
    bench.ready()
    old = bench.worker
    old.kill()
    wait_until(lambda: bench.services.supervisor.worker_pid not in (None, old.pid), "another worker")
    bench.ready()
    assert bench.client.end(bench.submit())["state"] == "succeeded"


@pytest.mark.parametrize("stage", STAGES)
def test_cancel_at_every_stage(bench: Bench, stage: str) -> None:
    bench.fault(f"hold@{stage}")
    job, following = bench.submit(), bench.submit()
    bench.client.reach(job, stage)
    worker = bench.worker.pid
    states = [bench.client.post(f"/jobs/{job}/cancel").json()["state"] for _ in range(3)]
    assert set(states) <= {"cancelling", "cancelled"}
    found = bench.client.end(job)
    assert (found["state"], found["artifacts"], found["error"]) == ("cancelled", [], None)
    bench.release()
    assert bench.client.end(following)["state"] == "succeeded"
    assert bench.worker.pid == worker


@pytest.mark.parametrize("kind", ["hang", "deaf", "lock"])
def test_job_that_does_not_hear_its_cancel_is_killed(impatient: Bench, kind: str) -> None:
    bench = impatient
    bench.fault(f"{kind}@fuse")
    job = bench.submit()
    bench.client.reach(job, "fuse")
    old = bench.worker
    bench.client.post(f"/jobs/{job}/cancel")
    events = bench.client.follow(job)
    assert [event["data"]["state"] for event in events if event["message_code"] == "state"] == [
        "queued", "running", "cancelling", "cancelled",
    ]  # fmt: skip
    assert not old.is_running()
    bench.fault("")
    assert bench.client.end(bench.submit())["state"] == "succeeded"
    assert not bench.services.supervisor.crashes.degraded


def test_force_ends_a_cancelling_job(bench: Bench) -> None:
    bench.fault("hang@fuse")
    job = bench.submit()
    bench.client.reach(job, "fuse")
    bench.client.post(f"/jobs/{job}/cancel")
    bench.client.post("/server/restart-worker")
    assert bench.client.end(job)["state"] == "cancelled"


def test_restart_of_a_running_job_counts_as_an_attempt(bench: Bench) -> None:
    bench.fault("hang@fuse")
    job = bench.submit()
    bench.client.reach(job, "fuse")
    bench.client.post("/server/restart-worker")
    bench.client.follow(job, lambda event: event["data"].get("attempt") == 2)
    bench.client.post("/server/restart-worker")
    found = bench.client.end(job)
    assert (found["state"], found["attempt"], found["error"]["code"]) == ("failed", 2, "worker_killed")


def test_silent_job_is_stopped_and_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTR_TESTING", "1")
    monkeypatch.setenv("GTR_FAULT", "hang@fuse")
    with front(tmp_path / "home", tasks="light_tasks", stage_timeout=0.5) as (client, services):
        monkeypatch.setattr("gtr_server.crash_history.FIRST_DELAY", 0.01)
        services.supervisor.start()
        wait_until(lambda: services.supervisor.state == "ready", "a ready worker")
        job = client.submit("/jobs", plain_request(client))
        (again,) = [event for event in client.follow(job) if event["message_code"] == "requeued"]
        assert again["data"]["reason"] == "timeout"
        assert client.job(job)["error"]["code"] == "timeout"
        services.supervisor.stop()


def test_machine_that_slept_fails_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asleep = time.monotonic, [0.0]
    monkeypatch.setattr(
        "gtr_server.supervisor.time", SimpleNamespace(monotonic=lambda: clock() + asleep[0], sleep=time.sleep)
    )
    with benched(tmp_path, monkeypatch, stage_timeout=3600) as bench:
        supervisor = bench.services.supervisor
        bench.fault("hold@fuse")
        job = bench.submit()
        bench.client.reach(job, "fuse")
        asleep[0] = 8 * 3600.0
        supervisor.wake()
        wait_until(lambda: supervisor._looked > clock() + 7 * 3600, "a look at the clock")
        bench.release()
        found = bench.client.end(job)
        assert (found["state"], found["attempt"]) == ("succeeded", 1)


def test_out_of_memory_is_said_and_the_worker_is_replaced(bench: Bench) -> None:
    bench.fault("memory@fuse")
    bench.ready()
    old = bench.worker
    found = bench.client.end(bench.submit())
    assert (found["state"], found["attempt"], found["error"]["code"]) == ("failed", 1, "out_of_memory")
    assert found["error"]["hint"]
    wait_until(lambda: not old.is_running(), "the old worker is gone")
    bench.fault("")
    assert bench.client.end(bench.submit())["state"] == "succeeded"
    assert not bench.services.supervisor.reason


def test_unknown_error_is_internal_and_tells_no_secrets(bench: Bench) -> None:
    bench.fault("raise@fuse")
    job = bench.submit()
    bench.client.follow(job)
    answer = bench.client.get(f"/jobs/{job}")
    assert answer.json()["error"]["code"] == "internal"
    assert "/home" not in answer.text
    assert "secret.py" in bench.services.settings.worker_log.read_text()


def test_refinement_shows_previews_and_finishes_on_request(bench: Bench) -> None:
    parent = bench.submit()
    bench.client.end(parent)
    job = bench.client.submit(f"/jobs/{parent}/refine", {"steps": 10_000})
    bench.client.follow(job, lambda event: event["message_code"] == "preview" and event["data"]["step"] >= 3)
    preview = bench.client.get(f"/jobs/{job}/preview")
    assert (preview.status_code, preview.headers["X-GTR-Preview"]) == (200, "colors")
    assert int(preview.headers["X-GTR-Step"]) >= 3
    assert read_npz(preview.content)["colors"].shape == (2, 3)
    assert bench.client.get(f"/jobs/{job}/preview", headers={"If-None-Match": "*"}).status_code == 304
    assert bench.client.post(f"/jobs/{job}/finish").status_code == 202
    assert bench.client.end(job)["state"] == "succeeded"
    assert bench.client.post(f"/jobs/{job}/finish").status_code == 200


def test_worker_that_cannot_start_degrades_the_server(bench: Bench) -> None:
    bench.ready()
    request = plain_request(bench.client)
    bench.fault("kill@boot")
    bench.worker.kill()
    wait_until(lambda: bench.services.supervisor.state == "degraded", "five crashes in a row")
    document = problem(bench.client.post("/jobs", request), 503, "worker_degraded")
    assert document["reason"] == "The model process died."
    assert bench.services.supervisor.worker_pid is None
    bench.settle()
    assert bench.client.end(bench.client.submit("/jobs", request))["state"] == "succeeded"


def test_tasks_that_cannot_be_imported_are_named(tmp_path: Path) -> None:
    with front(tmp_path / "home", tasks="no_such_tasks") as (client, services):
        services.supervisor.start()
        wait_until(lambda: services.supervisor.reason, "a reason")
        assert "no_such_tasks" in client.get("/server").json()["worker"]["reason"]
        services.supervisor.stop()


def test_result_that_cannot_be_stored_is_made_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store, right = bench.services.store, bench.services.store.succeed
    calls = []

    def full(*arguments: Any) -> Job:
        calls.append(arguments)
        if len(calls) == 1:
            raise sqlite3.OperationalError("database or disk is full")
        return right(*arguments)

    monkeypatch.setattr(store, "succeed", full)
    found = bench.client.end(bench.submit())
    assert (found["state"], found["attempt"], len(calls)) == ("succeeded", 2, 2)
    assert bench.client.end(bench.submit())["state"] == "succeeded"


def test_stop_puts_the_running_job_back_even_if_it_is_deaf(impatient: Bench) -> None:
    bench = impatient
    bench.fault("deaf@fuse")
    job = bench.submit()
    bench.client.reach(job, "fuse")
    worker = bench.worker
    bench.services.supervisor.stop()
    assert not worker.is_running()
    found = bench.client.job(job)
    assert (found["state"], found["attempt"]) == ("queued", 0)


def test_backoff_doubles_and_five_crashes_are_too_many() -> None:
    moment = 100.0
    history = CrashHistory(lambda: moment)
    delays = []
    for _ in range(4):
        history.crashed()
        delays.append(history.not_before - moment)
        moment = history.not_before
    assert delays == [1, 2, 4, 8]
    history.worked()
    history.crashed()
    assert history.not_before - moment == 1
    assert history.degraded
    history.forgive()
    assert not history.degraded
    assert history.not_before == moment
    for _ in range(12):
        history.crashed()
        moment += 301
    assert not history.degraded
    assert history.not_before - (moment - 301) == 60
