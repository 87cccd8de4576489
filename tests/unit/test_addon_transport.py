"""The client against servers that lie, drip, redirect, vanish or are somebody else."""

import hashlib
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from fake_gtr_server import TOKEN, FakeJob, FakeServer, npz, tetrahedron
from job_events import PATIENCE, wait_for

from blender_addon import client as client_module
from blender_addon.client import MESH_LIMIT, GtrClient
from blender_addon.errors import ClientError, Interrupted
from blender_addon.link import api, transport
from blender_addon.link.transport import Transport
from blender_addon.server_process import Endpoint


@pytest.fixture
def fake():
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def client(fake: FakeServer, stop: threading.Event):
    made = connect(fake, stop)
    yield made
    made._transport.close()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch) -> None:
    monkeypatch.setattr(api, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(api, "PROOF_SECONDS", PATIENCE)


def connect(fake: FakeServer, stop: threading.Event, token: str = TOKEN) -> GtrClient:
    return GtrClient(Transport(stop), Endpoint(fake.url, token, port=fake.port), stop)


def error_of(call, *arguments, **options) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **options)
    return caught.value


def test_server_that_knows_the_key_is_accepted(fake, client) -> None:
    client.prove()
    assert client.server()["product"] == "gtr"


def test_health_carries_no_secret_and_comes_before_the_key(fake, client) -> None:
    client.server()
    first, second = fake.requests[:2]
    assert first[1].startswith("/api/v1/health?nonce=")
    assert "Authorization" not in first[2]
    assert TOKEN not in first[1]
    assert second[2]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("fresh", [True, False])
def test_squatter_never_sees_the_key(fake, client, fresh: bool) -> None:
    """Somebody else listens on the port: from the start, or since the real server went away."""
    if not fresh:
        client.server()
        del fake.raw[:]
    fake.token = "guess"
    fake._http.cut_all()
    assert error_of(client.server).code == "auth"
    assert TOKEN.encode() not in fake.raw


def test_each_new_connection_is_proved_again(fake, client) -> None:
    client.server()
    fake._http.cut_all()
    client.server()
    assert fake.asked("GET", "/health") == 2


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        (lambda h: h.answer(200, b"<html>Gradio app</html>", {"Server": "uvicorn"}), "not_gtr", "gradio"),
        (lambda h: h.answer(404, {"detail": "Not Found"}), "not_gtr", ""),
        (lambda h: h.answer(200, {"product": "gtr2"}), "not_gtr", ""),
        (lambda h: h.answer(200, {"product": "gtr", "api": {"min": "2.0", "max": "2.1"}}), "incompatible", "2.0"),
        (lambda h: h.answer(200, {"product": "gtr", "api": {"min": "0.1", "max": "0.9"}}), "incompatible", "0.9"),
        (lambda h: h.answer(200, {"product": "gtr", "api": "new"}), "incompatible", ""),
        (lambda h: h.answer(200, {"product": "gtr", "api": {"min": "1.0", "max": "1.3"}}), "auth", ""),
        (lambda h: h.answer(503, {"product": "gtr"}), "server_off", ""),
        (lambda h: h.answer(302, b"", {"Location": "file:///etc/passwd"}), "not_gtr", ""),
    ],
)
def test_wrong_servers(fake, client, override, code: str, words: str) -> None:
    fake.overrides["/health"] = override
    error = error_of(client.prove)
    assert error.code == code
    assert words in str(error.values)
    assert TOKEN.encode() not in fake.raw


def test_nobody_there(stop) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # and never listens: nobody else gets this port meanwhile
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/api/v1"
        error = error_of(GtrClient(Transport(stop), Endpoint(url, "t"), stop).prove)
    assert error.code == "server_off"
    assert "refused" in error.details


def test_proxies_are_not_asked(fake, client, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert client.server()["product"] == "gtr"


def test_silent_server_is_given_up(fake, client, monkeypatch) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 1000.0)
    client.prove()
    release, answered = threading.Event(), []
    fake.overrides["/server"] = lambda h: (release.wait(PATIENCE), answered.append(1))
    error = error_of(client.call, "GET", "/server", retry=False, seconds=0.5)
    assert error.code == "no_response"
    assert not answered
    release.set()


DROPS = int(10 * PATIENCE)
"""One every tenth of a second: whoever does not give up gets them all."""


def drip(handler, drop: bytes, fallen: list[int]) -> None:
    for _ in range(DROPS):
        handler.wfile.write(drop)
        handler.wfile.flush()
        fallen.append(1)
        time.sleep(0.1)


