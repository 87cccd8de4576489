"""The worker thread: every request ends with one event, whatever the server does."""

import io
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from fake_gtr_server import FakeJob, FakeServer, finish_at_once, npz, results_of, tetrahedron
from job_events import PATIENCE, collect, of, to_end, wait_for

from blender_addon import client, jobs, server_process
from blender_addon.job import follow as job_follow
from blender_addon.jobs import JobRunner
from blender_addon.link import api, transport
from blender_addon.server_process import home_folder, read_state
from blender_addon.values import (
    Background,
    Cancelled,
    CapturedView,
    ColorsReady,
    Failed,
    Finished,
    Lost,
    MasksReady,
    MeshReady,
    PreviewMesh,
    Progress,
    ReconstructOptions,
    RefineOptions,
    ServerLine,
    ServerSettings,
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GTR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GTR_PYTHON", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(api, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(job_follow, "_RETRY_SECONDS", (0.05,))
    # No test may depend on how quickly an answer comes; what must not be waited for takes for ever.
    monkeypatch.setattr(job_follow, "POLL_SECONDS", 1000)
    monkeypatch.setattr(job_follow, "SILENCE_SECONDS", 1000.0)
    for name in ("READ_SECONDS", "FAREWELL_SECONDS"):
        monkeypatch.setattr(transport, name, 1000.0)
    monkeypatch.setattr(client, "READ_SECONDS", 1000.0)
    monkeypatch.setattr(api, "PROOF_SECONDS", PATIENCE)
    return tmp_path / "home"


@pytest.fixture
def fake(home):
    server = FakeServer()
    server.write_state(home / "server.json")
    yield server
    server.close()


@pytest.fixture
def runner():
    made = JobRunner(ServerSettings())
    yield made
    assert made.shutdown(PATIENCE)


def polling(fake: FakeServer):
    """Whether a long poll waits at the server: it is a thousand seconds long."""
    return lambda: fake.open_polls


def views(count: int = 4) -> list[CapturedView]:
    eye = [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]
    k = [[100.0, 0, 8], [0, 100, 8], [0, 0, 1]]
    return [CapturedView(f"View {i}", b"png%d" % i, k, eye, b"depth%d" % i, None, b"mask%d" % i) for i in range(count)]


def test_reconstruction_with_refinement(fake, runner) -> None:
    def play(job: FakeJob) -> None:
        job.artifacts = results_of(job)
        if job.task == "refine":
            job.preview = ("colors", npz(colors=np.full((4, 3), 150, np.uint8)))
            job.tell("texture", done=21, total=50)
            job.tell("texture", "preview", step=21)
        else:
            job.preview = ("mesh", npz(**tetrahedron(7)))
            job.tell("hull", done=1, total=1)
            job.tell("hull", "preview", kind="mesh")
        job.ends_when_shown = True

    fake.on_job = play
    handle = runner.submit_reconstruct(views(), ReconstructOptions(seed=3), RefineOptions(steps=50))
    assert runner.active == {handle}
    events = to_end(runner, handle)

    kinds = [type(event).__name__ for event in events]
    assert kinds.index("PreviewMesh") < kinds.index("MeshReady") < kinds.index("ColorsReady") < kinds.index("Finished")
    (preview,) = of(PreviewMesh, events)
    assert (preview.mesh.colors == 7).all()
    (mesh,) = of(MeshReady, events)
    np.testing.assert_array_equal(mesh.mesh.vertices, tetrahedron()["vertices"])
    assert (mesh.notes, mesh.refining) == (("a note",), True)
    live, final = of(ColorsReady, events)
    assert ((live.colors == 150).all(), live.step, live.final) == (True, 21, False)
    assert ((final.colors == 200).all(), final.step, final.final) == (True, 50, True)
    assert final.job_id != mesh.job_id
    assert "Refine 21/50" in [event.text for event in of(Progress, events)]
    assert runner.active == frozenset()

    parent, child = fake.jobs.values()
    assert parent.body["options"]["seed"] == 3
    assert parent.body["model"] == "fit"
    image = parent.body["images"][2]
    assert {name: fake.blobs[image[name]] for name in ("blob", "depth_blob", "mask_blob")} == {
        "blob": b"png2",
        "depth_blob": b"depth2",
        "mask_blob": b"mask2",
    }
    assert "normal_blob" not in image
    assert image["camera"]["convention"] == "opencv"
    assert (child.parent, child.body["steps"]) == (parent.id, 50)


def test_waiting_and_restarts_are_told(fake, runner) -> None:
    def play(job: FakeJob) -> None:
        place = f"/jobs/{job.id}"

        def queued(handler) -> None:
            fake.overrides[place] = position
            handler.answer(200, {"events": [], "state": "queued", "last_seq": 0})

        def position(handler) -> None:
            fake.overrides.clear()
            handler.answer(200, {"state": "queued", "position": 2})

        fake.overrides[f"{place}/events"] = queued
        finish_at_once(job)
        job.tell("wait", "requeued", attempt=2)

    fake.on_job = play
    events = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))
    texts = [event.text for event in of(Progress, events)]
    assert "Wait (2 before this)" in texts
    assert "Model process restarted" in texts
    assert isinstance(events[-1], Finished)


