"""The jobs, on disk: the only truth about what was accepted and how it ended."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gtr_server.database import Database
from gtr_server.job import Artifact, Job, NewJob, State, new_id, now
from gtr_server.limits import KEY_HOURS, MAX_QUEUED
from gtr_server.problems import Problem, ProblemCode

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL,
    model TEXT NOT NULL,
    parent TEXT,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued','running','cancelling','succeeded','failed','cancelled')),
    attempt INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL,
    started TEXT,
    finished TEXT,
    error TEXT,
    notes TEXT NOT NULL DEFAULT '[]',
    stats TEXT NOT NULL DEFAULT '{}',
    artifacts TEXT NOT NULL DEFAULT '[]',
    purged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, number);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, job TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
ACTIVE = ("queued", "running", "cancelling")
MAX_ATTEMPTS = 2


class Store:
    """Jobs and idempotency keys. Every method is one transaction and returns after its commit."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path, SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def count_start(self) -> int:
        """How many times a server has opened this file, this one included."""

        def action(db: sqlite3.Connection) -> int:
            db.execute("INSERT INTO counters VALUES ('starts', 1) ON CONFLICT DO UPDATE SET value = value + 1")
            return int(db.execute("SELECT value FROM counters WHERE name = 'starts'").fetchone()[0])

        return self.database.run(action)

    def recover(self) -> list[Job]:
        """Put right what a killed server left: running jobs queue again once, cancelling ones are cancelled.

        Returns:
            All jobs that are queued now.
        """

        def action(db: sqlite3.Connection) -> list[Job]:
            db.execute("UPDATE jobs SET state = 'cancelled', finished = ? WHERE state = 'cancelling'", (now(),))
            error = json.dumps({"code": ProblemCode.WORKER_CRASHED, "detail": "The server died twice during this job."})
            db.execute(
                "UPDATE jobs SET state = 'failed', finished = ?, error = ? WHERE state = 'running' AND attempt >= ?",
                (now(), error, MAX_ATTEMPTS),
            )
            db.execute("UPDATE jobs SET state = 'queued', started = NULL WHERE state = 'running'")
            rows = db.execute("SELECT * FROM jobs WHERE state = 'queued' ORDER BY number").fetchall()
            return [Job.from_row(row) for row in rows]

        return self.database.run(action)

    def replay(self, key: str, fingerprint: str) -> Job | None:
        """The job that this idempotency key has already made, if any.

        Raises:
            Problem: ``idempotency_key_reused`` when the key came with another request.
        """
        return self.database.run(lambda db: _replay(db, key, fingerprint))

    def submit(self, new: NewJob, key: str, fingerprint: str) -> tuple[Job, bool]:
        """Queue a job, or find the one that this key made before.

        Returns:
            The job, and whether it is new.

        Raises:
            Problem: ``queue_full``, ``idempotency_key_reused``, ``unknown_job``, ``purged`` or ``not_succeeded`` (of
                the parent).
        """

        def action(db: sqlite3.Connection) -> tuple[Job, bool]:
            earlier = _replay(db, key, fingerprint)
            if earlier is not None:
                return earlier, False
            _check_room(db)
            if new.parent is not None:
                _check_parent(_get(db, new.parent))
            job_id = new_id()
            db.execute(
                "INSERT INTO jobs (id, task, model, parent, request, state, created) VALUES (?,?,?,?,?,'queued',?)",
                (job_id, new.task, new.model, new.parent, json.dumps(new.request), now()),
            )
            db.execute("DELETE FROM keys WHERE created < ?", (time.time() - KEY_HOURS * 3600,))
            db.execute("INSERT INTO keys VALUES (?,?,?,?)", (key, fingerprint, job_id, time.time()))
            return _get(db, job_id), True

        return self.database.run(action)

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            Problem: ``unknown_job`` or ``purged``.
        """
        return self.database.run(lambda db: _get(db, job_id))

    def page(self, state: State | None, limit: int, before: int | None) -> list[Job]:
        """Jobs, newest first, those with a number below ``before``."""
        query = "SELECT * FROM jobs WHERE NOT purged AND (? IS NULL OR state = ?) AND (? IS NULL OR number < ?)"
        values = (state, state, before, before, limit)

        def action(db: sqlite3.Connection) -> list[Job]:
            rows = db.execute(query + " ORDER BY number DESC LIMIT ?", values).fetchall()
            return [Job.from_row(row) for row in rows]

        return self.database.run(action)

    def position(self, job: Job) -> int | None:
        """How many jobs run before this queued one; None when it is not queued."""
        if job.state is not State.QUEUED:
            return None
        query = f"SELECT COUNT(*) FROM jobs WHERE state IN {ACTIVE} AND number < ?"
        return self.database.run(lambda db: int(db.execute(query, (job.number,)).fetchone()[0]))

    def active(self) -> int:
        """How many jobs are queued or running."""
        query = f"SELECT COUNT(*) FROM jobs WHERE state IN {ACTIVE}"
        return self.database.run(lambda db: int(db.execute(query).fetchone()[0]))

    def claim(self) -> Job | None:
        """Start the oldest queued job: it is running, one attempt more."""

        def action(db: sqlite3.Connection) -> Job | None:
            row = db.execute("SELECT id FROM jobs WHERE state = 'queued' ORDER BY number LIMIT 1").fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE jobs SET state = 'running', attempt = attempt + 1, started = ? WHERE id = ?", (now(), row["id"])
            )
            return _get(db, row["id"])

        return self.database.run(action)

    def requeue(self, job_id: str, *, count_attempt: bool) -> Job:
        """Put a running job back at its old place in the queue; a cancelling one is cancelled instead."""

        def action(db: sqlite3.Connection) -> Job:
            _keep_promise_to_cancel(db, job_id)
            db.execute(
                "UPDATE jobs SET state = 'queued', started = NULL, attempt = attempt - ?"
                " WHERE id = ? AND state = 'running'",
                (0 if count_attempt else 1, job_id),
            )
            return _get(db, job_id)

        return self.database.run(action)

    def request_cancel(self, job_id: str) -> Job:
        """Cancel a queued job at once, mark a running one; a terminal one stays as it is."""

        def action(db: sqlite3.Connection) -> Job:
            db.execute(
                "UPDATE jobs SET state = 'cancelled', finished = ? WHERE id = ? AND state = 'queued'", (now(), job_id)
            )
            db.execute("UPDATE jobs SET state = 'cancelling' WHERE id = ? AND state = 'running'", (job_id,))
            return _get(db, job_id)

        return self.database.run(action)

    def succeed(self, job_id: str, artifacts: list[Artifact], notes: list[str], stats: dict[str, Any]) -> Job:
        """End a running job with its results; one whose cancel was asked for first is cancelled."""

        def action(db: sqlite3.Connection) -> Job:
            _keep_promise_to_cancel(db, job_id)
            found = json.dumps([asdict(artifact) for artifact in artifacts])
            db.execute(
                "UPDATE jobs SET state = 'succeeded', finished = ?, artifacts = ?, notes = ?, stats = ?"
                " WHERE id = ? AND state = 'running'",
                (now(), found, json.dumps(notes), json.dumps(stats), job_id),
            )
            return _get(db, job_id)

        return self.database.run(action)

    def fail(self, job_id: str, error: dict[str, Any]) -> Job:
        """End a running job with an error; one whose cancel was asked for first is cancelled."""

        def action(db: sqlite3.Connection) -> Job:
            db.execute(
                "UPDATE jobs SET finished = ?, error = CASE state WHEN 'running' THEN ? END,"
                " state = CASE state WHEN 'running' THEN 'failed' ELSE 'cancelled' END"
                " WHERE id = ? AND state IN ('running', 'cancelling')",
                (now(), json.dumps(error), job_id),
            )
            return _get(db, job_id)

        return self.database.run(action)

    def purge(self, job_id: str) -> Job:
        """Forget a finished job's results for good.

        Raises:
            Problem: ``busy`` when it, or a child that needs it, has not ended.
        """

        def action(db: sqlite3.Connection) -> Job:
            job = _get(db, job_id)
            waiting = db.execute(f"SELECT 1 FROM jobs WHERE parent = ? AND state IN {ACTIVE}", (job_id,)).fetchone()
            if not job.state.terminal or waiting:
                raise Problem(ProblemCode.BUSY, "The job, or one that continues it, has not ended: cancel it first.")
            db.execute("UPDATE jobs SET purged = 1, artifacts = '[]', request = '{}' WHERE id = ?", (job_id,))
            return job

        return self.database.run(action)

    def finished_oldest_first(self) -> list[Job]:
        """Terminal jobs whose results are still kept."""
        query = f"SELECT * FROM jobs WHERE NOT purged AND state NOT IN {ACTIVE} ORDER BY number"
        return self.database.run(lambda db: [Job.from_row(row) for row in db.execute(query).fetchall()])

    def unfinished_requests(self) -> list[dict[str, Any]]:
        """Requests of the jobs that still need their blobs."""
        query = f"SELECT request FROM jobs WHERE state IN {ACTIVE}"
        return self.database.run(lambda db: [json.loads(row["request"]) for row in db.execute(query).fetchall()])


def _get(db: sqlite3.Connection, job_id: str) -> Job:
    row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise Problem(ProblemCode.UNKNOWN_JOB, "There is no such job.")
    if row["purged"]:
        raise Problem(ProblemCode.PURGED, "The results of this job were removed.")
    return Job.from_row(row)


def _keep_promise_to_cancel(db: sqlite3.Connection, job_id: str) -> None:
    """Whatever became of a job whose cancel was accepted: it ends cancelled."""
    db.execute(
        "UPDATE jobs SET state = 'cancelled', finished = ? WHERE id = ? AND state = 'cancelling'", (now(), job_id)
    )


def _replay(db: sqlite3.Connection, key: str, fingerprint: str) -> Job | None:
    row = db.execute("SELECT fingerprint, job FROM keys WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    if row["fingerprint"] != fingerprint:
        raise Problem(ProblemCode.IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key was used for another request.")
    return _get(db, row["job"])


def _check_room(db: sqlite3.Connection) -> None:
    queued = db.execute("SELECT COUNT(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
    if queued >= MAX_QUEUED:
        raise Problem(
            ProblemCode.QUEUE_FULL, f"Server is busy ({queued} waiting).", retry_after=5, extra={"waiting": queued}
        )


def _check_parent(parent: Job) -> None:
    if parent.state is not State.SUCCEEDED:
        raise Problem(ProblemCode.NOT_SUCCEEDED, f"The parent job is {parent.state}.", retry_after=1)
    if parent.task not in ("reconstruct", "refine"):
        raise Problem(ProblemCode.BAD_INPUT, f"A {parent.task} job has nothing to continue from.")
