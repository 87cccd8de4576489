"""Jobs through the real server and its real worker with the preset fit: results, bad input, cancel, finish."""

import copy
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from server_under_test import Client, RealServer, problem, read_npz, running, wait_until
from sphere_request import RADIUS, SIZE, npy, png, sphere_request

from gtr_core.progress import STAGES


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with running(tmp_path_factory.mktemp("jobs") / "home", "--idle-timeout", "inf") as server:
        yield server


@pytest.fixture
def client(server: RealServer) -> Iterator[Client]:
    server.set_fault("")
    server.release.unlink(missing_ok=True)
    client = server.client()
    with client.session:
        yield client


@pytest.fixture(scope="module")
def parent(server: RealServer) -> str:
    """A sphere, reconstructed from depth."""
    client = server.client()
    with client.session:
        return client.submit("/jobs", sphere_request(client), "parent")


def artifact(client: Client, job: str, name: str) -> bytes:
    answer = client.get(f"/jobs/{job}/artifacts/{name}")
    assert answer.status_code == 200, answer.text
    return answer.content


def test_sphere_comes_back_as_a_mesh_in_every_form(client: Client, parent: str) -> None:
    events = client.follow(parent)
    job = client.job(parent)
    assert job["state"] == "succeeded", job
    numbers = [event["seq"] for event in events]
    shares = [event["progress"] for event in events]
    assert numbers == sorted(set(numbers))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert {event["stage"] for event in events} <= {*STAGES, "wait", "load", "save"}
    assert {entry["name"] for entry in job["artifacts"]} == {
        "mesh.npz", "mesh.glb", "mesh.ply", "mesh.obj", "colors.npz", "log.json",
    }  # fmt: skip
    mesh = read_npz(artifact(client, parent, "mesh.npz"))
    vertices, faces, colors = mesh["vertices"], mesh["faces"], mesh["colors"]
    assert {name: array.dtype for name, array in mesh.items()} == {
        "vertices": np.float32, "faces": np.int32, "colors": np.uint8,
    }  # fmt: skip
    assert (len(vertices), len(faces)) == (job["stats"]["vertices"], job["stats"]["faces"])
    assert 0 <= faces.min() <= faces.max() < len(vertices)
    radii = np.linalg.norm(vertices, axis=1)
    assert abs(np.median(radii) - RADIUS) < 0.005
    # Outward faces: the signed volume is the sphere's.
    a, b, c = vertices[faces].transpose(1, 0, 2)
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert abs(volume / (4 / 3 * np.pi * RADIUS**3) - 1) < 0.05
    # The colour of the test sphere is its normal.
    assert np.median(np.abs(colors / 255 - (vertices / radii[:, None] * 0.5 + 0.5))) < 0.03
    assert np.array_equal(read_npz(artifact(client, parent, "colors.npz"))["colors"], colors)
    glb = artifact(client, parent, "mesh.glb")
    assert struct.unpack("<4sII", glb[:12]) == (b"glTF", 2, len(glb))
    assert artifact(client, parent, "mesh.ply").startswith(b"ply\n")
    assert b"\nv " in artifact(client, parent, "mesh.obj")
    log = json.loads(artifact(client, parent, "log.json"))
    assert log["stats"]["seconds"] == job["stats"]["seconds"]
    assert {"load", "fuse", "extract", "color", "save"} <= set(log["stats"]["seconds"])


def test_refinement_streams_colours_and_can_be_continued(client: Client, parent: str) -> None:
    client.end(parent)
    vertices = len(read_npz(artifact(client, parent, "mesh.npz"))["vertices"])
    first = client.submit(f"/jobs/{parent}/refine", {"steps": 3})
    events = client.follow(first)
    job = client.job(first)
    assert job["state"] == "succeeded", job
    assert job["parent"] == parent
    assert [event["data"]["done"] for event in events if event["stage"] == "texture"][-1] == 3
    refined = read_npz(artifact(client, first, "colors.npz"))["colors"]
    assert (refined.shape, refined.dtype) == ((vertices, 3), np.uint8)
    assert client.get(f"/jobs/{first}/preview").status_code == 204
    second = client.end(client.submit(f"/jobs/{first}/refine", {"steps": 2, "views": [0, 2], "strength": 0.5}))
    assert second["state"] == "succeeded", second
    wrong = client.end(client.submit(f"/jobs/{parent}/refine", {"steps": 2, "views": [99]}))
    assert (wrong["state"], wrong["error"]["code"]) == ("failed", "bad_input")


