"""Finding, starting and stopping the GTR server of this user. No bpy, nothing but the standard library."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ClientError, Interrupted
from .link.server_files import Endpoint, home_folder, is_alive, log_file, read_state, start_log

if TYPE_CHECKING:
    import threading

    from .values import ServerSettings

__all__ = [
    "Endpoint", "ServerProcess", "clean_environment", "home_folder", "is_alive", "log_file", "read_state",
    "server_command",
]  # fmt: skip

_log = logging.getLogger(__name__)

START_SECONDS = 120.0
"""A started server must answer after this time; it needs a second, on a cold disk or under load many times that."""
STARTS_ALLOWED, STARTS_WINDOW_SECONDS = 3, 300.0
"""At most so many starts in so many seconds: a server that dies at once must not be restarted for ever."""
STOP_SECONDS = 15.0
"""Time for an orderly end, which may take the server 10 s, before the process is killed: that costs a running job."""
EXIT_PORT_TAKEN, EXIT_UNWRITABLE = 3, 4
_children: list[subprocess.Popen[bytes]] = []
"""Servers may outlive the object that started them; forgetting a running child makes Python complain."""


def server_command(settings: ServerSettings, home: Path) -> list[str] | None:
    """Command that runs the server: chosen python, set-up folder, ``GTR_PYTHON``, ``gtr-server`` on PATH; else None.

    Never ``sys.executable``: inside Blender that is Blender's own python, or simply the first one on PATH.
    """
    if settings.python:
        return [settings.python, "-m", "gtr_server"] if Path(settings.python).is_file() else None
    own = home / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    for python in (own, Path(os.environ.get("GTR_PYTHON") or "/nonexistent")):
        if python.is_file():
            return [str(python), "-m", "gtr_server"]
    script = shutil.which("gtr-server")
    return [script] if script else None


def clean_environment() -> dict[str, str]:
    """Our environment without what Blender's Python put there for itself."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}


class ServerProcess:
    """The managed server: at most one, stopped only if this object started it.

    Args:
        lease: UUID of this Blender session; the server lives as long as somebody's lease does.
        stop: set when Blender shuts down; ends every waiting.
    """

    def __init__(self, lease: str, stop: threading.Event) -> None:
        self._lease = lease
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None
        self._starts: deque[float] = deque()

    @property
    def started_here(self) -> bool:
        """Whether a server runs that this session started."""
        return self._process is not None and self._process.poll() is None

    @property
    def died(self) -> bool:
        """Whether the server that this session started has ended."""
        return self._process is not None and self._process.poll() is not None

    @property
    def state_file(self) -> Path:
        """State file of this user's server."""
        return home_folder() / "server.json"

    def start(
        self,
        settings: ServerSettings,
        is_up: Callable[[Endpoint], bool],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Endpoint:
        """Start the server and wait until ``is_up`` accepts it.

        Raises:
            ClientError: ``server_not_installed``, ``server_start_failed`` or ``not_gtr`` (fixed port taken).
            Interrupted: Blender shuts down, or the user does not want to wait; the server goes on starting.
        """
        home = home_folder()
        command = server_command(settings, home)
        if command is None:
            python = settings.python
            raise ClientError("server_not_installed", values={"python": python} if python else None)
        self._count_start()
        known = read_state(self.state_file)
        self._process = _spawn([*command, *self._arguments(settings, home)], home)
        _children.append(self._process)
        return self._wait(settings, known, is_up, is_cancelled)

    def stop(self, *, asked: bool = False) -> None:
        """End the server that this session started, and no other.

        Args:
            asked: it was asked to end over HTTP and gets a moment to do so.
        """
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        if not asked or not _ended(process, STOP_SECONDS / 2):
            process.terminate()
        if not _ended(process, STOP_SECONDS):
            _kill_group(process)
            process.wait(STOP_SECONDS)

    def _arguments(self, settings: ServerSettings, home: Path) -> list[str]:
        arguments = ["--port", str(settings.port), "--home", str(home), "--device", settings.device]
        arguments += ["--idle-timeout", f"{settings.idle_minutes * 60:.0f}", "--owner-lease", self._lease]
        return [*arguments, "--stop-when-unowned"] if settings.stop_with_blender else arguments

    def _count_start(self) -> None:
        now = time.monotonic()
        while self._starts and now - self._starts[0] > STARTS_WINDOW_SECONDS:
            self._starts.popleft()
        if len(self._starts) >= STARTS_ALLOWED:
            last = f"it was started {STARTS_ALLOWED} times in five minutes"
            raise ClientError("server_start_failed", details=_tail(start_log()), values={"last_line": last})
        self._starts.append(now)

    def _wait(
        self,
        settings: ServerSettings,
        known: Endpoint | None,
        is_up: Callable[[Endpoint], bool],
        is_cancelled: Callable[[], bool],
    ) -> Endpoint:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._stop.wait(0.1) or is_cancelled():
                raise Interrupted
            endpoint = read_state(self.state_file)
            # The file of a dead server may still lie there: only a new instance is ours.
            if endpoint and (endpoint != known or self._ended_well()) and is_up(endpoint):
                return endpoint
            if self._process is not None and self._process.poll() not in (None, 0):
                raise _start_error(self._process.returncode, settings)
        log = _tail(start_log())
        self.stop()
        reason = f"no answer after {START_SECONDS:.0f} s"
        raise ClientError("server_start_failed", details=log, values={"last_line": reason})

    def _ended_well(self) -> bool:
        # Exit code 0 at once means: another server of this user runs already; the state file names it.
        return self._process is not None and self._process.poll() == 0


def _spawn(command: list[str], home: Path) -> subprocess.Popen[bytes]:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file, not a pipe: a pipe fills up when nobody reads it, and the server would stand still.
        descriptor = os.open(start_log(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise ClientError("folder_denied", details=str(error), values={"folder": home}) from error
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    try:
        _log.info("starting %s", command)
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            env=clean_environment(),
            cwd=home,
            **options,
        )
        return process
    except OSError as error:
        raise ClientError("server_not_installed", details=str(error), values={"python": command[0]}) from error
    finally:
        os.close(descriptor)


def _start_error(code: int, settings: ServerSettings) -> ClientError:
    log = _tail(start_log())
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = lines[-1].rstrip(".") if lines else f"exit code {code}"
    if "No module named gtr_server" in last or "No module named 'gtr_server'" in last:
        return ClientError("server_not_installed", details=log)
    if code == EXIT_PORT_TAKEN:
        values: dict[str, object] = {"port": settings.port, "looks_like": ""}
        return ClientError("not_gtr", details=log, values=values)
    if code == EXIT_UNWRITABLE:
        return ClientError("folder_denied", details=log, values={"folder": home_folder()})
    return ClientError("server_start_failed", details=log, values={"last_line": last})


def _tail(path: Path, limit: int = 8192) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit))
            return file.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
