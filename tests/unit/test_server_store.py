"""The store: nothing lost, no state but the six, results only with success; and what surrounds it on disk."""

import hashlib
import io
import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_under_test import ROOT

from gtr_server.blobs import BlobStore, digests_in
from gtr_server.cleanup import clean
from gtr_server.database import WAL_SAFE, Database
from gtr_server.job import JOB_ID, Artifact, Job, NewJob, State, Task, new_id
from gtr_server.problems import Problem, ProblemCode
from gtr_server.settings import Settings
from gtr_server.store import MAX_ATTEMPTS, Store

NEW = NewJob(Task.RECONSTRUCT, "fit", {"images": []})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "jobs.sqlite")
    yield store
    store.close()


def submit(store: Store, key: str | None = None, parent: str | None = None) -> Job:
    return store.submit(NewJob(Task.REFINE if parent else Task.RECONSTRUCT, "fit", {}, parent), key or new_id(), "f")[0]


def test_commits_are_synchronous(store: Store) -> None:
    pragmas = store.database.run(
        lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
    )
    assert pragmas == [2, "wal" if sqlite3.sqlite_version_info >= WAL_SAFE else "truncate"]


def test_failed_transaction_leaves_nothing(store: Store) -> None:
    def action(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO counters VALUES ('x', 1)")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        store.database.run(action)
    assert store.database.run(lambda db: db.execute("SELECT * FROM counters").fetchall()) == []


@pytest.mark.parametrize("damage", [b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_damaged_file_is_moved_aside(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(damage)
    store = Store(path)
    assert store.database.recovered is not None
    assert store.database.recovered.read_bytes() == damage
    assert submit(store).state is State.QUEUED
    store.close()


def test_truncated_file_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = Store(path)
    for _ in range(30):
        submit(store)
    store.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    store = Store(path)
    assert store.database.recovered is not None
    assert store.active() == 0
    store.close()


def test_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Database(tmp_path, "")


def test_ids_are_ulids() -> None:
    ids = [new_id() for _ in range(1000)]
    assert all(re.fullmatch(JOB_ID, name) for name in ids)
    assert len(set(ids)) == 1000
    assert [name[:10] for name in ids] == sorted(name[:10] for name in ids)


def test_same_key_from_many_threads_is_one_job(store: Store) -> None:
    answers: list[tuple[str, bool]] = []
    threads = [
        threading.Thread(target=lambda: answers.append((lambda j: (j[0].id, j[1]))(store.submit(NEW, "k", "f"))))
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job for job, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1


def test_killed_server_requeues_once(store: Store) -> None:
    first, second, third = submit(store), submit(store), submit(store)
    store.claim()
    assert [job.id for job in store.recover()] == [first.id, second.id, third.id]
    claimed = store.claim()
    assert claimed is not None
    assert (claimed.id, claimed.attempt) == (first.id, 2)
    assert [job.id for job in store.recover()] == [second.id, third.id]
    lost = store.get(first.id)
    assert (lost.state, lost.error and lost.error["code"]) == (State.FAILED, "worker_crashed")
    store.claim()
    store.request_cancel(second.id)
    assert [job.id for job in store.recover()] == [third.id]
    assert store.get(second.id).state is State.CANCELLED


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom gtr_server.job import NewJob, Task, new_id\n"
        "from gtr_server import store as module\nmodule.MAX_QUEUED = 1_000_000\n"
        "store = module.Store(Path(sys.argv[1]))\n"
        "while True: print(store.submit(NewJob(Task.MASKS, 'fit', {}), new_id(), '')[0].id, flush=True)"
    )
    acknowledged: list[str] = []
    for count in (1, 5, 9):
        command = [sys.executable, "-c", code, str(tmp_path / "jobs.sqlite")]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(count)]
            writer.kill()
            acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    store = Store(tmp_path / "jobs.sqlite")
    found = [job.id for job in store.page(None, 1_000_000, None)][::-1]
    store.close()
    assert store.database.recovered is None
    # Each killed writer may have stored one job more than it could tell of.
    assert [job for job in found if job in set(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 3


def test_old_keys_are_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = submit(store, "key")
    monkeypatch.setattr("gtr_server.store.KEY_HOURS", -1)
    submit(store, "another")
    assert submit(store, "key").id != first.id


class Model:
    """What must be true, kept beside the store while random things happen."""

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.ended: dict[str, State] = {}
        self.running: str | None = None


@pytest.mark.parametrize("seed", range(4))
def test_random_lives_keep_the_promises(tmp_path: Path, seed: int) -> None:
    numbers, model, path = random.Random(seed), Model(), tmp_path / "jobs.sqlite"
    store = Store(path)
    for _ in range(60):
        action = numbers.choice(
            ["submit", "claim", "succeed", "fail", "requeue", "stop", "cancel", "cancel", "restart"]
        )
        running = model.running
        if action == "submit":
            model.accepted.append(submit(store).id)
        elif action == "claim" and running is None:
            job = store.claim()
            model.running = job.id if job else None
        elif action == "succeed" and running:
            store.succeed(running, [Artifact("mesh.npz", "0" * 64, 1)], [], {})
            model.running = None
        elif action == "fail" and running:
            store.fail(running, {"code": "internal", "detail": ""})
            model.running = None
        elif action in ("requeue", "stop") and running:
            if store.get(running).attempt < MAX_ATTEMPTS or action == "stop":
                store.requeue(running, count_attempt=action == "requeue")
            else:
                store.fail(running, {"code": "worker_crashed", "detail": ""})
            model.running = None
        elif action == "cancel" and model.accepted:
            store.request_cancel(numbers.choice(model.accepted))
        elif action == "restart":
            store.close()
            store = Store(path)
            store.recover()
            model.running = None
        check(store, model)
    store.close()


def check(store: Store, model: Model) -> None:
    jobs = {job.id: job for job in store.page(None, 1000, None)}
    assert sorted(jobs) == sorted(model.accepted)
    busy = [job.id for job in jobs.values() if job.state in (State.RUNNING, State.CANCELLING)]
    assert busy == ([model.running] if model.running else [])
    for job in jobs.values():
        assert 0 <= job.attempt <= MAX_ATTEMPTS
        assert bool(job.artifacts) == (job.state is State.SUCCEEDED)
        assert (job.error is not None) == (job.state is State.FAILED)
        assert (job.finished is not None) == job.state.terminal
        if job.id in model.ended:
            assert job.state is model.ended[job.id]
        if job.state.terminal:
            model.ended[job.id] = job.state


# --- files ----------------------------------------------------------------------------------------------------------


def test_blobs_age_unless_somebody_asks_or_needs_them(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    names = []
    for data in (b"old", b"asked for", b"needed", b"young"):
        digest = hashlib.sha256(data).hexdigest()
        assert blobs.put(digest, io.BytesIO(data))
        names.append(digest)
        if data != b"young":
            os.utime(blobs.root / digest[:2] / digest, (0, 0))
    assert blobs.missing([names[1], "0" * 64, "0" * 64]) == ["0" * 64]
    assert blobs.collect({names[2]}, 3600) == 1
    assert [blobs.has(name) for name in names] == [False, True, True, True]


def test_digests_are_found_wherever_they_are() -> None:
    request = {
        "images": [{"blob": "a", "mask_blob": None, "camera": {"K": [1]}}, {"depth_blob": "b"}],
        "points_blob": "c",
    }
    assert digests_in(request) == {"a", "b", "c"}
    assert digests_in({}) == set()


def test_oldest_results_go_when_the_quota_is_used_up(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.jobs.mkdir(parents=True)
    store = Store(settings.database)
    jobs = [submit(store) for _ in range(4)]
    for job in jobs[:3]:
        store.claim()
        folder = settings.jobs / job.id / "a1"
        folder.mkdir(parents=True)
        (folder / "mesh.npz").write_bytes(bytes(1000))
        store.succeed(job.id, [], [], {})
    child = submit(store, parent=jobs[0].id)
    clean(store, settings, BlobStore(settings.blobs), quota=1500)
    # The oldest is still needed by a child that waits.
    assert [(settings.jobs / job.id).exists() for job in jobs[:3]] == [True, False, False]
    for job in jobs[1:3]:
        with pytest.raises(Problem) as caught:
            store.get(job.id)
        assert caught.value.code is ProblemCode.PURGED
    assert store.get(child.id).state is State.QUEUED
    store.close()


def test_a_file_that_jobs_share_counts_once_for_the_quota(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.jobs.mkdir(parents=True)
    store = Store(settings.database)
    jobs = [submit(store) for _ in range(3)]
    first = settings.jobs / jobs[0].id / "base"
    for job in jobs:
        store.claim()
        (settings.jobs / job.id).mkdir()
        base = settings.jobs / job.id / "base"
        if base == first:
            base.write_bytes(bytes(900))
        else:
            os.link(first, base)
        store.succeed(job.id, [], [], {})
    clean(store, settings, BlobStore(settings.blobs), quota=1000)
    assert [(settings.jobs / job.id / "base").exists() for job in jobs] == [True] * 3
    store.close()
