"""Uploading blobs and submitting jobs to a front without its worker."""

import hashlib
import random
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_under_test import Client, front, problem
from sphere_request import plain_request

from gtr_server import store
from gtr_server.job import JOB_ID
from gtr_server.services import Services

# --- blobs ----------------------------------------------------------------------------------------------------------


def test_blob_is_new_once(shared: tuple[Client, Services]) -> None:
    client = shared[0]
    data, headers = b"some bytes", {"Content-Type": "application/octet-stream"}
    path = f"/blobs/{hashlib.sha256(data).hexdigest()}"
    assert client.call("HEAD", path).status_code == 404
    assert client.call("PUT", path, data=data, headers=headers).status_code == 201
    assert client.call("PUT", path, data=data, headers=headers).status_code == 200
    assert client.call("HEAD", path).status_code == 200


def test_blob_with_other_contents_leaves_nothing(shared: tuple[Client, Services]) -> None:
    client, services = shared
    digest = hashlib.sha256(b"right").hexdigest()
    headers = {"Content-Type": "application/octet-stream"}
    problem(client.call("PUT", f"/blobs/{digest}", data=b"wrong", headers=headers), 400, "digest_mismatch")
    assert client.call("HEAD", f"/blobs/{digest}").status_code == 404
    assert not list(services.blobs.incoming.iterdir())


@pytest.mark.parametrize("name", ["0" * 63, "0" * 65, "A" * 64, "g" * 64, "..%2F" + "0" * 62, "%00" * 64, "CON"])
def test_blob_names_are_digests(shared: tuple[Client, Services], name: str) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    assert shared[0].call("PUT", f"/blobs/{name}", data=b"x", headers=headers).status_code in (400, 404)
    assert shared[0].call("HEAD", f"/blobs/{name}").status_code == 404


def test_upload_that_breaks_off_leaves_nothing(shared: tuple[Client, Services]) -> None:
    client, services = shared
    data = random.Random(1).randbytes(2_000_000)
    digest = hashlib.sha256(data).hexdigest()
    head = (
        f"PUT /api/v1/blobs/{digest} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n"
        f"Authorization: Bearer {client.token}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    for sent in (0, 1, 65536, len(data) - 1):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(head.encode() + data[:sent])
    assert client.call("HEAD", f"/blobs/{digest}").status_code == 404
    assert not list(services.blobs.incoming.iterdir())
    client.put_blob(data)


def test_full_disk_is_said(shared: tuple[Client, Services], monkeypatch: pytest.MonkeyPatch) -> None:
    client = shared[0]
    request = plain_request(client)
    monkeypatch.setattr("gtr_server.services.DISK_RESERVE", 2**62)
    headers = {"Content-Type": "application/octet-stream"}
    digest = hashlib.sha256(b"more").hexdigest()
    assert (
        "GB free"
        in problem(client.call("PUT", f"/blobs/{digest}", data=b"more", headers=headers), 507, "disk_full")["detail"]
    )
    problem(client.post("/jobs", request), 507, "disk_full")


# --- submissions ----------------------------------------------------------------------------------------------------


def test_accepted_job(served: tuple[Client, Services]) -> None:
    client = served[0]
    answer = client.post("/jobs", plain_request(client))
    assert answer.status_code == 202
    job = answer.json()
    assert re.fullmatch(JOB_ID, job["id"])
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert answer.headers["Retry-After"] == "1"
    assert (job["state"], job["stage"], job["progress"], job["attempt"], job["position"]) == ("queued", "wait", 0, 0, 0)
    assert client.job(job["id"]) == job


def test_same_key_is_the_same_job_from_fifty_threads(served: tuple[Client, Services]) -> None:
    client, services = served
    request = plain_request(client)

    def submit(_index: int) -> tuple[int, str]:
        mine = Client(client.port, client.token)
        with mine.session:
            answer = mine.post("/jobs", request, "one-key")
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(submit, range(50)))
    assert {status for status, _ in answers} == {202}
    assert len({job for _, job in answers}) == 1
    assert services.store.active() == 1


def test_key_survives_a_restart(tmp_path: Path) -> None:
    with front(tmp_path / "home") as (client, _):
        request = plain_request(client)
        first = client.submit("/jobs", request, "key")
    with front(tmp_path / "home") as (client, services):
        assert client.submit("/jobs", request, "key") == first
        assert services.store.active() == 1


def test_key_is_needed_and_not_reused(served: tuple[Client, Services]) -> None:
    client = served[0]
    request = plain_request(client)
    for headers in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "a b"}, {"Idempotency-Key": "x" * 256}):
        problem(client.call("POST", "/jobs", json=request, headers=headers), 400, "idempotency_key_missing")
    client.submit("/jobs", request, "key")
    problem(client.post("/jobs", {**request, "options": {"seed": 7}}, "key"), 422, "idempotency_key_reused")
    problem(
        client.post("/masks", {"images": [{"blob": request["images"][0]["blob"]}]}, "key"),
        422,
        "idempotency_key_reused",
    )


def test_missing_blobs_are_named(shared: tuple[Client, Services]) -> None:
    client = shared[0]
    request = plain_request(client)
    absent = [hashlib.sha256(bytes([i])).hexdigest() for i in range(3)]
    request["images"][1]["blob"] = absent[0]
    request["images"][2]["mask_blob"] = absent[1]
    request["images"][3]["mask_blob"] = absent[1]
    document = problem(client.post("/jobs", request), 409, "missing_blobs")
    assert document["missing"] == sorted(absent[:2])


def test_queue_is_bounded(served: tuple[Client, Services], monkeypatch: pytest.MonkeyPatch) -> None:
    client = served[0]
    monkeypatch.setattr(store, "MAX_QUEUED", 2)
    request = plain_request(client)
    first = client.submit("/jobs", request, "first")
    client.submit("/jobs", request)
    answer = client.post("/jobs", request)
    assert problem(answer, 429, "queue_full")["waiting"] == 2
    assert int(answer.headers["Retry-After"]) > 0
    assert client.submit("/jobs", request, "first") == first


def test_degraded_worker_refuses_new_jobs(served: tuple[Client, Services]) -> None:
    client, services = served
    services.supervisor.crashes.degraded = True
    services.supervisor.reason = "It dies."
    assert problem(client.post("/jobs", plain_request(client)), 503, "worker_degraded")["reason"] == "It dies."
    assert client.get("/server").json()["worker"] == {"state": "degraded", "reason": "It dies."}


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("nonsense", 404, "unknown_model"), ("gtr-release", 409, "model_unavailable"), ("", 422, "invalid_request")],
)
def test_models_that_cannot_be_used(shared: tuple[Client, Services], model: str, status: int, code: str) -> None:
    client = shared[0]
    problem(client.post("/jobs", {**plain_request(client), "model": model}), status, code)


def test_models_list(shared: tuple[Client, Services]) -> None:
    states = {model["id"]: model["state"] for model in shared[0].get("/models").json()}
    assert states["fit"] == "ready"
    assert all(state in ("ready", "absent", "invalid") for state in states.values())
    assert {name for name, state in states.items() if state == "absent"} == {"gtr-release", "gtr-paper", "gtr-mini"}


def test_too_few_views(shared: tuple[Client, Services]) -> None:
    client = shared[0]
    request = plain_request(client)
    for count in (0, 1):
        found = problem(client.post("/jobs", {**request, "images": request["images"][:count]}), 422, "too_few_views")
        assert found["detail"] == f"2 views are needed, {count} loaded."
