"""Who may talk to the server: every route, every method, every disguise (threats T1, T2, T4)."""

import hashlib
import hmac
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from server_under_test import PATIENCE, Client, front, problem
from sphere_request import plain_request

from gtr_server.app import create_app
from gtr_server.guard import OPEN_ENDPOINT, SIGN_OF_LIFE
from gtr_server.limits import MAX_BLOB_BYTES
from gtr_server.services import Services

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"]
JOB = "job_" + "0" * 26
ROUTES = {
    "/health": {"GET"},
    "/server": {"GET"},
    "/models": {"GET"},
    "/openapi.json": {"GET"},
    "/clients/<uuid:client>": {"PUT", "DELETE"},
    "/server/unload": {"POST"},
    "/server/restart-worker": {"POST"},
    "/server/shutdown": {"POST"},
    "/blobs/<digest>": {"GET", "PUT"},
    "/jobs": {"GET", "POST"},
    "/masks": {"POST"},
    "/jobs/<job_id>": {"GET", "DELETE"},
    "/jobs/<job_id>/events": {"GET"},
    "/jobs/<job_id>/preview": {"GET"},
    "/jobs/<job_id>/artifacts/<name>": {"GET"},
    "/jobs/<job_id>/refine": {"POST"},
    "/jobs/<job_id>/recolour": {"POST"},
    "/jobs/<job_id>/cancel": {"POST"},
    "/jobs/<job_id>/finish": {"POST"},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Services]]:
    with front(tmp_path_factory.mktemp("guard") / "home") as pair:
        yield pair


@pytest.fixture(scope="module")
def client(served: tuple[Client, Services]) -> Client:
    return served[0]


def address(rule: str) -> str:
    values = {"client": "123e4567-e89b-12d3-a456-426614174000", "digest": "0" * 64, "job_id": JOB, "name": "mesh.npz"}
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values[match[1]], rule)


def database_digest(services: Services) -> str:
    return hashlib.sha256(services.settings.database.read_bytes()).hexdigest()


def test_table_names_every_route(served: tuple[Client, Services]) -> None:
    found: dict[str, set[str]] = {}
    for rule in create_app(served[1]).url_map.iter_rules():
        found.setdefault(rule.rule.removeprefix("/api/v1"), set()).update((rule.methods or set()) - {"HEAD"})
    assert found == ROUTES
    assert {OPEN_ENDPOINT, *SIGN_OF_LIFE} <= set(create_app(served[1]).view_functions)


@pytest.mark.parametrize("rule", ROUTES)
def test_without_token_nothing_answers_and_nothing_changes(served: tuple[Client, Services], rule: str) -> None:
    client, services = served
    before = database_digest(services)
    for method in METHODS:
        body = b"{}" if method in ("POST", "PUT", "PATCH", "FOO") else None
        answer = requests.request(
            method, client.url + address(rule), data=body, timeout=PATIENCE, allow_redirects=False
        )
        if method == "OPTIONS":
            expected = 403
        elif method in ROUTES[rule] or (method == "HEAD" and "GET" in ROUTES[rule]):
            expected = 200 if rule == "/health" else 401
        else:
            expected = 405
        assert answer.status_code == expected, (method, rule)
        assert not [name for name in answer.headers if name.lower().startswith(("access-control", "set-cookie"))]
    assert database_digest(services) == before


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:{port}"])
@pytest.mark.parametrize("rule", ROUTES)
def test_web_pages_are_refused_even_with_the_token(client: Client, rule: str, origin: str) -> None:
    method = sorted(ROUTES[rule])[0]
    answer = client.call(method, address(rule), headers={"Origin": origin.format(port=client.port)})
    problem(answer, 403, "forbidden_origin")


@pytest.mark.parametrize("site", ["cross-site", "same-origin", "same-site"])
def test_requests_of_a_browser_page_are_refused(client: Client, site: str) -> None:
    problem(client.get("/server", headers={"Sec-Fetch-Site": site}), 403, "forbidden_origin")
    assert client.get("/server", headers={"Sec-Fetch-Site": "none"}).status_code == 200


