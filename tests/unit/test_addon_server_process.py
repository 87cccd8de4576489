"""Finding, starting, giving up on and stopping the server, with servers that do not start."""

import json
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from fake_gtr_server import FakeServer

from blender_addon import server_process
from blender_addon.errors import ClientError, Interrupted
from blender_addon.link.addresses import is_loopback, normalize_url
from blender_addon.messages import failure
from blender_addon.server_process import ServerProcess, clean_environment, is_alive, read_state, server_command
from blender_addon.values import ServerSettings

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "Ünï 日本 home"
    monkeypatch.setenv("GTR_HOME", str(folder))
    monkeypatch.delenv("GTR_PYTHON", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return folder


@pytest.fixture
def process():
    made = ServerProcess("11111111-2222-4333-8444-555555555555", threading.Event())
    yield made
    made.stop()


def program(path: Path, code: str) -> str:
    """An executable that ignores its arguments and runs Python code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    script = path.with_suffix(".script.py")
    script.write_text(code)
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    path.chmod(0o755)
    return str(path)


SERVE = f"""
import sys, os, pathlib, time, json
sys.path[:0] = [{str(HERE)!r}]
from fake_gtr_server import FakeServer
home = pathlib.Path(os.environ["GTR_HOME"])
(home / "seen.json").write_text(json.dumps([sys.argv[1:], sorted(os.environ), os.getpgid(0), os.getpid()]))
server = FakeServer()
parent = os.getppid()
server.write_state(home / "server.json", pid=os.getpid())
while os.getppid() == parent:
    time.sleep(0.1)
"""
SLEEP = "import time; time.sleep(900)"


def settings(tmp_path: Path, code: str, **more) -> ServerSettings:
    return ServerSettings(python=program(tmp_path / "python", code), **more)


def start_error(process: ServerProcess, given: ServerSettings) -> ClientError:
    with pytest.raises(ClientError) as caught:
        process.start(given, lambda endpoint: True)
    return caught.value


def test_started_server_is_found_and_stopped(process, tmp_path, home, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONHOME_X", "kept")
    monkeypatch.setenv("PYTHONPATH", "/blenders/own")
    given = settings(tmp_path, SERVE, device="cpu", stop_with_blender=True, idle_minutes=2)
    endpoint = process.start(given, lambda endpoint: True)
    assert process.started_here
    arguments, names, group, pid = json.loads((home / "seen.json").read_text())
    assert arguments[:2] == ["-m", "gtr_server"]
    options = dict(zip(arguments[2:-1:2], arguments[3:-1:2], strict=True))
    assert options == {
        "--port": "0",
        "--home": str(home),
        "--device": "cpu",
        "--idle-timeout": "120",
        "--owner-lease": "11111111-2222-4333-8444-555555555555",
    }
    assert arguments[-1] == "--stop-when-unowned"
    assert "PYTHONPATH" not in names
    assert "PYTHONHOME_X" in names
    assert group == pid == endpoint.pid, "a process group of its own: Ctrl-C in Blender's terminal does not reach it"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "server-start.log").stat().st_mode) == 0o600
    process.stop()
    assert not process.started_here
    assert is_alive(pid) is False


def test_stale_state_file_is_not_taken_for_the_new_server(process, tmp_path, home) -> None:
    home.mkdir()
    dead = {"product": "gtr", "pid": 2**22 - 1, "port": 1, "token": "old", "instance_id": "old"}
    (home / "server.json").write_text(json.dumps(dead))
    endpoint = process.start(settings(tmp_path, SERVE), lambda endpoint: True)
    assert endpoint.token != "old"


@pytest.mark.parametrize(
    ("code", "row", "words"),
    [
        (
            "import sys; print('boot'); sys.exit('No space for a model.')",
            "server_start_failed",
            "No space for a model.",
        ),
        ("import os; os.kill(os.getpid(), 11)", "server_start_failed", "exit code -11"),
        ("raise RuntimeError('broken driver')", "server_start_failed", "RuntimeError: broken driver"),
        ("import sys; sys.exit('/bin/python: No module named gtr_server')", "server_not_installed", "not found"),
        ("import sys; sys.exit(3)", "not_gtr", "Port 8080"),
        ("import sys; sys.exit(4)", "folder_denied", "Cannot write"),
    ],
)
def test_early_death_says_why(process, tmp_path, code: str, row: str, words: str) -> None:
    message = failure(start_error(process, settings(tmp_path, code, port=8080)))
    assert message.code == row
    assert words in message.text
    assert not process.started_here


def test_no_answer_in_time(process, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(server_process, "START_SECONDS", 1.0)
    error = start_error(process, settings(tmp_path, SLEEP))
    assert "no answer" in failure(error).text
    assert not process.started_here, "and it is not left behind"


def test_shutdown_ends_the_waiting(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(server_process, "START_SECONDS", 1000.0)
    stop = threading.Event()
    process = ServerProcess("lease", stop)
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Interrupted):
        process.start(settings(tmp_path, SLEEP), lambda endpoint: True)
    assert process.started_here, "it was not waited for"
    process.stop()


def test_three_starts_in_five_minutes_are_enough(process, tmp_path, monkeypatch) -> None:
    spawn, spawned = server_process._spawn, []
    monkeypatch.setattr(server_process, "_spawn", lambda *order: spawned.append(order) or spawn(*order))
    given = settings(tmp_path, "import sys; sys.exit('no')")
    for _ in range(3):
        assert "no" in failure(start_error(process, given)).text
    assert "3 times in five minutes" in failure(start_error(process, given)).text
    assert len(spawned) == 3


def test_second_server_of_this_user_is_attached_to(process, tmp_path, home) -> None:
    """Ours finds the lock taken and leaves with 0; the state file names the one that runs."""
    other = FakeServer()
    other.write_state(home / "server.json")
    endpoint = process.start(settings(tmp_path, "print('runs already')"), lambda endpoint: True)
    other.close()
    assert endpoint.port == other.port
    assert not process.started_here
    assert not (process._process is not None and process._process.poll() is None)


def test_folder_that_cannot_be_made(process, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GTR_HOME", str(tmp_path / "file" / "home"))
    assert start_error(process, settings(tmp_path, SERVE)).code == "folder_denied"


def test_python_is_looked_for_in_order_and_never_ours(tmp_path, home, monkeypatch) -> None:
    nothing = ServerSettings()
    assert server_command(nothing, home) is None
    script = program(tmp_path / "bin" / "gtr-server", "")
    assert server_command(nothing, home) == [script]
    named = program(tmp_path / "named" / "python", "")
    monkeypatch.setenv("GTR_PYTHON", named)
    assert server_command(nothing, home) == [named, "-m", "gtr_server"]
    own = program(home / "venv" / "bin" / "python", "")
    assert server_command(nothing, home) == [own, "-m", "gtr_server"]
    chosen = program(tmp_path / "chosen" / "python", "")
    assert server_command(ServerSettings(python=chosen), home) == [chosen, "-m", "gtr_server"]
    assert server_command(ServerSettings(python=str(tmp_path / "gone")), home) is None, "the user chose: no other one"


def test_chosen_python_that_is_no_program(process, tmp_path) -> None:
    path = tmp_path / "python"
    path.write_text("not a program")
    path.chmod(0o644)
    assert start_error(process, ServerSettings(python=str(path))).code == "server_not_installed"


BAD_STATES = (
    {},
    {"product": "gtr", "port": "80", "token": "t"},
    {"product": "gtr", "port": 99999, "token": "t"},
    {"product": "other", "port": 80, "token": "t"},
    {"product": "gtr", "port": 80, "token": ""},
)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff", *map(json.dumps, BAD_STATES)])
def test_unusable_state_files(tmp_path, text: str) -> None:
    path = tmp_path / "server.json"
    path.write_text(text)
    assert read_state(path) is None
    assert read_state(tmp_path / "absent") is None


def test_environment_is_cleaned(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/x")
    monkeypatch.setenv("PYTHONPATH", "/y")
    assert not {"PYTHONHOME", "PYTHONPATH"} & clean_environment().keys()
    assert clean_environment()["PATH"] == os.environ["PATH"]


def test_life_of_processes() -> None:
    assert is_alive(os.getpid()) is True
    assert is_alive(2**22 - 1) is False
    assert is_alive(0) is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8000", "http://127.0.0.1:8000/api/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/api/v1"),
        (" studio-box:9 ", "http://studio-box:9/api/v1"),
        ("https://gpu.example/", "https://gpu.example/api/v1"),
        ("http://[::1]:80", "http://[::1]:80/api/v1"),
    ],
)
def test_addresses_as_people_type_them(text: str, url: str) -> None:
    assert normalize_url(text) == url


@pytest.mark.parametrize("text", ["", "file:///etc/passwd", "http://", "host:port", "ftp://host"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ClientError):
        normalize_url(text)


def test_loopback() -> None:
    assert is_loopback("localhost:80")
    assert is_loopback("127.0.0.1")
    assert not is_loopback("127.0.0.1.evil.example:80")
    assert not is_loopback("studio-box")