def test_dripping_body_is_given_up(fake, client) -> None:
    fallen: list[int] = []

    def serve(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(DROPS))
        handler.end_headers()
        drip(handler, b"x", fallen)

    client.prove()
    fake.overrides["/server"] = serve
    assert error_of(client.call, "GET", "/server", retry=False, seconds=1).code == "no_response"
    assert 0 < len(fallen) < DROPS


def test_answer_that_was_there_in_time_counts_though_it_is_read_late(fake, client, monkeypatch) -> None:
    """A process that stood still, as on a machine that slept, finds the answer when it goes on."""
    client.prove()
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def answer(handler) -> None:
        clock.now = 3600.0
        handler.answer(200, {"product": "gtr"})

    fake.overrides["/server"] = answer
    assert client.call("GET", "/server", retry=False).status == 200


def test_dripping_headers_are_given_up_by_the_watcher(fake, client) -> None:
    fallen: list[int] = []

    def headers_for_ever(handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        drip(handler, b"X", fallen)

    client.prove()
    fake.overrides["/server"] = headers_for_ever
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            client._transport.break_overdue_call()

    threading.Thread(target=watch, daemon=True).start()
    assert error_of(client.call, "GET", "/server", retry=False, seconds=1).code == "no_response"
    done.set()
    assert len(fallen) < DROPS


@pytest.mark.parametrize("declared", [True, False])
def test_endless_body_is_cut_at_the_limit(fake, client, declared: bool) -> None:
    sent = []

    def flood(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length" if declared else "X-None", str(10 << 30))
        handler.end_headers()
        for _ in range(10 << 10):
            handler.wfile.write(bytes(1 << 20))
            sent.append(1)

    fake.overrides["/server"] = flood
    error = error_of(client.server)
    assert (error.code, "larger" in str(error.values)) == ("bad_reply", True)
    assert len(sent) < 64, "MiB that left the server, most of them into buffers"


@pytest.mark.parametrize(
    "override",
    [
        lambda h: h.answer(200, b"not json"),
        lambda h: h.answer(200, b"[1]"),
        lambda h: h.answer(200, b"[" * 100_000),
        lambda h: h.answer(307, b"", {"Location": "file:///etc/passwd"}),
        lambda h: h.answer(200, b"x", {"Content-Encoding": "gzip"}),
        lambda h: h.wfile.write(b"\x00\x01garbage\r\n\r\n"),
    ],
)
def test_garbage_is_a_bad_reply(fake, client, override, monkeypatch) -> None:
    monkeypatch.setattr(api, "RETRIES", 1)
    fake.overrides["/server"] = override
    assert error_of(client.server).code in ("bad_reply", "server_off")


def test_problems_keep_their_code_sentence_and_view(fake, client) -> None:
    entry = {"pointer": "/images/3/camera", "code": "camera_invalid", "detail": "it is singular"}
    fake.overrides["/jobs"] = lambda h: h.problem(422, "camera_invalid", "/images/3/camera: it", errors=[entry])
    error = error_of(client.submit, {}, "key")
    assert (error.code, error.view, error.text, error.status) == ("camera_invalid", 3, "it is singular", 422)


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "auth"), (404, "not_found"), (410, "incompatible"), (507, "disk_full"), (500, "internal")],
)
def test_errors_without_a_problem_document(fake, client, status: int, code: str) -> None:
    fake.overrides["/jobs"] = lambda h: h.answer(status, b"<html>Traceback ...")
    assert error_of(client.job, "job_1").code == code


def test_busy_server_is_asked_again(fake, client) -> None:
    answers = iter([lambda h: h.problem(429, "queue_full"), lambda h: h.problem(503, "x"), lambda h: h.answer(200, {})])
    fake.overrides["/server"] = lambda h: next(answers)(h)
    assert client.server() == {}
    assert fake.asked("GET", "/server") == 3


def test_full_disk_and_a_broken_worker_are_not_asked_again(fake, client) -> None:
    for count, (status, code) in enumerate(((507, "disk_full"), (503, "worker_degraded")), 1):
        fake.overrides["/server"] = lambda h, s=status, c=code: h.problem(s, c)
        assert error_of(client.server).code == code
        assert fake.asked("GET", "/server") == count


def test_retries_end(fake, client) -> None:
    fake.overrides["/server"] = lambda h: h.problem(429, "queue_full", waiting=5)
    assert error_of(client.server).values == {"waiting": 5}
    assert fake.asked("GET", "/server") == 1 + api.RETRIES


def test_waiting_for_a_retry_ends_with_blender(fake, client, stop) -> None:
    client.prove()
    fake.overrides["/server"] = lambda h: (stop.set(), h.answer(429, {}, {"Retry-After": "60"}))
    with pytest.raises(Interrupted):
        client.server()


