"""The small parts of the server, each by itself."""

import ast
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest
from server_under_test import ROOT, wait_until

from gtr_core.progress import STAGES, Cancelled
from gtr_server import state_file, wire
from gtr_server.events import EventLog
from gtr_server.faults import inject
from gtr_server.job import Task
from gtr_server.leases import Leases
from gtr_server.lifetime import Lifetime
from gtr_server.logs import JsonLines
from gtr_server.progress_scale import WEIGHTS, WITH_DEPTH, overall
from gtr_server.reporter import INTERVAL, Reporter
from gtr_server.serving import HttpServer, bind
from gtr_server.settings import Settings

FRONT = ["app", "guard", "job_routes", "server_routes", "services", "supervisor", "worker_process", "worker", "openapi"]


def test_no_module_of_the_front_loads_torch_or_numpy() -> None:
    modules = ", ".join(f"gtr_server.{name}" for name in FRONT)
    code = f"import sys, gtr_server.__main__, {modules}\nprint({{'torch', 'numpy', 'PIL'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "set()\n")


def test_nothing_that_runs_code_from_data() -> None:
    forbidden = {"pickle", "dill", "shelve", "marshal", "zipfile", "tarfile", "yaml", "xml"}
    for path in sorted((ROOT / "gtr_server").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not forbidden & {alias.name.split(".")[0] for alias in node.names}, path.name
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in forbidden, path.name
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "torch.load", "np.load", "os.system"), path.name
                assert not any(keyword.arg == "shell" for keyword in node.keywords), path.name


# --- time -----------------------------------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_leases_run_out_and_are_renewed() -> None:
    clock = Clock()
    leases = Leases(60, clock)
    assert leases.unowned_for() == 0
    leases.renew("a")
    clock.now += 40
    leases.renew("b")
    clock.now += 40
    assert leases.count() == 1
    assert leases.unowned_for() is None
    clock.now += 30
    assert leases.count() == 0
    assert leases.unowned_for() == pytest.approx(10)
    leases.release("b")
    assert leases.unowned_for() == pytest.approx(10)


def lifetime(clock: Clock, **settings: Any) -> tuple[Lifetime, list[int], list[str]]:
    jobs, unloaded = [0], []
    leases = Leases(60, clock)
    life = Lifetime(Settings(home=Path(), **settings), leases, lambda: jobs[0], lambda: unloaded.append("x"), clock)
    return life, jobs, unloaded


def leaves_after(life: Lifetime, clock: Clock, step: float = 10, most: float = 20_000) -> float | None:
    start = clock.now
    while clock.now - start < most:
        life.tick()
        if life.stopping.is_set():
            return clock.now - start
        clock.now += step
    return None


def test_server_without_clients_leaves_after_the_idle_time() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock)
    assert leaves_after(life, clock) == 600


def test_idle_time_zero_still_gives_the_first_client_time_to_come() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock, idle_timeout=0)
    assert leaves_after(life, clock) == 60


def test_silent_client_counts_until_its_lease_is_over() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock)
    life.leases.renew("a")
    assert leaves_after(life, clock) == 660


def test_managed_server_leaves_with_its_client() -> None:
    clock = Clock()
    life, _, _ = lifetime(clock, stop_when_unowned=True)
    life.leases.renew("a")
    life.tick()
    assert not life.stopping.is_set()
    life.leases.release("a")
    life.tick()
    assert life.stopping.is_set()


def test_work_without_a_lease_keeps_the_server() -> None:
    clock = Clock()
    life, jobs, _ = lifetime(clock)
    clock.now += 500
    life.work()
    jobs[0] = 1
    clock.now += 5000
    life.tick()
    assert not life.stopping.is_set()
    jobs[0] = 0
    assert leaves_after(life, clock) == 600


def test_idle_client_gets_its_memory_back_and_later_its_server() -> None:
    clock = Clock()
    life, _, unloaded = lifetime(clock)
    life.work()
    start = clock.now
    while not life.stopping.is_set():
        life.leases.renew("a")
        life.tick()
        if len(unloaded) == 1 and unloaded[0] == "x":
            unloaded[0] = f"after {clock.now - start:.0f} s"
        clock.now += 30
    assert unloaded == ["after 1800 s"]
    assert clock.now - 30 - start == 7200


# --- messages, events, progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(wire.Message), ids=lambda kind: kind.__name__)
def test_every_message_survives_the_wire(kind: type[Any]) -> None:
    samples = {"str": "ü\n", "int": 3, "bool": True, "dict[str, Any]": {"a": [1, None]}, "str | None": None,
               "int | None": 2, "list[dict[str, Any]]": [{"name": "x"}], "list[str]": ["n"]}  # fmt: skip
    message = kind(**{field.name: samples[str(field.type)] for field in fields(kind)})
    data = wire.encode(message)
    assert wire.decode(data) == message
    assert json.loads(data)[0] == kind.__name__


@pytest.mark.parametrize("task", [*Task, WITH_DEPTH])
def test_progress_rises_from_nothing_to_all(task: str) -> None:
    scale = WEIGHTS[task]
    assert sum(scale.values()) == 100
    shares = [overall(scale, stage, done, 4) for stage in scale for done in range(5)]
    assert None not in shares
    assert shares == sorted(shares)  # type: ignore[type-var]
    assert (shares[0], shares[-1]) == (0, 1)
    assert overall(scale, "unheard of", 1, 2) is None
    assert overall(scale, "load", 0, 0) is not None


