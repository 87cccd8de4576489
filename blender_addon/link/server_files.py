"""What the server leaves on the disk for its clients: state file, logs, process id."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

_STATE_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens and the key that it must know.

    Args:
        url: base URL up to and with ``/api/v1``, no trailing slash.
        token: never sent before the server has proved that it knows it.
        pid: of the server, 0 when unknown.
        instance_id: new at each start of the server.
        port: for messages.
    """

    url: str
    token: str
    pid: int = 0
    instance_id: str = ""
    port: int = 0


def home_folder() -> Path:
    """Folder of state file, log and data: ``GTR_HOME`` or ``~/.gtr``."""
    return Path(os.environ.get("GTR_HOME") or Path.home() / ".gtr")


def log_file() -> Path:
    """What the server printed when it did not start, else its log."""
    log, start = home_folder() / "server.log", start_log()
    if start.exists() and start.stat().st_size and not (log.exists() and _newer(log, start)):
        return start
    return log


def _newer(path: Path, other: Path) -> bool:
    return path.stat().st_mtime >= other.stat().st_mtime


def read_state(path: Path) -> Endpoint | None:
    """The server that a state file names, or None when there is no usable file (also while it is written)."""
    try:
        with path.open("rb") as file:
            state = json.loads(file.read(_STATE_LIMIT))
        port, token = state["port"], state["token"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if state.get("product") != "gtr" or not isinstance(port, int) or not 0 < port < 65536 or not token:
        return None
    pid = state.get("pid")
    return Endpoint(
        f"http://127.0.0.1:{port}/api/v1",
        str(token),
        pid if isinstance(pid, int) else 0,
        str(state.get("instance_id", "")),
        port,
    )


def start_log() -> Path:
    """What the server printed while it started."""
    return home_folder() / "server-start.log"


def is_alive(pid: int) -> bool | None:
    """Whether a process exists; None when that cannot be told."""
    if pid <= 0 or os.name != "posix":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