def test_refine_recolour_and_masks(fake, runner) -> None:
    parent = runner.submit_reconstruct(views(), ReconstructOptions())
    job_id = of(MeshReady, to_end(runner, parent))[0].job_id
    final = of(ColorsReady, to_end(runner, runner.submit_refine(job_id, RefineOptions(views=(0, 2)))))[-1]
    assert final.final
    assert fake.jobs[final.job_id].body["views"] == [0, 2]

    points = np.arange(12, dtype=np.float32).reshape(4, 3)
    recolour = of(ColorsReady, to_end(runner, runner.submit_recolour(job_id, points)))[0]
    assert (recolour.final, len(recolour.colors)) == (True, 4)
    sent = fake.blobs[fake.jobs[recolour.job_id].body["points_blob"]]
    np.testing.assert_array_equal(np.load(io.BytesIO(sent)), points)

    events = to_end(runner, runner.submit_masks([b"one", b"two"], Background("key", (1, 1, 1), 0.2)))
    (masks,) = of(MasksReady, events)
    assert len(masks.masks) == 2
    body = next(job.body for job in fake.jobs.values() if job.task == "masks")
    assert body["background"] == {"mode": "key", "color": [1, 1, 1], "tolerance": 0.2}


def test_blobs_that_were_thrown_away_are_sent_again(fake, runner) -> None:
    fake.overrides["/jobs"] = lambda h: (fake.overrides.clear(), fake.blobs.clear(), h._route(["jobs"]))
    assert isinstance(to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1], Finished)
    assert len(fake.blobs) == 12


def test_nothing_is_sent_twice(fake, runner) -> None:
    for _ in range(2):
        to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))
    assert sum(method == "PUT" and "/blobs/" in path for method, path, _ in fake.requests) == 12
    assert len(fake.jobs) == 2, "two clicks are two jobs"


def test_cancel_while_the_server_works(fake, runner) -> None:
    fake.on_job = lambda job: None
    handle = runner.submit_reconstruct(views(), ReconstructOptions())
    wait_for(polling(fake))
    runner.cancel(handle)
    assert isinstance(to_end(runner, handle)[-1], Cancelled)
    assert fake.open_polls_at("POST", "/cancel") == [1], "the poll was not waited for"
    assert [job.state for job in fake.jobs.values()] == ["cancelled"]


def test_cancel_before_its_turn(fake, runner) -> None:
    fake.on_job = lambda job: None
    first = runner.submit_reconstruct(views(), ReconstructOptions())
    second = runner.submit_reconstruct(views(), ReconstructOptions())
    runner.cancel(second)
    wait_for(lambda: fake.jobs)
    runner.cancel(first)
    events = to_end(runner, second)
    assert [event.handle for event in of(Cancelled, events)] == [first, second]
    assert len(fake.jobs) == 1


