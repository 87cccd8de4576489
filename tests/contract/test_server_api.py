"""What the front promises without its worker: blobs, submissions, refusals, states, events, artifacts."""

import copy
import hashlib
import json
import math
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from server_under_test import Client, cameras, front, plain_request, problem

from gtr_core.errors import ErrorCode
from gtr_server import models, store
from gtr_server.app import create_app
from gtr_server.job import JOB_ID, Artifact, Job, Task
from gtr_server.limits import MAX_WAITERS
from gtr_server.openapi import document
from gtr_server.outcomes import job_folder
from gtr_server.problems import ProblemCode
from gtr_server.services import Services


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Client, Services]]:
    with front(tmp_path / "home") as pair:
        yield pair


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Services]]:
    """A server for tests that leave nothing behind that others could stumble over."""
    with front(tmp_path_factory.mktemp("api") / "home") as pair:
        yield pair


def succeed(services: Services, files: dict[str, bytes]) -> Job:
    """End the oldest queued job as the worker would."""
    job = services.store.claim()
    assert job is not None
    folder = job_folder(services.settings, job)
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    artifacts = [Artifact(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()]
    return services.store.succeed(job.id, artifacts, ["The inside was not seen."], {"vertices": 3})


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
    assert {name for name, state in states.items() if state == "absent"} == set(models.LEARNED)


def test_too_few_views(shared: tuple[Client, Services]) -> None:
    client = shared[0]
    request = plain_request(client)
    for count in (0, 1):
        found = problem(client.post("/jobs", {**request, "images": request["images"][:count]}), 422, "too_few_views")
        assert found["detail"] == f"2 views are needed, {count} loaded."


# --- strictness -----------------------------------------------------------------------------------------------------


def scaled(factor: float) -> Callable[[Any], None]:
    def change(camera: Any) -> None:
        camera["world_to_camera"][:3] = [[factor * x for x in row] for row in camera["world_to_camera"][:3]]

    return change


FAULTY: dict[str, Callable[[Any], Any]] = {
    "singular": lambda c: c["world_to_camera"][0].__setitem__(slice(0, 3), [0, 0, 0]),
    "mirrored": lambda c: c["world_to_camera"].__setitem__(0, [-x for x in c["world_to_camera"][0]]),
    "twice as large": scaled(2),
    "tiny": scaled(1e-9),
    "huge": scaled(1e9),
    "far": lambda c: c["world_to_camera"][2].__setitem__(3, 1e9),
    "bottom row": lambda c: c["world_to_camera"][3].__setitem__(3, 2),
    "focal 0": lambda c: c["K"][0].__setitem__(0, 0),
    "focal negative": lambda c: c["K"][1].__setitem__(1, -5.0),
    "skew": lambda c: c["K"][0].__setitem__(1, 3.0),
    "infinite": lambda c: c["K"][0].__setitem__(0, 1e400),
    "three rows": lambda c: c["world_to_camera"].pop(),
    "text": lambda c: c.update(K="wide"),
    "true": lambda c: c["K"][0].__setitem__(0, True),
    "convention": lambda c: c.update(convention="opengl"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_unusable_cameras_never_reach_the_queue(shared: tuple[Client, Services], fault: str) -> None:
    client, services = shared
    request = copy.deepcopy(plain_request(client))
    FAULTY[fault](request["images"][3]["camera"])
    body = json.dumps(request).replace("Infinity", "1e400")
    headers = {"Idempotency-Key": "x", "Content-Type": "application/json"}
    document_ = problem(client.call("POST", "/jobs", data=body, headers=headers), 422, "camera_invalid")
    assert {entry["pointer"].split("/camera")[0] for entry in document_["errors"]} == {"/images/3"}
    assert "image 4" in document_["detail"]
    assert services.store.active() == 0


def test_random_rotations_are_accepted_and_random_matrices_not(shared: tuple[Client, Services]) -> None:
    from gtr_server.schemas import pose_fault

    numbers = random.Random(0)

    def rotation(axis: int, angle: float) -> list[list[float]]:
        i, j = (axis + 1) % 3, (axis + 2) % 3
        matrix = [[float(a == b) for b in range(3)] for a in range(3)]
        matrix[i][i], matrix[i][j], matrix[j][i], matrix[j][j] = (
            math.cos(angle),
            -math.sin(angle),
            math.sin(angle),
            math.cos(angle),
        )
        return matrix

    def product(a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
        return [[sum(a[i][k] * b[k][j] for k in range(3)) for j in range(3)] for i in range(3)]

    for _ in range(2000):
        r = rotation(0, numbers.uniform(-9, 9))
        for axis in (1, 2):
            r = product(r, rotation(axis, numbers.uniform(-9, 9)))
        good = [[*row, numbers.uniform(-9, 9)] for row in r] + [[0.0, 0.0, 0.0, 1.0]]
        assert pose_fault(good) is None
        flipped = [[-x for x in good[0]], *good[1:]]
        assert "mirrored" in (pose_fault(flipped) or "")
        bad = copy.deepcopy(good)
        bad[numbers.randrange(3)][numbers.randrange(3)] += numbers.choice([-1, 1]) * numbers.uniform(0.05, 9)
        assert pose_fault(bad) is not None


def test_cameras_must_be_there_and_differ(shared: tuple[Client, Services]) -> None:
    client = shared[0]
    request = copy.deepcopy(plain_request(client))
    del request["images"][2]["camera"]
    document_ = problem(client.post("/jobs", request), 422, "camera_missing")
    assert document_["errors"][0] == {
        "pointer": "/images/2/camera",
        "code": "camera_missing",
        "detail": "Image 3 has no camera.",
    }
    request["images"][2]["camera"] = request["images"][0]["camera"]
    assert (
        "Images 1 and 3 have the same camera" in problem(client.post("/jobs", request), 422, "camera_invalid")["detail"]
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("extra",), 1),
        (("images", 0, "path"), "/etc/passwd"),
        (("images", 0, "blob"), "http://169.254.169.254/"),
        (("images", 0, "blob"), "../" * 20),
        (("options", "grid_resolution"), 4096),
        (("options", "grid_resolution"), "64"),
        (("options", "grid_resolution"), 64.5),
        (("options", "face_limit"), -1),
        (("options", "seed"), 2**63),
        (("options", "background"), {"mode": "guess"}),
        (("options", "background"), {"mode": "key", "color": [1, 2]}),
        (("options", "background"), {"mode": "key", "tolerance": 0}),
        (("images",), {}),
        (("images",), None),
    ],
)
def test_requests_are_strict(shared: tuple[Client, Services], place: tuple[Any, ...], value: Any) -> None:
    client = shared[0]
    request: Any = {"options": {}, **copy.deepcopy(plain_request(client))}
    target = request
    for part in place[:-1]:
        target = target[part]
    target[place[-1]] = value
    found = problem(client.post("/jobs", request), 422, "invalid_request")
    pointer = "/" + "/".join(map(str, place))
    assert all(entry["pointer"].startswith(pointer) for entry in found["errors"])
    assert "passwd" not in json.dumps(found)
    assert "169.254" not in json.dumps(found)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]x",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a":1,"a":2}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 5000,
        b"'x'",
    ],
)
def test_json_is_strict(shared: tuple[Client, Services], body: bytes) -> None:
    headers = {"Idempotency-Key": "x", "Content-Type": "application/json"}
    problem(shared[0].call("POST", "/jobs", data=body, headers=headers), 400, "bad_request")


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"'])
def test_body_is_an_object(shared: tuple[Client, Services], body: bytes) -> None:
    headers = {"Idempotency-Key": "x", "Content-Type": "application/json"}
    problem(shared[0].call("POST", "/jobs", data=body, headers=headers), 422, "invalid_request")


