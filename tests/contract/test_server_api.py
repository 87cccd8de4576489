"""What a front without its worker tells of jobs, events, results and itself."""

import hashlib
import json
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server_under_test import Client, front, problem
from sphere_request import plain_request

from gtr_core.errors import ErrorCode
from gtr_server.app import create_app
from gtr_server.job import Artifact, Job, Task
from gtr_server.limits import MAX_WAITERS
from gtr_server.openapi import document
from gtr_server.outcomes import job_folder
from gtr_server.problems import ProblemCode
from gtr_server.services import Services


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
            assert client.get("/server").status_code == 200
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