def test_refinement_stopped_early_keeps_its_colours(client: Client, parent: str) -> None:
    client.end(parent)
    job = client.submit(f"/jobs/{parent}/refine", {"steps": 10_000})
    shown = client.follow(job, lambda event: event["message_code"] == "preview")[-1]
    assert shown["data"]["kind"] == "colors"
    preview = client.get(f"/jobs/{job}/preview")
    assert preview.status_code == 200
    assert preview.headers["X-GTR-Preview"] == "colors"
    assert int(preview.headers["X-GTR-Step"]) >= 0
    colors = read_npz(preview.content)["colors"]
    again = client.get(f"/jobs/{job}/preview", headers={"If-None-Match": preview.headers["ETag"]})
    assert again.status_code in (200, 304)
    assert client.post(f"/jobs/{job}/finish").status_code == 202
    ended = client.end(job)
    assert ended["state"] == "succeeded", ended
    assert read_npz(artifact(client, job, "colors.npz"))["colors"].shape == colors.shape


def test_rough_shape_is_shown_before_the_long_fit_which_can_be_cancelled(client: Client, server: RealServer) -> None:
    server.set_fault("hold@fit")
    job = client.submit("/jobs", sphere_request(client, depth=False))
    shown = client.follow(job, lambda event: event["message_code"] == "preview")[-1]
    assert shown["data"]["kind"] == "mesh"
    preview = client.get(f"/jobs/{job}/preview")
    assert (preview.status_code, preview.headers["X-GTR-Preview"]) == (200, "mesh")
    mesh = read_npz(preview.content)
    assert set(mesh) == {"vertices", "faces", "colors"}
    assert np.abs(np.linalg.norm(mesh["vertices"], axis=1) - RADIUS).max() < 0.3
    server.release.touch()
    client.follow(job, lambda event: event["stage"] == "fit" and event["data"].get("done", 0) > 0)
    client.post(f"/jobs/{job}/cancel")
    assert client.end(job)["state"] == "cancelled"
    assert client.get(f"/jobs/{job}/preview").status_code == 204


def test_recolour_answers_in_the_order_of_the_points(client: Client, parent: str) -> None:
    client.end(parent)
    points = np.array([[RADIUS, 0, 0], [-RADIUS, 0, 0], [0, RADIUS, 0], [0, 0, RADIUS]], dtype=np.float32)
    job = client.end(client.submit(f"/jobs/{parent}/recolour", {"points_blob": client.put_blob(npy(points))}))
    assert job["state"] == "succeeded", job
    colors = read_npz(artifact(client, job["id"], "colors.npz"))["colors"]
    assert np.abs(colors / 255 - (points / RADIUS * 0.5 + 0.5)).max() < 0.1


@pytest.mark.parametrize(
    "data",
    [b"no array", npy([[0.0, 0.0]]), npy([[0, 0, 0]], np.float64), npy([[np.nan, 0, 0]]), npy(np.zeros((0, 3))),
     npy([[0, 0, 0]])[:-1], npy([[0, 0, 0]]) + b"x"],
)  # fmt: skip
def test_recolour_refuses_odd_arrays(client: Client, parent: str, data: bytes) -> None:
    client.end(parent)
    job = client.end(client.submit(f"/jobs/{parent}/recolour", {"points_blob": client.put_blob(data)}))
    assert (job["state"], job["error"]["code"]) == ("failed", "bad_input")


def test_masks_show_what_the_key_colour_leaves(client: Client) -> None:
    picture = np.full((40, 50, 3), (0, 200, 0))
    picture[10:30, 20:40] = (200, 50, 50)
    body = {
        "images": [{"blob": client.put_blob(png(picture))}] * 2,
        "background": {"mode": "key", "color": [0, 200 / 255, 0]},
    }
    job = client.end(client.submit("/masks", body))
    assert job["state"] == "succeeded", job
    assert [entry["name"] for entry in job["artifacts"]] == ["log.json", "mask_000.png", "mask_001.png"]
    from io import BytesIO

    from PIL import Image

    mask = Image.open(BytesIO(artifact(client, job["id"], "mask_000.png")), formats=["PNG"])
    assert mask.mode == "L"
    values = np.asarray(mask)
    assert values.shape == (40, 50)
    assert values[12:28, 22:38].min() == 255
    assert values[:8].max() == values[:, :18].max() == 0


# --- bad input ------------------------------------------------------------------------------------------------------


def spoiled(client: Client, index: int, **members: Any) -> dict[str, Any]:
    request = copy.deepcopy(sphere_request(client))
    request["images"][index].update(members)
    return request