def test_mutated_requests_break_nothing(shared: tuple[Client, Services]) -> None:
    client, services = shared
    numbers = random.Random(2)
    good = json.dumps(plain_request(client)).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "x"}
    paths = ["/jobs", "/masks", f"/jobs/job_{'0' * 26}/refine", "/server/shutdown", f"/clients/{'0' * 32}"]
    for _ in range(600):
        data = bytearray(good if numbers.random() < 0.8 else numbers.randbytes(numbers.randrange(200)))
        for _ in range(numbers.randrange(1, 6)):
            if data:
                data[numbers.randrange(len(data))] = numbers.randrange(256)
        answer = client.call(
            numbers.choice(["POST", "PUT", "GET"]), numbers.choice(paths), data=bytes(data), headers=headers
        )
        assert answer.status_code < 500
        assert not re.search(rf"Traceback|/home|/tmp|{client.token}", answer.text)
    assert not services.lifetime.stopping.is_set()
    assert client.get("/server").status_code == 200


def test_errors_of_ours_do_not_leak(shared: tuple[Client, Services], monkeypatch: pytest.MonkeyPatch) -> None:
    client, services = shared

    def broken(*_: Any) -> None:
        raise RuntimeError(f"/home/me {client.token}")

    monkeypatch.setattr(services.store, "page", broken)
    answer = client.get("/jobs")
    problem(answer, 500, "internal")
    assert client.token not in answer.text


