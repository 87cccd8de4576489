"""The connection to a server that answers late, or not now: its lease lives on, and nobody gives up too soon."""

import threading
from types import SimpleNamespace

import pytest
from fake_gtr_server import TOKEN, FakeServer
from job_events import PATIENCE, wait_for

from blender_addon.client import GtrClient
from blender_addon.errors import ClientError, Interrupted
from blender_addon.link import api, server_link
from blender_addon.link import lease as lease_module
from blender_addon.link.lease import Lease
from blender_addon.link.server_link import ServerLink
from blender_addon.link.transport import Transport
from blender_addon.server_process import Endpoint
from blender_addon.values import ServerLine, ServerSettings


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setenv("GTR_HOME", str(tmp_path))
    monkeypatch.delenv("GTR_PYTHON", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(api, "PROOF_SECONDS", PATIENCE)
    monkeypatch.setattr(server_link, "ASK_AGAIN_SECONDS", 0.01)
    server = FakeServer()
    server.write_state(tmp_path / "server.json")
    yield server
    server.close()


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def client(fake, stop):
    made = GtrClient(Transport(stop), Endpoint(fake.url, TOKEN, port=fake.port), stop)
    yield made
    made._transport.close()


@pytest.fixture
def lines() -> list[ServerLine]:
    return []


@pytest.fixture
def link(fake, stop, lines):
    made = ServerLink(ServerSettings(), lines.append, stop)
    yield made
    stop.set()
    made.close()


def silent(fake: FakeServer, monkeypatch, *, times: float) -> threading.Event:
    """The next so many questions for a proof are not answered before the event is set."""
    monkeypatch.setattr(api, "PROOF_SECONDS", 0.3)
    end, health = threading.Event(), []

    def keep_still(handler) -> None:
        health.append(1)
        if len(health) <= times:
            end.wait(2 * PATIENCE)
        else:
            monkeypatch.setattr(api, "PROOF_SECONDS", PATIENCE)
            del fake.overrides["/health"]
            handler.prove()

    fake.overrides["/health"] = keep_still
    return end


def test_lease_lives_on_while_the_worker_thread_is_busy(fake, client, stop, monkeypatch) -> None:
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", 0.1)
    monkeypatch.setattr(lease_module, "LATE_SECONDS", 0.1)
    lease = Lease(stop)
    lease.keep(client)
    fake.leases.clear()
    wait_for(lambda: lease.id in fake.leases)  # and this thread has done nothing
    lease.release(client)
    stop.set()
    lease._thread.join()
    assert not fake.leases
    about_it = [method for method, path, _ in fake.requests if lease.id in path]
    assert about_it[-1] == "DELETE", "not taken anew after it was given back"


def test_renewal_that_failed_is_due_again(fake, client, stop) -> None:
    lease = Lease(stop)
    fake.overrides["/clients"] = lambda h: h.problem(503, "x")
    with pytest.raises(ClientError):
        lease.keep(client)
    fake.overrides.clear()
    lease.keep(client)
    lease.keep(client)
    assert fake.asked("PUT", lease.id) == 2, "and one that did not fail is not"
    assert fake.leases == {lease.id}


def test_silent_server_is_asked_again(fake, link, lines, monkeypatch) -> None:
    end = silent(fake, monkeypatch, times=2)
    assert link.ensure().server()["product"] == "gtr"
    end.set()
    assert [line.state for line in lines] == ["ready"]
    assert fake.leases == {link.lease.id}


def test_waiting_for_a_silent_server_has_an_end(fake, link, lines, monkeypatch) -> None:
    monkeypatch.setattr(server_link, "ANSWER_SECONDS", 0.1)
    end = silent(fake, monkeypatch, times=float("inf"))
    with pytest.raises(ClientError) as caught:
        link.ensure()
    end.set()
    assert caught.value.code == "no_response"
    assert [line.state for line in lines] == ["lost"]


def test_waiting_for_a_silent_server_can_be_cancelled(fake, link, monkeypatch) -> None:
    monkeypatch.setattr(server_link, "ANSWER_SECONDS", 1000.0)
    cancel = threading.Event()
    end = silent(fake, monkeypatch, times=float("inf"))
    cancel.set()
    with link.cancelled_by(cancel), pytest.raises(Interrupted):
        link.ensure()
    end.set()


def test_silent_port_of_a_dead_server_is_not_waited_for(fake, link, tmp_path, monkeypatch) -> None:
    fake.write_state(tmp_path / "server.json", pid=2**22 - 1)
    end = silent(fake, monkeypatch, times=float("inf"))
    with pytest.raises(ClientError) as caught:
        link.ensure()
    end.set()
    assert caught.value.code == "server_not_installed", "another one would have been started"


def test_idle_session_keeps_its_lease_through_a_silence(fake, link, lines, monkeypatch) -> None:
    link.ensure()
    fake.leases.clear()
    fake._http.cut_all()
    moment = lease_module.time.monotonic() + 30  # its renewal is due
    monkeypatch.setattr(lease_module, "time", SimpleNamespace(monotonic=lambda: moment))
    end = silent(fake, monkeypatch, times=1)
    link.heartbeat()
    assert [line.state for line in lines] == ["ready", "lost"]
    link.heartbeat()
    end.set()
    assert fake.leases == {link.lease.id}
    assert [line.state for line in lines] == ["ready", "lost", "ready"]


def test_server_that_is_found_and_falls_silent_again_is_looked_for_again(fake, link, monkeypatch) -> None:
    link.ensure()
    fake.overrides["/server"] = lambda h: h.problem(503, "stopping")
    assert link.find_again() is None
    fake.overrides.clear()
    assert link.find_again() is not None