PICTURE = np.zeros((SIZE, SIZE, 4))
BAD = {
    "image_corrupt": lambda: {"blob": b"\x89PNG\r\n\x1a\n" + b"x" * 100},
    "image_corrupt, text": lambda: {"blob": b"hello"},
    "image_format": lambda: {"blob": b"GIF89a" + b"\x01\x00\x01\x00\x00\x00\x00;"},
    "image_too_small": lambda: {"blob": png(np.full((1, 16, 4), 255))},
    "empty_mask": lambda: {"blob": png(PICTURE)},
    "no_alpha": lambda: {"blob": png(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)))},
    "empty_mask, its own": lambda: {"mask_blob": png(np.zeros((SIZE, SIZE)))},
    "bad_input, mask size": lambda: {"mask_blob": png(np.full((SIZE // 2, SIZE), 255))},
    "bad_input, depth size": lambda: {"depth_blob": npy(np.ones((8, 8)))},
    "bad_input, depth type": lambda: {"depth_blob": npy(np.ones((SIZE, SIZE)), np.float64)},
    "bad_input, depth nan": lambda: {"depth_blob": npy(np.full((SIZE, SIZE), np.nan))},
    "bad_input, depth negative": lambda: {"depth_blob": npy(np.full((SIZE, SIZE), -1.0))},
    "bad_input, depth pickle": lambda: {"depth_blob": npy([{}], object)},
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_images_fail_with_their_code_and_number(client: Client, fault: str) -> None:
    members = {name: client.put_blob(data) for name, data in BAD[fault]().items()}
    job = client.end(client.submit("/jobs", spoiled(client, 2, **members)))
    assert job["state"] == "failed"
    expected = fault.partition(",")[0]
    assert job["error"]["code"] in ({expected, "image_format"} if expected == "image_corrupt" else {expected})
    assert job["error"]["view"] == 2
    assert "mage 3" in job["error"]["detail"]
    assert job["artifacts"] == []


def test_image_bomb_is_refused_from_its_header(client: Client, server: RealServer) -> None:
    from io import BytesIO

    from PIL import Image

    stream = BytesIO()
    Image.new("1", (13000, 13000)).save(stream, format="PNG")
    before = server.ready_worker(client).memory_info().rss
    job = client.end(client.submit("/jobs", spoiled(client, 0, blob=client.put_blob(stream.getvalue()))))
    assert job["error"]["code"] == "image_too_large"
    assert server.worker().memory_info().rss - before < 100e6


# --- cancel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["load", "fuse", "extract", "color", "save"])
def test_cancel_at_every_stage_leaves_nothing(client: Client, server: RealServer, stage: str) -> None:
    server.set_fault(f"hold@{stage}")
    job = client.submit("/jobs", sphere_request(client))
    client.reach(job, stage)
    problem(client.call("DELETE", f"/jobs/{job}"), 409, "busy")
    problem(client.post(f"/jobs/{job}/finish"), 409, "cannot_finish")
    for _ in range(2):
        assert client.post(f"/jobs/{job}/cancel").status_code in (200, 202)
    ended = client.end(job)
    assert (ended["state"], ended["attempt"], ended["artifacts"]) == ("cancelled", 1, [])
    assert not (server.home / "data" / "jobs" / job).exists()
    assert client.post(f"/jobs/{job}/cancel").status_code == 200


def test_jobs_run_in_order_and_a_cancelled_one_makes_room(client: Client, server: RealServer) -> None:
    server.set_fault("hold@fuse")
    request = sphere_request(client)
    jobs = [client.submit("/jobs", request) for _ in range(3)]
    client.reach(jobs[0], "fuse")
    assert [client.job(job)["position"] for job in jobs] == [None, 1, 2]
    client.post(f"/jobs/{jobs[1]}/cancel")
    server.release.touch()
    ends = [client.end(job) for job in jobs]
    assert [job["state"] for job in ends] == ["succeeded", "cancelled", "succeeded"]
    assert ends[0]["finished"] <= ends[2]["started"]


# --- secrets and memory ---------------------------------------------------------------------------------------------


def test_token_is_in_the_state_file_and_nowhere_else(client: Client, server: RealServer, parent: str) -> None:
    client.end(parent)
    state = server.home / "server.json"
    assert state.stat().st_mode & 0o777 == 0o600
    assert server.home.stat().st_mode & 0o777 == 0o700
    for process in (psutil.Process(server.process.pid), server.worker()):
        assert client.token not in " ".join(process.cmdline())
        assert client.token not in str(process.environ())
    token = client.token.encode()
    assert token not in server.output.read_bytes()
    holders = [path for path in server.home.rglob("*") if path.is_file() and token in path.read_bytes()]
    assert holders == [state]


def test_unload_and_restart_keep_the_server_working(client: Client, server: RealServer, parent: str) -> None:
    client.end(parent)
    assert client.post("/server/unload").status_code == 202
    old = server.worker().pid
    assert client.post("/server/restart-worker").status_code == 202
    wait_until(lambda: not psutil.pid_exists(old), "the old worker is gone")
    # The result of the parent comes from disk now.
    job = client.end(client.submit(f"/jobs/{parent}/refine", {"steps": 1}))
    assert job["state"] == "succeeded", job
    found = client.get("/server").json()
    assert found["worker"] == {"state": "ready", "reason": ""}
    assert 0 < found["device"]["free"] < found["device"]["total"]


def test_front_has_no_torch_in_memory(server: RealServer, client: Client) -> None:
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    assert "torch" not in maps.read_text()
    assert "torch" in Path(f"/proc/{server.ready_worker(client).pid}/maps").read_text()