# --- states and events ----------------------------------------------------------------------------------------------


def test_unknown_jobs_are_404_everywhere(shared: tuple[Client, Services]) -> None:
    client = shared[0]
    for job in ("job_" + "0" * 26, "x", "job_" + "o" * 26, "..%2f..", "job_%00"):
        for method, path in [("GET", ""), ("GET", "/events"), ("GET", "/preview"), ("GET", "/artifacts/mesh.npz"),
                             ("POST", "/cancel"), ("POST", "/finish"), ("DELETE", "")]:  # fmt: skip
            answer = client.call(method, f"/jobs/{job}{path}")
            assert answer.status_code == 404
            assert answer.json()["code"] in ("unknown_job", "not_found")


def test_queued_job_is_cancelled_at_once_and_for_good(served: tuple[Client, Services]) -> None:
    client, services = served
    job = client.submit("/jobs", plain_request(client))
    problem(client.post(f"/jobs/{job}/finish"), 409, "cannot_finish")
    problem(client.call("DELETE", f"/jobs/{job}"), 409, "busy")
    assert client.post(f"/jobs/{job}/cancel").status_code == 202
    assert client.job(job)["state"] == "cancelled"
    assert client.post(f"/jobs/{job}/cancel").status_code == 200
    assert [event["data"]["state"] for event in client.follow(job)] == ["queued", "cancelled"]
    assert services.store.claim() is None


def test_finished_job_stays_succeeded(served: tuple[Client, Services]) -> None:
    client, services = served
    job = client.submit("/jobs", plain_request(client))
    succeed(services, {})
    for action in ("cancel", "finish"):
        answer = client.post(f"/jobs/{job}/{action}")
        assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    found = client.job(job)
    assert found["notes"] == ["The inside was not seen."]
    assert found["stats"] == {"vertices": 3}
    assert found["progress"] == 1


def test_jobs_are_listed_page_by_page(served: tuple[Client, Services]) -> None:
    client, services = served
    request = plain_request(client)
    jobs = [client.submit("/jobs", request) for _ in range(5)]
    succeed(services, {})
    first = client.get("/jobs", params={"limit": 3}).json()
    rest = client.get("/jobs", params={"limit": 3, "cursor": first["next"]}).json()
    assert [job["id"] for job in first["items"] + rest["items"]] == jobs[::-1]
    assert rest["next"] is None
    assert [job["id"] for job in client.get("/jobs", params={"state": "succeeded"}).json()["items"]] == jobs[:1]
    assert [client.job(job)["position"] for job in jobs] == [None, 0, 1, 2, 3]
    for query in ({"limit": 0}, {"limit": "x"}, {"state": "done"}, {"cursor": -1}, {"path": "x"}):
        problem(client.get("/jobs", params=query), 422, "invalid_request")


