"""The answer to the question whether a server has a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class JobSeen:
    """Whether the server has a job that runs, waits or has succeeded; belongs to no request."""

    kind: ClassVar[str] = "job_seen"
    job_id: str
    known: bool
