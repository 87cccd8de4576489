"""Requests that must be refused, with the place at fault: cameras, fields, JSON, noise."""

import copy
import json
import math
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from server_under_test import Client, problem
from sphere_request import cameras, plain_request

from gtr_server.services import Services


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
        data = bytearray(good if numbers.random() < 0.8 else numbers.randbytes(numbers.randrange(1, 200)))
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


def test_depth_for_some_images_only_is_refused(shared: tuple[Client, Services]) -> None:
    client = shared[0]
    request = copy.deepcopy(plain_request(client))
    request["images"][0]["depth_blob"] = request["images"][0]["blob"]
    assert "Image 2 has no depth map" in problem(client.post("/jobs", request), 422, "bad_input")["detail"]
    assert len(cameras()) == 6
