"""What touches the system: imports, the state file, sockets, the death of processes."""

import ast
import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from server_under_test import PATIENCE, ROOT, wait_until

from gtr_server import state_file
from gtr_server.serving import HttpServer, bind

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
    enough = threading.Event()

    def dribble() -> None:
        while not enough.wait(0.05):
            for dribbler in dribblers:
                with contextlib.suppress(OSError):
                    dribbler.sendall(b"X: 1\r\n")

    def was_closed(dribbler: socket.socket) -> bool:
        dribbler.settimeout(0)
        try:
            return dribbler.recv(100) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    dribbling = threading.Thread(target=dribble)
    try:
        for dribbler in dribblers:
            dribbler.sendall(b"GET / HTTP/1.1\r\n")
        dribbling.start()
        with socket.create_connection(address, timeout=PATIENCE) as honest:
            honest.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert honest.recv(100).startswith(b"HTTP/1.1 200")
        # Only by closing dribblers was there a place.
        assert sum(map(was_closed, dribblers)) > len(dribblers) - server.adj.connection_limit
    finally:
        enough.set()
        dribbling.join()
        for dribbler in dribblers:
            dribbler.close()
        stop.set()
        server.pull_trigger()
        thread.join()
        server.shut(0.5)


HOLDS_THE_LOCK = """
import ctypes, faulthandler, os, time
from gtr_server.parent_watch import watchdog
wind, wound = faulthandler.dump_traceback_later, []
def count(seconds, exit):
    wound.append(exit)
    if len(wound) > 4:
        wind(seconds, exit=exit)
faulthandler.dump_traceback_later = count
watchdog(os.getppid(), 0.5)
while len(wound) < 4:
    time.sleep(0.01)
print("wound up again and again", flush=True)
while len(wound) < 5:
    time.sleep(0.01)
ctypes.PyDLL(None).sleep(900)
"""


def test_watchdog_ends_a_process_that_holds_the_lock_too_long() -> None:
    found = subprocess.run(
        [sys.executable, "-c", HOLDS_THE_LOCK],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert found.stdout == "wound up again and again\n"
    assert found.returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux only")
def test_kernel_ends_a_process_with_its_parent() -> None:
    child = (
        "import ctypes, os, sys\nfrom gtr_server.parent_watch import die_with_parent\ndie_with_parent(os.getppid())\n"
        "print(os.getpid(), flush=True); ctypes.PyDLL(None).sleep(900)"
    )
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        wait_until(lambda: ended(orphan), "the child ends")


def ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_wrong_parent_is_noticed_at_once() -> None:
    code = f"from gtr_server.parent_watch import die_with_parent; die_with_parent({os.getpid()} + 1); print('alive')"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")