def test_upload_sends_only_what_is_missing(fake, client) -> None:
    digest = client.upload(b"data")
    assert digest == hashlib.sha256(b"data").hexdigest()
    assert fake.blobs == {digest: b"data"}
    client.upload(b"data")
    assert fake.asked("PUT", digest) == 1


def test_damaged_upload_is_sent_once_more(fake, client) -> None:
    real = []
    fake.overrides["/blobs"] = lambda h: (
        h.answer(404) if h.command == "HEAD" else (real.append(1), h.problem(400, "digest_mismatch"))
    )
    assert error_of(client.upload, b"data").code == "digest_mismatch"
    assert len(real) == 2


def artifact(data: bytes, *, cuts: list[int], digest: str = ""):
    """Serves ``data`` with ETag and Range, breaking the connection after so many bytes each time."""
    etag = f'"{digest or hashlib.sha256(data).hexdigest()}"'
    seen: list[str] = []

    def serve(handler) -> None:
        wanted = handler.headers.get("Range", "")
        seen.append(wanted)
        start = int(wanted[6:-1]) if wanted and handler.headers.get("If-Range") == etag else 0
        part = data[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(part)))
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("ETag", etag)
        handler.end_headers()
        handler.wfile.write(part[: cuts[0]] if cuts else part)
        handler.wfile.flush()
        if cuts:
            cuts.pop(0)
            handler.connection.shutdown(2)
            handler.close_connection = True

    return serve, seen


def test_broken_download_goes_on_where_it_stopped(fake, client) -> None:
    data = bytes(range(256)) * 4000
    serve, seen = artifact(data, cuts=[300_000, 200_000])
    fake.overrides["/jobs"] = serve
    assert client.artifact("job_1", "mesh.npz", MESH_LIMIT) == data
    assert seen == ["", "bytes=300000-", "bytes=500000-"]


def test_other_version_starts_again(fake, client) -> None:
    data = b"a" * 1000
    serve, seen = artifact(data, cuts=[400])
    other, _ = artifact(b"b" * 500, cuts=[])
    fake.overrides["/jobs"] = lambda h: (other if seen else serve)(h)
    assert client.artifact("job_1", "mesh.npz", MESH_LIMIT) == b"b" * 500


def test_download_with_a_wrong_checksum_is_refused(fake, client) -> None:
    fake.overrides["/jobs"] = artifact(b"data", cuts=[], digest="0" * 64)[0]
    assert "checksum" in str(error_of(client.artifact, "job_1", "mesh.npz", MESH_LIMIT).values)


def test_download_that_never_gets_on_ends(fake, client) -> None:
    data = b"a" * 1000
    fake.overrides["/jobs"] = artifact(data, cuts=[0] * 50)[0]
    assert error_of(client.artifact, "job_1", "mesh.npz", MESH_LIMIT).code == "server_off"


def test_poll_can_be_broken_from_another_thread(fake, client, monkeypatch) -> None:
    for module in (client_module, transport):
        monkeypatch.setattr(module, "READ_SECONDS", 1000.0)
    fake.jobs["job_1"] = FakeJob("job_1", "reconstruct", None, {}, "running")
    client.prove()

    def break_it() -> None:
        wait_for(lambda: fake.open_polls)
        client._transport.break_poll()

    breaker = threading.Thread(target=break_it)
    breaker.start()
    with pytest.raises(Interrupted):
        client.events("job_1", after=0, wait=1000)
    breaker.join()
    assert fake.open_polls == 1, "the server had not answered"
    client._transport.break_poll()
    with pytest.raises(Interrupted):
        client.events("job_1", after=0, wait=1000)
    assert fake.asked("GET", "/events") == 1, "the next one was not even sent"
    assert client.job("job_1")["state"] == "running"


def test_preview_and_its_etag(fake, client) -> None:
    data = npz(**tetrahedron())
    fake.overrides["/jobs"] = lambda h: (
        h.answer(304, b"")
        if h.headers.get("If-None-Match") == '"1"'
        else h.answer(200, data, {"ETag": '"1"', "X-GTR-Preview": "mesh"})
    )
    preview = client.preview("job_1")
    assert preview is not None
    assert (preview.kind, preview.data) == ("mesh", data)
    assert client.preview("job_1", preview.etag) is None


def test_ids_from_elsewhere_cannot_leave_their_place(fake, client) -> None:
    assert error_of(client.job, "../server?x=").code == "unknown_job"
    assert fake.requests[-1][1] == "/api/v1/jobs/..%2Fserver%3Fx%3D"
    fake.overrides["/jobs"] = lambda h: h.answer(202, {"id": "../../etc"})
    assert error_of(client.submit, {}, "key").code == "bad_reply"


def test_all_calls_have_a_time_limit() -> None:
    assert transport.CONNECT_SECONDS == 2
    assert transport.READ_SECONDS == 30