def test_cancel_while_the_server_starts(home, runner, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(server_process, "START_SECONDS", 1000.0)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n: > '{tmp_path}/begun'\nexec /bin/sleep 900\n")
    python.chmod(0o755)
    runner.configure(ServerSettings(python=str(python)))
    handle = runner.submit_reconstruct(views(), ReconstructOptions())
    collect(runner, lambda e: isinstance(e, ServerLine) and e.state == "starting")
    wait_for((tmp_path / "begun").exists)
    runner.cancel(handle)
    assert isinstance(to_end(runner, handle)[-1], Cancelled), "while the server starts still"
    runner.stop_server()
    assert collect(runner, lambda e: isinstance(e, ServerLine) and e.state == "stopped")


def test_cancel_while_the_server_is_too_busy(fake, runner, monkeypatch) -> None:
    monkeypatch.setattr(api, "_LONGEST_WAIT", 1000.0)
    fake.overrides["/jobs"] = lambda h: h.answer(429, {"code": "queue_full"}, {"Retry-After": "1000"})
    handle = runner.submit_reconstruct(views(), ReconstructOptions())
    wait_for(lambda: fake.asked("POST", "/jobs"))
    runner.cancel(handle)
    assert isinstance(to_end(runner, handle)[-1], Cancelled)
    assert fake.asked("POST", "/jobs") == 1, "the pause was not waited for"


def test_cancel_while_contact_is_lost(fake, runner) -> None:
    fake.on_job = lambda job: None
    handle = runner.submit_reconstruct(views(), ReconstructOptions())
    wait_for(polling(fake))
    fake.close()
    collect(runner, lambda e: isinstance(e, Lost))
    runner.cancel(handle)
    assert isinstance(to_end(runner, handle)[-1], Cancelled)


SERVE = """
import sys, os, pathlib, time
sys.path[:0] = [{folder!r}]
from fake_gtr_server import FakeServer
server = FakeServer()
server.on_job = lambda job: None
server.on_shutdown = lambda: os._exit(0)
parent = os.getppid()
server.write_state(pathlib.Path(os.environ["GTR_HOME"]) / "server.json", pid=os.getpid())
while os.getppid() == parent:
    time.sleep(0.1)
"""


def test_own_server_stopped_or_killed_while_it_works(home, runner, tmp_path) -> None:
    script, python = tmp_path / "serve.py", tmp_path / "python"
    script.write_text(SERVE.format(folder=str(Path(__file__).parent)))
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
    python.chmod(0o755)
    runner.configure(ServerSettings(python=str(python)))
    for end in (runner.stop_server, lambda: os.kill(read_state(home / "server.json").pid, signal.SIGKILL)):
        handle = runner.submit_reconstruct(views(), ReconstructOptions())
        wait_for(lambda handle=handle: runner.jobs_of(handle)[1])
        end()
        failed = to_end(runner, handle)[-1]
        # Known to be gone: nobody waits for the end of the silence.
        assert (failed.code, failed.fix) == ("server_stopped", "resubmit")


def test_server_that_dies_while_views_are_sent(fake, runner) -> None:
    fake.overrides["/blobs"] = lambda h: fake._http.cut_all() if fake.blobs else h._route(["blobs", h.path[-64:]])
    fake.overrides["/jobs"] = lambda h: None
    events = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))
    assert events[-1].code == "server_stopped"


def test_stop_refining_keeps_the_colors(fake, runner) -> None:
    def play(job: FakeJob) -> None:
        job.artifacts = results_of(job)
        if job.task == "reconstruct":
            job.end("succeeded")

    fake.on_job = play
    handle = runner.submit_reconstruct(views(), ReconstructOptions(), RefineOptions())
    wait_for(lambda: any(job.task == "refine" for job in fake.jobs.values()))
    runner.finish(handle)
    events = to_end(runner, handle)
    assert of(ColorsReady, events)[-1].final
    assert events[-1].stopped_early


def test_failure_of_a_job_names_the_image(fake, runner) -> None:
    error = {"code": "empty_mask", "detail": "Nothing is left of image 2.", "hint": "Change the key colour.", "view": 1}
    fake.on_job = lambda job: job.end("failed", error)
    failed = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.view, failed.fix) == ("empty_mask", 1, "show_mask")
    assert failed.text == "View 1: Nothing is left of image 2. Change the key colour."
    assert not failed.mesh_kept


def test_failed_refinement_keeps_the_mesh_and_runs_alone_next_time(fake, runner) -> None:
    def play(job: FakeJob) -> None:
        if job.task == "reconstruct" or len(fake.jobs) > 2:
            finish_at_once(job)
        else:
            job.end("failed", {"code": "out_of_memory", "detail": "Out of memory: 9 GB needed."})

    fake.on_job = play
    handle = runner.submit_reconstruct(views(), ReconstructOptions(), RefineOptions())
    failed = to_end(runner, handle)[-1]
    assert (failed.code, failed.mesh_kept) == ("out_of_memory", True)
    events = to_end(runner, runner.resubmit(handle))
    assert isinstance(events[-1], Finished)
    assert not of(MeshReady, events)
    assert [job.task for job in fake.jobs.values()] == ["reconstruct", "refine", "refine"]