def test_events_wake_who_waits_and_can_be_resumed(served: tuple[Client, Services]) -> None:
    client, services = served
    job = client.submit("/jobs", plain_request(client))
    first = client.get(f"/jobs/{job}/events", params={"wait": 20}).json()
    assert first["state"] == "queued"

    threading.Timer(
        0.2, lambda: services.events.add(job, "progress", stage="fuse", progress=0.5, done=1, total=2)
    ).start()
    second = client.get(f"/jobs/{job}/events", params={"after": first["last_seq"], "wait": 20}).json()
    (event,) = second["events"]
    assert set(event) == {"seq", "t", "stage", "progress", "message_code", "data"}
    assert event["seq"] == second["last_seq"] > first["last_seq"]
    assert (event["stage"], event["progress"], event["data"]) == ("fuse", 0.5, {"done": 1, "total": 2})
    everything = client.get(f"/jobs/{job}/events").json()
    assert everything["events"] == first["events"] + second["events"]
    empty = client.get(f"/jobs/{job}/events", params={"after": second["last_seq"], "wait": 0.05}).json()
    assert (empty["events"], empty["last_seq"]) == ([], second["last_seq"])
    for query in ({"wait": 21}, {"wait": "nan"}, {"wait": -1}, {"after": -1}, {"after": "x"}):
        problem(client.get(f"/jobs/{job}/events", params=query), 422, "invalid_request")


def test_events_number_on_after_a_restart(tmp_path: Path) -> None:
    with front(tmp_path / "home") as (client, _):
        job = client.submit("/jobs", plain_request(client))
        last = client.get(f"/jobs/{job}/events").json()["last_seq"]
    with front(tmp_path / "home") as (client, _):
        (event,) = client.get(f"/jobs/{job}/events", params={"after": last}).json()["events"]
        assert event["seq"] > last
        assert event["data"]["state"] == "queued"


def test_waiting_clients_never_starve_the_others(served: tuple[Client, Services]) -> None:
    client, services = served
    job = client.submit("/jobs", plain_request(client))
    last = client.get(f"/jobs/{job}/events").json()["last_seq"]

    def poll(_index: int) -> int:
        mine = Client(client.port, client.token)
        with mine.session:
            return mine.get(f"/jobs/{job}/events", params={"after": last, "wait": 20}).status_code

    with ThreadPoolExecutor(2 * MAX_WAITERS) as pool:
        polls = [pool.submit(poll, index) for index in range(2 * MAX_WAITERS)]
        while sum(future.done() for future in polls) < MAX_WAITERS:
            assert client.get("/server", timeout=2).status_code == 200
        services.events.add(job, "progress", progress=0.1)
        statuses = sorted(future.result() for future in polls)
    assert statuses == [200] * MAX_WAITERS + [503] * MAX_WAITERS


# --- results --------------------------------------------------------------------------------------------------------


def test_artifacts_come_whole_in_parts_or_not_again(served: tuple[Client, Services]) -> None:
    client, services = served
    data = random.Random(3).randbytes(300_000)
    job = client.submit("/jobs", plain_request(client))
    problem(client.get(f"/jobs/{job}/artifacts/mesh.npz"), 404, "unknown_artifact")
    succeed(services, {"mesh.npz": data})
    path = f"/jobs/{job}/artifacts/mesh.npz"
    whole = client.get(path)
    etag = whole.headers["ETag"]
    assert whole.content == data
    assert etag == f'"{hashlib.sha256(data).hexdigest()}"'
    part = client.get(path, headers={"Range": "bytes=100000-", "If-Range": etag})
    assert (part.status_code, part.content) == (206, data[100_000:])
    assert part.headers["ETag"] == etag
    assert part.headers["Content-Range"] == "bytes 100000-299999/300000"
    assert client.get(path, headers={"Range": "bytes=5-", "If-Range": '"other"'}).status_code == 200
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    beyond = client.get(path, headers={"Range": "bytes=300000-"})
    problem(beyond, 416, "range_not_satisfiable")
    assert beyond.headers["Content-Range"] == "bytes */300000"
    for name in ("colors.npz", "..%2Fmesh.npz", "..", "state", "%2e%2e%2fa1%2fmesh.npz", "mesh.npz%00"):
        assert client.get(f"/jobs/{job}/artifacts/{name}").status_code == 404


