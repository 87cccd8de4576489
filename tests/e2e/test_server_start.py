"""Starting, finding and leaving: one server per user, and none that nobody needs (promises R5, R6, R7, R33)."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import psutil
import pytest
from server_under_test import PATIENCE, ROOT, RealServer, running, wait_until
from sphere_request import plain_request, sphere_request

from gtr_server import state_file

IDLE_WORKER = "lock@boot"
"""No test here needs the worker: it never loads anything."""


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gtr_server", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_second_start_finds_the_first(tmp_path: Path) -> None:
    with running(tmp_path / "home", fault=IDLE_WORKER) as server:
        client = server.client()
        client.session.close()
        copy = tmp_path / "copy.json"
        second = run("--home", str(tmp_path / "home"), "--state-file", str(copy))
        assert second.returncode == 0
        assert client.url in second.stdout
        assert client.token not in second.stdout + second.stderr
        assert client.token not in server.output.read_text()
        assert client.url in server.output.read_text()
        assert state_file.read(copy) == server.state
        assert copy.stat().st_mode & 0o777 == 0o600
        found = json.loads((tmp_path / "home" / "server.json").read_text())
        assert set(found) == {"product", "pid", "host", "port", "token", "version", "api", "instance_id"}
        assert (found["product"], found["host"], found["pid"]) == ("gtr", "127.0.0.1", server.process.pid)
        assert len(found["token"]) >= 43
        connections = psutil.Process(server.process.pid).net_connections("inet")
        assert {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_many_starters_agree_on_one_server(tmp_path: Path) -> None:
    servers = [RealServer(tmp_path / "home", fault=IDLE_WORKER) for _ in range(4)]
    try:
        wait_until(lambda: sum(server.process.poll() is None for server in servers) == 1, "three of them leave")
        assert sorted(server.process.poll() or 0 for server in servers) == [0] * 4
        (running_one,) = [server for server in servers if server.process.poll() is None]
        assert running_one.state is not None
        assert running_one.state.pid == running_one.process.pid
        assert state_file.answers(running_one.state, PATIENCE)
    finally:
        for server in servers:
            server.stop()


def test_stale_state_file_of_a_killed_server_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path / "home", fault=IDLE_WORKER) as server:
        first = server.client()
        first.session.close()
        server.process.kill()
        server.wait()
    with running(tmp_path / "home", fault=IDLE_WORKER) as server:
        second = server.client()
        second.session.close()
        assert second.token != first.token


@pytest.mark.parametrize("busy", [False, True])
def test_server_whose_folder_is_gone_leaves(tmp_path: Path, busy: bool) -> None:
    with running(tmp_path / "home", fault="hang@fuse") as server:
        client = server.client()
        if busy:
            job = client.submit("/jobs", sphere_request(client))
            wait_until(lambda: client.job(job)["state"] == "running", "a running job")
        client.session.close()
        shutil.rmtree(tmp_path / "home")
        server.wait()
        assert server.process.poll() == 0


def test_taken_port_is_exit_3(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = run("--home", str(tmp_path / "home"), "--port", str(port))
    assert found.returncode == 3
    assert f"Port {port} is taken" in found.stderr
    assert not (tmp_path / "home" / "server.json").exists()


def test_folder_that_cannot_be_made_is_exit_4(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = run("--home", str(tmp_path / "file" / "home"))
    assert found.returncode == 4
    assert "Cannot write to" in found.stderr


@pytest.mark.parametrize(
    "options", [["--port", "70000"], ["--idle-timeout", "-1"], ["--owner-lease", "me"], ["--host", "0.0.0.0"]]
)
def test_wrong_options_are_exit_2(options: list[str]) -> None:
    found = run(*options)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr


def test_server_leaves_with_its_last_client(tmp_path: Path) -> None:
    owner, other = str(uuid.uuid4()), str(uuid.uuid4())
    options = ["--owner-lease", owner, "--stop-when-unowned", "--lease-ttl", "3600"]
    with running(tmp_path / "home", *options, fault=IDLE_WORKER) as server:
        client = server.client()
        assert client.get("/server").json()["clients"] == 1
        client.call("PUT", f"/clients/{other}")
        client.call("DELETE", f"/clients/{owner}")
        assert client.get("/server").json()["clients"] == 1
        client.call("DELETE", f"/clients/{other}")
        client.session.close()
        assert server.wait() == 0
        assert server.state is None


def test_server_of_a_silent_client_leaves_when_its_lease_is_over(tmp_path: Path) -> None:
    options = ["--owner-lease", str(uuid.uuid4()), "--idle-timeout", "0", "--lease-ttl", "1.5"]
    with running(tmp_path / "home", *options, fault=IDLE_WORKER) as server:
        assert server.wait() == 0
        lines = [json.loads(line) for line in (tmp_path / "home" / "server.log").read_text().splitlines()]
        assert lines[-1]["message"] == "Stopped"
        workers = [int(line["message"].split()[1]) for line in lines if line["message"].startswith("Worker")]
        assert len(workers) <= 1, "none when it left before there was one"
        assert not any(map(psutil.pid_exists, workers))


def test_server_stays_while_a_job_waits(tmp_path: Path) -> None:
    owner = str(uuid.uuid4())
    with running(tmp_path / "home", "--owner-lease", owner, "--stop-when-unowned", fault="hold@boot") as server:
        client = server.client()
        job = client.submit("/masks", {"images": [{"blob": sphere_request(client)["images"][0]["blob"]}]})
        client.call("DELETE", f"/clients/{owner}")
        client.session.close()
        server.release.touch()
        assert server.wait() == 0
    with running(tmp_path / "home", fault=IDLE_WORKER) as server:
        client = server.client()
        assert client.job(job)["state"] == "succeeded"
        client.session.close()


def test_shutdown_over_http_and_by_signal(tmp_path: Path) -> None:
    with running(tmp_path / "home", fault=IDLE_WORKER) as server:
        client = server.client()
        client.submit("/jobs", plain_request(client))
        assert client.post("/server/shutdown").status_code == 409
        assert client.post("/server/shutdown", {"force": True}).status_code == 202
        client.session.close()
        assert server.wait() == 0
    with running(tmp_path / "home", fault=IDLE_WORKER) as server:
        server.client().session.close()
        server.process.send_signal(signal.SIGINT)
        assert server.wait() == 0
    lines = [json.loads(line) for line in (tmp_path / "home" / "server.log").read_text().splitlines()]
    assert lines[-1]["message"] == "Stopped"


def test_impostor_on_the_port_is_not_believed(tmp_path: Path) -> None:
    with socket.socket() as impostor:
        impostor.bind(("127.0.0.1", 0))
        impostor.listen()
        token = "secret-token"
        state = state_file.State(impostor.getsockname()[1], token, 1, "0", "x")
        heard: list[bytes] = []

        def serve() -> None:
            connection, _ = impostor.accept()
            with connection:
                heard.append(connection.recv(65536))
                body = b'{"product":"gtr","proof":"00"}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        thread = threading.Thread(target=serve)
        thread.start()
        assert not state_file.answers(state, PATIENCE)
        thread.join()
    assert token.encode() not in heard[0]