def test_server_that_dies_in_the_middle(fake, runner, monkeypatch) -> None:
    monkeypatch.setattr(job_follow, "SILENCE_SECONDS", 3.6)
    fake.on_job = lambda job: None
    handle = runner.submit_reconstruct(views(), ReconstructOptions())
    wait_for(polling(fake))
    fake.close()
    events = to_end(runner, handle)
    assert of(Lost, events)
    assert (events[-1].code, events[-1].fix) == ("server_stopped", "resubmit")
    assert runner.can_resubmit(handle)
    assert of(ServerLine, events)[-1].state == "off"

    again = FakeServer()
    again.keys, again.jobs, again.blobs = fake.keys, fake.jobs, fake.blobs
    again.write_state(home_folder() / "server.json")
    for job in fake.jobs.values():
        finish_at_once(job)
    last = to_end(runner, runner.resubmit(handle))[-1]
    again.close()
    assert isinstance(last, Finished)
    assert len(again.jobs) == 1, "the job that the server still had was taken up again"


def test_server_that_is_replaced_in_the_middle(fake, runner) -> None:
    fake.on_job = lambda job: None
    handle = runner.submit_reconstruct(views(), ReconstructOptions())
    wait_for(polling(fake))
    after = FakeServer(token="another key")
    after.jobs, after.keys = fake.jobs, fake.keys
    after.write_state(home_folder() / "server.json")
    fake.close()
    collect(runner, lambda e: isinstance(e, Lost))
    for job in after.jobs.values():
        finish_at_once(job)
    assert isinstance(to_end(runner, handle)[-1], Finished)
    after.close()


def test_server_that_falls_silent(fake, runner, monkeypatch) -> None:
    monkeypatch.setattr(job_follow, "SILENCE_SECONDS", 1.5)
    monkeypatch.setattr(job_follow, "PROOF_SECONDS", 0.3)
    monkeypatch.setattr(job_follow, "POLL_SECONDS", -4.5)  # with its margin of 5 s: half a second
    silence = threading.Event()

    def play(job: FakeJob) -> None:
        monkeypatch.setattr(api, "PROOF_SECONDS", 0.3)
        fake.overrides["/"] = lambda h: silence.wait(2 * PATIENCE)

    fake.on_job = play
    handle = runner.submit_reconstruct(views(), ReconstructOptions())
    events = to_end(runner, handle)
    silence.set()
    assert of(Lost, events)
    assert events[-1].code == "no_response"
    assert [action for _, action in events[-1].buttons] == ["resubmit", "restart_server"]


@pytest.mark.parametrize(
    "mesh",
    [
        b"<html>",
        npz(**{**tetrahedron(), "faces": np.array([[0, 1, 9]], np.int32)}),
        npz(**{**tetrahedron(), "vertices": np.full((4, 3), np.nan, np.float32)}),
    ],
)
def test_unusable_results_are_a_failure_and_no_crash(fake, runner, mesh: bytes) -> None:
    def play(job: FakeJob) -> None:
        job.artifacts = {"mesh.npz": mesh}
        job.end("succeeded")

    fake.on_job = play
    failed = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1]
    assert (failed.code, failed.button) == ("bad_reply", "Copy Details")
    fake.on_job = finish_at_once
    assert isinstance(to_end(runner, runner.resubmit(failed.handle))[-1], Finished)


def test_colors_of_another_mesh_are_refused(fake, runner) -> None:
    def play(job: FakeJob) -> None:
        job.artifacts = {**results_of(job), "colors.npz": npz(colors=np.zeros((5, 3), np.uint8))}
        job.end("succeeded")

    fake.on_job = play
    failed = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions(), RefineOptions()))[-1]
    assert (failed.code, failed.mesh_kept) == ("bad_reply", True)


def test_unexpected_errors_end_at_the_boundary(fake, runner, monkeypatch) -> None:
    monkeypatch.setattr("blender_addon.job.flow.read_mesh", lambda data: 1 / 0)
    failed = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1]
    assert failed.code == "internal"
    assert "ZeroDivisionError" in failed.details
    monkeypatch.undo()


def test_no_server_software(runner) -> None:
    events = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))
    assert (events[-1].code, events[-1].button, events[-1].fix) == (
        "server_not_installed",
        "Choose Python",
        "choose_python",
    )
    assert of(ServerLine, events)[-1].code == "server_not_installed"


