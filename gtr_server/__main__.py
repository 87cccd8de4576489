"""``gtr-server``: start the server of this user, or find the one that runs."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import signal
import sqlite3
import sys
import threading
import time
import uuid
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from gtr_core import __version__
from gtr_core.model.library import list_models
from gtr_core.progress import Cancelled
from gtr_server import state_file
from gtr_server.app import create_app
from gtr_server.cleanup import clean
from gtr_server.logs import log_to
from gtr_server.server_routes import API_RANGE
from gtr_server.services import Services, build
from gtr_server.serving import HttpServer, bind
from gtr_server.settings import Settings, default_home
from gtr_server.state_file import State

log = logging.getLogger("gtr_server")

EXIT_PORT, EXIT_FOLDER = 3, 4
FIND_SECONDS = 60.0
"""How long to look for the server that holds the lock: it may be starting still, on a machine under load."""
CLEAN_SECONDS = 600.0


def main(arguments: list[str] | None = None) -> int:
    """Run the server; returns the exit code (0; 3: port taken; 4: folder not writable)."""
    settings = parse(arguments)
    # For the worker, which inherits it: threads that spin while they wait slow each other down on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.home.chmod(0o700)
        lock = FileLock(settings.lock, timeout=0)
        return _start_or_find(settings, lock)
    except OSError as error:
        return _fail(EXIT_FOLDER, f"Cannot write to {settings.home}: {error.strerror or error}.")


def parse(arguments: list[str] | None) -> Settings:
    """Command line -> settings."""
    parser = argparse.ArgumentParser(prog="gtr-server", description="The local model server of GTR for Blender.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--port", type=_port, default=0, help="TCP port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--home", type=Path, help="folder of state file, log and data (default: GTR_HOME or ~/.gtr)")
    parser.add_argument("--state-file", type=Path, help="write a copy of the state file there")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:n")
    parser.add_argument(
        "--idle-timeout", type=_seconds, default=600.0, metavar="SECONDS",
        help="leave after so long without clients and jobs; inf = never (default: 600)",
    )  # fmt: skip
    parser.add_argument("--lease-ttl", type=_seconds, default=60.0, metavar="SECONDS", help=argparse.SUPPRESS)
    parser.add_argument("--stage-timeout", type=_seconds, default=300.0, metavar="SECONDS", help=argparse.SUPPRESS)
    parser.add_argument("--owner-lease", type=_uuid, metavar="UUID", help="lease of the client that starts the server")
    parser.add_argument("--stop-when-unowned", action="store_true", help="leave as soon as no client holds a lease")
    given = parser.parse_args(arguments)
    home = (given.home or default_home()).expanduser().absolute()
    return Settings(
        home=home,
        state_file=given.state_file.expanduser().absolute() if given.state_file else None,
        port=given.port,
        device=given.device,
        idle_timeout=given.idle_timeout,
        owner_lease=given.owner_lease,
        stop_when_unowned=given.stop_when_unowned,
        lease_ttl=given.lease_ttl,
        stage_timeout=given.stage_timeout,
    )


def _port(text: str) -> int:
    if not 0 <= int(text) < 65536:
        raise ValueError
    return int(text)


def _seconds(text: str) -> float:
    if not float(text) >= 0:
        raise ValueError
    return float(text)


def _uuid(text: str) -> str:
    return str(uuid.UUID(text))


def _start_or_find(settings: Settings, lock: FileLock) -> int:
    deadline = time.monotonic() + FIND_SECONDS
    while time.monotonic() < deadline:
        if _acquired(lock):
            try:
                return _serve(settings)
            finally:
                lock.release()
        found = state_file.read(settings.own_state_file)
        if found is not None and state_file.answers(found):
            if settings.state_file is not None:
                state_file.write(settings.state_file, found.document(API_RANGE))
            _say(f"GTR server runs already at {found.url} (process {found.pid}).")
            return 0
        time.sleep(0.1)
    return _fail(1, f"Another GTR server holds {settings.lock} but does not answer.")


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _serve(settings: Settings) -> int:
    log_to(settings.log)
    # The core looks for model files there, in this process and in its worker.
    os.environ["GTR_HOME"] = str(settings.home)
    try:
        listener = bind(settings.port)
    except OSError:
        return _fail(EXIT_PORT, f"Port {settings.port} is taken by another program. Choose another one, or 0.")
    services = build(settings, secrets.token_urlsafe(32))
    services.port = listener.getsockname()[1]
    server = HttpServer(create_app(services), listener)
    _handle_signals(services.lifetime.stopping)
    _leave_when_a_thread_dies(services.lifetime.stopping)
    services.supervisor.start()
    state = State(services.port, services.token, os.getpid(), __version__, services.instance_id)
    files = [settings.own_state_file, *([settings.state_file] if settings.state_file else [])]
    for path in files:
        state_file.write(path, state.document(API_RANGE))
    _say(f"GTR server {__version__} at {state.url}")
    log.info("Started at %s, process %d", state.url, os.getpid())
    housekeeping = threading.Thread(target=_keep_house, args=(services,), name="housekeeping", daemon=True)
    housekeeping.start()
    try:
        server.run_until(services.lifetime.stopping)
    finally:
        for path in files:
            state_file.remove(path, services.instance_id)
        services.events.close()
        server.shut(1.0)
        services.supervisor.stop()
        housekeeping.join(timeout=2)
        services.store.close()
        log.info("Stopped")
    return 0


def _keep_house(services: Services) -> None:
    cleaned = float("-inf")
    while not services.lifetime.stopping.wait(services.settings.tick):
        if not services.settings.home.exists():
            log.critical("The folder %s is gone, and every job with it", services.settings.home)
            services.lifetime.stopping.set()
            return
        try:
            services.lifetime.tick()
            if time.monotonic() - cleaned >= CLEAN_SECONDS:
                cleaned = time.monotonic()
                clean(services.store, services.settings, services.blobs)
                _know_checksums(services.lifetime.stopping)
        except (OSError, sqlite3.Error):
            # A file that vanished while it was counted, a full disk: no reason to leave the clients alone.
            log.exception("Housekeeping was broken off")


def _know_checksums(stopping: threading.Event) -> None:
    """Read new model files once, so that GET /models can tell their checksums; they are kept beside the files."""

    def leave(_stage: str, _done: int, _total: int) -> None:
        if stopping.is_set():
            raise Cancelled

    try:
        list_models(progress=leave)
    except (Cancelled, OSError) as reason:
        log.info("Checksums of the models are not complete: %s", reason or "stopping")


def _handle_signals(stopping: threading.Event) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(1)  # the second signal: at once
        stopping.set()

    for name in ("SIGTERM", "SIGINT", "SIGBREAK", "SIGHUP"):
        number = getattr(signal, name, None)
        # nohup has the hang-up ignored, and it shall stay so.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def _leave_when_a_thread_dies(stopping: threading.Event) -> None:
    # A server without its supervisor would accept jobs that never run: better none, and a client that says so.
    def died(error: threading.ExceptHookArgs) -> None:
        name = error.thread.name if error.thread else "?"
        log.critical(
            "Thread %s died", name, exc_info=(error.exc_type, error.exc_value or Exception(), error.exc_traceback)
        )
        stopping.set()

    threading.excepthook = died


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fail(code: int, text: str) -> int:
    sys.stderr.write(text + "\n")
    log.error(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
