"""What the server knows of a job."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """The closed set of states: queued -> running (-> cancelling) -> succeeded | failed | cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Nothing can change any more."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Task(StrEnum):
    """What a job does."""

    RECONSTRUCT = "reconstruct"
    REFINE = "refine"
    RECOLOUR = "recolour"
    MASKS = "masks"


@dataclass(frozen=True)
class Artifact:
    """A finished file of a job."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Job:
    """One row of the store.

    Args:
        id: ``job_`` + ULID.
        number: rising with every submission; the order of the queue.
        request: the checked request body, as it was sent.
        attempt: how many times it was started.
        error: ``{"code", "detail", "hint", "view"}`` of a failed job.
        notes: what the result could not know, in words.
        stats: ``{"vertices", "faces", "seconds": {stage: s}}``.
    """

    id: str
    number: int
    task: Task
    model: str
    parent: str | None
    request: dict[str, Any]
    state: State
    attempt: int
    created: str
    started: str | None
    finished: str | None
    error: dict[str, Any] | None
    notes: list[str]
    stats: dict[str, Any]
    artifacts: list[Artifact]
    purged: bool

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Job:
        """The job of a row of the table ``jobs``."""
        return cls(
            id=row["id"],
            number=row["number"],
            task=Task(row["task"]),
            model=row["model"],
            parent=row["parent"],
            request=json.loads(row["request"]),
            state=State(row["state"]),
            attempt=row["attempt"],
            created=row["created"],
            started=row["started"],
            finished=row["finished"],
            error=json.loads(row["error"]) if row["error"] else None,
            notes=json.loads(row["notes"]),
            stats=json.loads(row["stats"]),
            artifacts=[Artifact(**entry) for entry in json.loads(row["artifacts"])],
            purged=bool(row["purged"]),
        )


@dataclass(frozen=True)
class NewJob:
    """A job to be submitted."""

    task: Task
    model: str
    request: dict[str, Any]
    parent: str | None = None


def now() -> str:
    """Wall clock, RFC 3339 in UTC; for display only."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
JOB_ID = rf"job_[{ALPHABET}]{{26}}"


def new_id() -> str:
    """``job_`` + ULID: 48 bits of milliseconds, 80 random bits, Crockford's base 32."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return "job_" + "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