def test_deleted_job_is_gone_for_good(served: tuple[Client, Services]) -> None:
    client, services = served
    job = client.submit("/jobs", plain_request(client), "key")
    succeed(services, {"mesh.npz": b"x"})
    child = client.submit(f"/jobs/{job}/refine", {"steps": 2})
    problem(client.call("DELETE", f"/jobs/{job}"), 409, "busy")
    client.post(f"/jobs/{child}/cancel")
    assert client.call("DELETE", f"/jobs/{job}").status_code == 204
    for answer in (client.get(f"/jobs/{job}"), client.get(f"/jobs/{job}/artifacts/mesh.npz"),
                   client.post(f"/jobs/{job}/refine", {}), client.call("DELETE", f"/jobs/{job}")):  # fmt: skip
        problem(answer, 410, "purged")
    assert not (services.settings.jobs / job).exists()
    assert job not in [entry["id"] for entry in client.get("/jobs").json()["items"]]


def test_children_need_a_parent_that_succeeded(served: tuple[Client, Services]) -> None:
    client, services = served
    parent = client.submit("/jobs", plain_request(client))
    points = client.put_blob(b"points")
    problem(client.post(f"/jobs/{parent}/refine", {"steps": 2}), 409, "not_succeeded")
    problem(client.post(f"/jobs/{parent}/recolour", {"points_blob": points}), 409, "not_succeeded")
    succeed(services, {})
    child = client.job(client.submit(f"/jobs/{parent}/refine", {"steps": 2}))
    assert (child["task"], child["parent"], child["model"]) == ("refine", parent, "fit")
    problem(client.post(f"/jobs/{parent}/refine", {"steps": 0}), 422, "invalid_request")
    problem(client.post(f"/jobs/{parent}/recolour", {"points_blob": "0" * 64}), 409, "missing_blobs")
    masks = client.submit("/masks", {"images": [{"blob": points}]})
    services.store.claim()
    services.store.claim()
    services.store.succeed(masks, [], [], {})
    problem(client.post(f"/jobs/{masks}/refine", {}), 422, "bad_input")


# --- the server itself ----------------------------------------------------------------------------------------------


def test_leases_are_counted(served: tuple[Client, Services]) -> None:
    client, services = served
    ids = ["123e4567-e89b-12d3-a456-42661417400" + digit for digit in "01"]
    for _ in range(2):
        for name in ids:
            assert client.call("PUT", f"/clients/{name}").status_code == 204
    assert client.get("/server").json()["clients"] == 2
    problem(client.post("/server/shutdown", {}), 409, "busy")
    assert client.call("DELETE", f"/clients/{ids[0]}").status_code == 204
    assert client.call("DELETE", f"/clients/{ids[0]}").status_code == 204
    assert client.call("PUT", "/clients/me").status_code == 404
    client.submit("/jobs", plain_request(client))
    problem(client.post("/server/unload"), 409, "busy")
    assert problem(client.post("/server/shutdown", {}), 409, "busy")["jobs"] == 1
    problem(client.post("/server/shutdown", {"force": "yes"}), 422, "invalid_request")
    assert client.post("/server/shutdown", {"force": True}).status_code == 202
    assert services.lifetime.stopping.is_set()


def test_openapi_names_every_route_and_body(shared: tuple[Client, Services]) -> None:
    client, services = shared
    app = create_app(services)
    found = client.get("/openapi.json").json()
    assert found == json.loads(json.dumps(document(app, "/api/v1")))
    operations = {(path, method) for path, methods in found["paths"].items() for method in methods}
    rules = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix("/api/v1")), method.lower())
        for rule in app.url_map.iter_rules() for method in rule.methods or ()
    }  # fmt: skip
    assert operations == rules
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(found)))
    assert references <= set(found["components"]["schemas"])
    image = found["components"]["schemas"]["Image"]
    assert image["additionalProperties"] is False
    assert set(image["properties"]) == {"blob", "camera", "mask_blob", "depth_blob", "normal_blob"}


def test_codes_of_the_core_are_codes_of_the_server() -> None:
    assert {str(code) for code in ErrorCode} <= {str(code) for code in ProblemCode}
    assert {task.value for task in Task} == {"reconstruct", "refine", "recolour", "masks"}


def test_depth_for_some_images_only_is_refused(shared: tuple[Client, Services]) -> None:
    client = shared[0]
    request = copy.deepcopy(plain_request(client))
    request["images"][0]["depth_blob"] = request["images"][0]["blob"]
    assert "Image 2 has no depth map" in problem(client.post("/jobs", request), 422, "bad_input")["detail"]
    assert len(cameras()) == 6