def test_missing_packages_are_one_sentence(fake, runner, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    events = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))
    assert events[-1].code == "missing_packages"
    assert of(ServerLine, events)[-1].code == "missing_packages"


def test_server_line(fake, runner) -> None:
    runner.check_server()
    line = collect(runner, lambda e: isinstance(e, ServerLine))[-1]
    assert (line.state, line.text, line.free_bytes, line.managed) == (
        "ready",
        "Ready · cpu · 8 GB free",
        8 << 30,
        False,
    )
    assert len(fake.leases) == 1
    runner.stop_server()
    line = collect(runner, lambda e: isinstance(e, ServerLine))[-1]
    assert line.state == "off", "not ours: only let go"
    assert fake.asked("POST", "/server/shutdown") == 0
    wait_for(lambda: not fake.leases)


def test_controls_overtake_a_running_job(fake, runner) -> None:
    fake.on_job = lambda job: None
    runner.submit_reconstruct(views(), ReconstructOptions())
    wait_for(polling(fake))
    runner.restart_worker()
    wait_for(lambda: fake.asked("POST", "/restart-worker"))
    assert fake.open_polls_at("POST", "/restart-worker") == [1], "the poll was not waited for"


@pytest.mark.parametrize("busy", [False, True])
def test_shutdown_waits_for_nothing_and_leaves_the_job_alone(fake, busy: bool, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "HEARTBEAT_SECONDS", 1000.0)
    runner = JobRunner(ServerSettings())
    fake.on_job = lambda job: None
    runner.check_server()
    collect(runner, lambda e: isinstance(e, ServerLine))
    (lease,) = fake.leases
    if busy:
        runner.submit_reconstruct(views(), ReconstructOptions())
        wait_for(polling(fake))
    assert runner.shutdown(PATIENCE)
    assert not fake.leases, "released"
    assert fake.open_polls_at("DELETE", lease) == [int(busy)], "the poll was not waited for"
    assert fake.asked("POST", "/cancel") == 0
    with pytest.raises(RuntimeError, match="shut down"):
        runner.check_server()


def test_attached_server(fake, home, runner) -> None:
    key = fake.write_state(home / "elsewhere.json")
    (home / "server.json").unlink()
    runner.configure(ServerSettings(mode="ATTACHED", url=f"localhost:{fake.port}/", state_file=str(key)))
    assert isinstance(to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1], Finished)
    runner.configure(ServerSettings(mode="ATTACHED", url=f"localhost:{fake.port}", state_file=str(home / "none")))
    assert to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1].code == "auth"


@pytest.mark.parametrize("mode", ["MANAGED", "ATTACHED"])
def test_stranger_on_the_port_of_the_state_file(fake, runner, mode: str) -> None:
    """A killed server left its file; another user's program has the port now and wants our key."""
    key, fake.token = fake.token, "a guess"
    runner.configure(ServerSettings(mode=mode, url=f"127.0.0.1:{fake.port}"))
    failed = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1]
    # Managed: we would start our own server. Attached: there is nothing else to do but say so.
    assert failed.code == {"MANAGED": "server_not_installed", "ATTACHED": "auth"}[mode]
    assert fake.requests
    assert key.encode() not in fake.raw


def test_other_program_at_the_attached_address(fake, runner) -> None:
    fake.overrides["/"] = lambda h: h.answer(404, b"<html>gradio</html>")
    runner.configure(ServerSettings(mode="ATTACHED", url=f"127.0.0.1:{fake.port}"))
    failed = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1]
    assert failed.text == f"Port {fake.port} answers, but it is not GTR (looks like gradio)."
    assert (failed.code, failed.fix) == ("not_gtr", "use_another_port")


def test_server_of_another_time(fake, runner) -> None:
    fake.api = {"min": "2.0", "max": "2.4"}
    failed = to_end(runner, runner.submit_reconstruct(views(), ReconstructOptions()))[-1]
    assert (failed.code, failed.fix) == ("incompatible", "restart_server")
    assert "2.0 to 2.4" in failed.text


def test_old_requests_are_forgotten(fake, runner) -> None:
    handles = [runner.submit_reconstruct(views(), ReconstructOptions()) for _ in range(10)]
    to_end(runner, handles[-1])
    assert not runner.can_resubmit(handles[0])
    assert runner.can_resubmit(handles[-1])