def test_reconstruction_knows_every_stage_of_the_core() -> None:
    assert {*STAGES} <= {*WEIGHTS[Task.RECONSTRUCT], *WEIGHTS[Task.REFINE]}


def test_progress_never_falls_within_an_attempt() -> None:
    log = EventLog(1)
    for share in (0.2, 0.1, None, 0.5):
        log.add("j", "progress", progress=share)
    log.add("j", "requeued")
    log.add("j", "progress", progress=0.1)
    events, last = log.after("j", 0)
    assert [event["progress"] for event in events] == [0.2, 0.2, 0.2, 0.5, 0.0, 0.1]
    assert last == events[-1]["seq"]
    log.begin("j", "state")
    assert log.after("j", last) == ([], last)


def test_old_events_and_jobs_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtr_server.events.KEPT_JOBS", 3)
    log = EventLog(2)
    for index in range(1200):
        log.add("busy", "progress", done=index)
    events, _ = log.after("busy", 0)
    assert len(events) == 500
    assert events[-1]["data"] == {"done": 1199}
    for name in "abc":
        log.add(name, "state")
    assert log.after("busy", 7) == ([], 7)


def test_reporter_tells_enough_and_not_too_much(tmp_path: Path) -> None:
    sent: list[wire.Message] = []
    report = Reporter("j", 1, tmp_path, sent.append)
    for stage in ("load", "fuse"):
        for done in range(1001):
            report(stage, done, 1000)
    progress = [(message.stage, message.done) for message in sent if isinstance(message, wire.Progressed)]
    assert progress[0] == ("load", 0)
    assert ("load", 1000) in progress
    assert ("fuse", 0) in progress
    assert progress[-1] == ("fuse", 1000)
    assert len(progress) < 4 + 2 / INTERVAL
    report.preview("mesh", 5, lambda path: path.write_bytes(b"npz"))
    assert sent[-1] == wire.Previewed("j", "mesh", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["preview.npz"]
    assert set(report.close()) == {"load", "fuse"}
    report.cancel()
    with pytest.raises(Cancelled):
        report("fuse", 1, 2)


def test_faults_happen_in_tests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTR_FAULT", "memory@fit:2,raise@hull")
    monkeypatch.delenv("GTR_TESTING", raising=False)
    inject("hull")
    monkeypatch.setenv("GTR_TESTING", "1")
    inject("fit", 1)
    with pytest.raises(MemoryError):
        inject("fit", 2)
    with pytest.raises(RuntimeError):
        inject("hull", 7)


def test_log_lines_cannot_be_forged() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, 'a\n{"level": "critical"}', (), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'a\n{"level": "critical"}'


# --- files, sockets, processes --------------------------------------------------------------------------------------


def test_state_file_is_private_and_removed_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "server.json"
    state = state_file.State(1234, "t", 5, "0.1", "mine")
    state_file.write(path, state.document({"min": "1.0", "max": "1.0"}))
    assert path.stat().st_mode & 0o777 == 0o600
    assert state_file.read(path) == state
    state_file.remove(path, "another's")
    assert path.exists()
    state_file.remove(path, "mine")
    assert not path.exists()
    for text in ("", "{", "[]", '{"product":"other","port":1}', '{"product":"gtr"}'):
        path.write_text(text)
        assert state_file.read(path) is None


def test_dribbling_and_idle_sockets_do_not_keep_honest_clients_out() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    listener = bind(0)
    address = listener.getsockname()
    server = HttpServer(application, listener, receive_seconds=1.0)
    server.adj.connection_limit = 12
    stop = threading.Event()
    thread = threading.Thread(target=server.run_until, args=(stop,))
    thread.start()
    dribblers = [socket.create_connection(address) for _ in range(20)]
    try:
        for dribbler in dribblers:
            dribbler.sendall(b"GET / HTTP/1.1\r\n")

        def answered() -> bool:
            for dribbler in dribblers:
                with contextlib.suppress(OSError):
                    dribbler.sendall(b"X: 1\r\n")
            with socket.create_connection(address, timeout=0.3) as honest:
                honest.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                try:
                    return honest.recv(100).startswith(b"HTTP/1.1 200")
                except OSError:
                    return False

        began = time.monotonic()
        wait_until(answered, "an answer among dribblers", 15)
        assert time.monotonic() - began > 0.5
    finally:
        for dribbler in dribblers:
            dribbler.close()
        stop.set()
        server.pull_trigger()
        thread.join()
        server.shut(0.5)


def test_watchdog_ends_a_process_that_holds_the_lock_too_long() -> None:
    code = (
        "import ctypes, os\nfrom gtr_server.parent_watch import watchdog\nwatchdog(os.getppid(), 0.5)\n"
        "import time; time.sleep(1.2); print('alive', flush=True); ctypes.PyDLL(None).sleep(60)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert found.stdout == "alive\n"
    assert found.returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux only")
def test_kernel_ends_a_process_with_its_parent() -> None:
    child = (
        "import ctypes, os, sys\nfrom gtr_server.parent_watch import die_with_parent\ndie_with_parent(os.getppid())\n"
        "print(os.getpid(), flush=True); ctypes.PyDLL(None).sleep(60)"
    )
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
        wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "the child ends", 3)


def test_wrong_parent_is_noticed_at_once() -> None:
    code = f"from gtr_server.parent_watch import die_with_parent; die_with_parent({os.getpid()} + 1); print('alive')"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")
