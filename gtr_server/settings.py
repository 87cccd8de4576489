"""What one run of the server is told, and where it keeps its things."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def default_home() -> Path:
    """``GTR_HOME`` or ``~/.gtr``."""
    return Path(os.environ.get("GTR_HOME") or Path.home() / ".gtr")


@dataclass(frozen=True)
class Settings:
    """Settings of one run; durations in seconds.

    Args:
        home: private folder of the server (made with mode 0700).
        state_file: a second copy of the state file, for a client that wants it elsewhere.
        port: TCP port on 127.0.0.1; 0 = any free one.
        device: for torch: ``auto``, ``cpu``, ``cuda:n``.
        idle_timeout: how long to stay without clients and work.
        owner_lease: lease id of the client that started the server.
        stop_when_unowned: leave as soon as no client holds a lease and nothing runs.
        lease_ttl: how long a client may be silent before its lease is gone.
        unload_after: idle time after which the models leave the memory.
        exit_after: idle time after which even a server with clients stops.
        stage_timeout: longest silence of a running job.
        cancel_grace: how long a job may take to stop by itself.
        tick: period of the housekeeping.
        tasks: module whose class ``Tasks`` does the jobs in the worker.
    """

    home: Path
    state_file: Path | None = None
    port: int = 0
    device: str = "auto"
    idle_timeout: float = 600.0
    owner_lease: str | None = None
    stop_when_unowned: bool = False
    lease_ttl: float = 60.0
    unload_after: float = 30 * 60.0
    exit_after: float = 2 * 3600.0
    stage_timeout: float = 300.0
    cancel_grace: float = 5.0
    tick: float = 0.5
    tasks: str = "gtr_server.tasks"

    @property
    def data(self) -> Path:
        """Folder of the database, blobs and artifacts."""
        return self.home / "data"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data / "jobs.sqlite"

    @property
    def blobs(self) -> Path:
        """Folder of the uploaded blobs."""
        return self.data / "blobs"

    @property
    def jobs(self) -> Path:
        """Folder of the jobs' results."""
        return self.data / "jobs"

    @property
    def lock(self) -> Path:
        """Lock file: held as long as the server lives."""
        return self.home / "server.lock"

    @property
    def own_state_file(self) -> Path:
        """State file that every client of this user reads."""
        return self.home / "server.json"

    @property
    def log(self) -> Path:
        """Log of the front process, JSON lines."""
        return self.home / "server.log"

    @property
    def worker_log(self) -> Path:
        """Log of the worker process, JSON lines."""
        return self.home / "worker.log"