def raw(client: Client, head: str) -> tuple[int, bytes]:
    """Send header lines as they are; returns status and answer."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=PATIENCE) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split()[1]), answer


@pytest.mark.parametrize(
    "host",
    [
        "evil.com:{port}", "localhost.evil.com:{port}", "127.0.0.1.nip.io:{port}", "0.0.0.0:{port}", "127.1:{port}",
        "2130706433:{port}", "localhost.:{port}", "127.0.0.1:{other}", "127.0.0.1", "localhost", "[::1]:{port}",
        "127.0.0.1:{port}@evil.com", "127.0.0.1:0{port}",
    ],
)  # fmt: skip
def test_other_hosts_are_refused(client: Client, host: str) -> None:
    name = host.format(port=client.port, other=client.port + 1)
    lines = f"GET /api/v1/server HTTP/1.1\nHost: {name}\nAuthorization: Bearer {client.token}\nConnection: close\n\n"
    status, answer = raw(client, lines)
    assert status == 421
    assert b'"code":"wrong_host"' in answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /api/v1/server HTTP/1.1\nHost: 127.0.0.1:{port}\nHost: evil.com\n", 400),
        ("GET /api/v1/server HTTP/1.0\n", 400),
        ("GET http://evil.com/api/v1/server HTTP/1.1\nHost: 127.0.0.1:{port}\n", 421),
        ("GET http://evil.com/api/v1/server HTTP/1.1\nHost: evil.com\n", 421),
        ("GET /api/v1/server HTTP/1.1\nHost: 127.0.0.1:{port}\nX-Forwarded-Host: evil.com\n", 421),
        ("GET /api/v1/server HTTP/1.1\nHost: 127.0.0.1:{port}\nForwarded: host=evil.com\n", 421),
    ],
)
def test_ambiguous_hosts_are_refused(client: Client, head: str, status: int) -> None:
    lines = head.format(port=client.port) + f"Authorization: Bearer {client.token}\nConnection: close\n\n"
    assert raw(client, lines)[0] == status


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_honest_client_is_served(client: Client, name: str) -> None:
    answer = client.session.get(f"http://{name}:{client.port}/api/v1/server", timeout=PATIENCE)
    assert answer.status_code == 200
    assert answer.json()["product"] == "gtr"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic {token}", "bearer {token}", "Bearer {token}x"])
def test_wrong_keys_are_refused(client: Client, header: str) -> None:
    headers = {"Authorization": header.format(token=client.token)}
    answer = requests.get(f"{client.url}/server", headers=headers, timeout=PATIENCE)
    problem(answer, 401, "auth")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.token not in answer.text


def test_health_proves_the_key_and_says_nothing_else(client: Client) -> None:
    nonce = "0123456789abcdef" * 2
    answer = requests.get(f"{client.url}/health", params={"nonce": nonce}, timeout=PATIENCE).json()
    proof = hmac.new(client.token.encode(), nonce.encode(), hashlib.sha256).hexdigest()
    assert answer == {"status": "ok", "product": "gtr", "api": {"min": "1.0", "max": "1.0"}, "proof": proof}
    assert "proof" not in requests.get(f"{client.url}/health", timeout=PATIENCE).json()


@pytest.mark.parametrize("nonce", ["x", "0" * 31, "0" * 33, "G" * 32, "A" * 32])
def test_health_refuses_odd_nonces(client: Client, nonce: str) -> None:
    problem(requests.get(f"{client.url}/health", params={"nonce": nonce}, timeout=PATIENCE), 400, "bad_request")


def test_dead_major_version_says_so(client: Client) -> None:
    base = client.url.removesuffix("/v1")
    problem(client.session.get(f"{base}/v0/jobs", timeout=PATIENCE), 410, "incompatible")
    problem(client.session.get(f"{base}/v2/jobs", timeout=PATIENCE), 410, "incompatible")
    problem(client.session.get(f"{base}/v1/nothing", timeout=PATIENCE), 404, "not_found")
    problem(client.session.get(f"{base}/v1/jobs/", timeout=PATIENCE), 404, "not_found")


def test_bodies_need_length_type_and_measure(client: Client) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    head = f"Host: 127.0.0.1:{client.port}\nAuthorization: Bearer {client.token}\nConnection: close\n"
    assert raw(client, f"PUT /api/v1/blobs/{digest} HTTP/1.1\n{head}\n")[0] == 411
    problem(
        client.call("PUT", f"/blobs/{digest}", data=b"x", headers={"Content-Type": "text/plain"}), 415, "media_type"
    )
    problem(client.call("POST", "/jobs", data=b"x", headers={"Content-Type": "text/plain"}), 415, "media_type")
    problem(
        client.call("POST", "/jobs", data=b" " * (1 << 21), headers={"Content-Type": "application/json"}),
        413,
        "body_too_large",
    )
    # waitress refuses what is declared too large before it reads the body.
    assert raw(client, f"PUT /api/v1/blobs/{digest} HTTP/1.1\n{head}Content-Length: {MAX_BLOB_BYTES + 1}\n\n")[0] == 413


def test_request_ids_are_echoed_or_made(client: Client) -> None:
    assert client.get("/server", headers={"X-Request-Id": "panel-7"}).headers["X-Request-Id"] == "panel-7"
    made = client.get("/jobs/x", headers={"X-Request-Id": "a b"})
    assert made.headers["X-Request-Id"] == problem(made, 404, "unknown_job")["request_id"] != "a b"


def test_stopping_server_says_so(tmp_path: Path) -> None:
    with front(tmp_path / "home") as (client, services):
        request = plain_request(client)
        services.lifetime.stopping.set()
        document = problem(requests.get(f"{client.url}/health", timeout=PATIENCE), 503, "stopping")
        assert document["product"] == "gtr"
        problem(client.post("/jobs", request), 503, "stopping")
