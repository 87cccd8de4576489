"""The real server killed, stopped and started again around its jobs (promises R2, R8, R30, R32)."""

import signal
from pathlib import Path

from server_under_test import running, wait_until
from sphere_request import plain_request, sphere_request


def test_jobs_survive_kill_and_stop_and_no_worker_is_left(tmp_path: Path) -> None:
    home = tmp_path / "Ünï 日本 😀 a b" / "home"
    with running(home, fault="hold@fuse") as server:
        client = server.client()
        request = sphere_request(client)
        finished = client.submit("/masks", {"images": [{"blob": request["images"][0]["blob"]}]})
        client.end(finished)
        jobs = [client.submit("/jobs", {**request, "options": {"grid_resolution": 24, "seed": i}}) for i in range(4)]
        client.reach(jobs[0], "fuse")
        last = client.get(f"/jobs/{jobs[0]}/events").json()["last_seq"]
        client.session.close()
        worker = server.worker()
        server.process.kill()
        server.wait()
        wait_until(lambda: not worker.is_running(), "the worker follows its server")

    with running(home, fault="hold@fuse") as server:
        client = server.client()
        assert [job["id"] for job in client.get("/jobs").json()["items"]] == [*jobs[::-1], finished]
        assert client.get(f"/jobs/{finished}/artifacts/mask_000.png").status_code == 200
        news = client.get(f"/jobs/{jobs[0]}/events", params={"after": last, "wait": 20}).json()["events"]
        assert news[0]["seq"] > last
        client.reach(jobs[0], "fuse")
        assert client.job(jobs[0])["attempt"] == 2
        client.session.close()
        worker = server.worker()
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not worker.is_running()
        assert not (home / "server.json").exists()

    with running(home) as server:
        client = server.client()
        ends = [client.end(job) for job in jobs]
        assert [job["state"] for job in ends] == ["succeeded"] * 4
        # The kill cost an attempt, the orderly stop did not.
        assert [job["attempt"] for job in ends] == [2, 1, 1, 1]
        assert [job["started"] for job in ends] == sorted(job["started"] for job in ends)
        client.session.close()


def test_worker_inside_a_c_call_dies_with_its_server(tmp_path: Path) -> None:
    with running(tmp_path / "home", fault="lock@boot") as server:
        client = server.client()
        queued = client.submit("/jobs", plain_request(client))
        assert client.job(queued)["state"] == "queued"
        client.session.close()
        worker = server.worker()
        server.process.kill()
        server.wait()
        wait_until(lambda: not worker.is_running(), "the worker follows its server")
