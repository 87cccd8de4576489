"""The add-on's job process and the real server: started, used, killed in the middle, found again, stopped."""

import io
import os
import signal
import sys
from dataclasses import replace

import numpy as np
import psutil
import pytest
from job_events import PATIENCE, collect, of, to_end
from PIL import Image

from blender_addon.camera_sets import cameras
from blender_addon.job_process import JobProcess
from blender_addon.server_process import read_state
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
    Progress,
    ReconstructOptions,
    RefineOptions,
    ServerLine,
    ServerSettings,
)

SIZE, RADIUS = 48, 0.8
OPTIONS = ReconstructOptions(grid_resolution=32, background=Background("alpha"))


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array.astype(np.float32))
    return file.getvalue()


def ball_views() -> list[CapturedView]:
    """An exact picture, depth and normal map of a ball of one colour from six sides."""
    views = []
    for camera in cameras(6, SIZE, SIZE):
        w2c, k = np.array(camera.world_to_camera), np.array(camera.K)
        column, row = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
        rays = np.stack([(column - k[0, 2]) / k[0, 0], (row - k[1, 2]) / k[1, 1], np.ones_like(row)], -1)
        eye = -w2c[:3, :3].T @ w2c[:3, 3]
        direction = rays @ w2c[:3, :3]
        a, b = (direction**2).sum(-1), direction @ eye
        inside = b**2 - a * (eye @ eye - RADIUS**2)
        hit = inside > 0
        depth = np.where(hit, (-b - np.sqrt(np.maximum(inside, 0))) / a, 0)
        normal = np.where(hit[..., None], (eye + direction * depth[..., None]) / RADIUS, 0)
        rgba = np.where(hit[..., None], np.array([200, 100, 50, 255]), 0).astype(np.uint8)
        views.append(CapturedView(camera.name, png(rgba), camera.K, camera.world_to_camera, npy(depth), npy(normal)))
    return views


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One home for the module, so that one warm server serves most tests."""
    home = tmp_path_factory.mktemp("home")
    before = {name: os.environ.get(name) for name in ("GTR_HOME", "GTR_TESTING", "GTR_FAULT", "GTR_FAULT_RELEASE")}
    os.environ.update(
        GTR_HOME=str(home), GTR_TESTING="1", GTR_FAULT=f"file:{home / 'fault'}", GTR_FAULT_RELEASE=str(home / "release")
    )
    yield home
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="module")
def runner(folder):
    made = JobProcess(ServerSettings(python=sys.executable, device="cpu", stop_with_blender=True))
    made.start_server()
    line = collect(made, lambda e: isinstance(e, ServerLine) and e.state == "ready")[-1]
    assert line.managed
    yield made
    pid = server_pid(folder)
    made.stop_server()
    collect(made, lambda e: isinstance(e, ServerLine) and e.state == "stopped")
    assert made.shutdown(PATIENCE)
    assert not psutil.pid_exists(pid)


@pytest.fixture(autouse=True)
def _no_faults(folder):
    yield
    (folder / "fault").write_text("")
    (folder / "release").unlink(missing_ok=True)


def server_pid(folder) -> int:
    state = read_state(folder / "server.json")
    assert state is not None
    return state.pid


@pytest.fixture(scope="module")
def ball(runner) -> MeshReady:
    """A finished reconstruction, refined."""
    events = to_end(runner, runner.submit_reconstruct(ball_views(), OPTIONS, RefineOptions(steps=3)))
    assert isinstance(events[-1], Finished), events[-1]
    (mesh,) = of(MeshReady, events)
    final = of(ColorsReady, events)[-1]
    assert final.final
    assert np.abs(final.colors.mean(0) - (200, 100, 50)).max() < 3
    stages = [event.stage for event in of(Progress, events)]
    assert stages.index("send") < stages.index("wait") < stages.index("texture")
    assert "Refine 3/3" in [event.text for event in of(Progress, events)]
    return mesh


def test_ball_comes_back_as_a_ball(ball: MeshReady) -> None:
    radius = np.linalg.norm(ball.mesh.vertices, axis=-1)
    assert np.median(np.abs(radius - RADIUS)) < 0.03
    assert np.abs(ball.mesh.colors.astype(int).mean(0) - (200, 100, 50)).max() < 3
    assert ball.refining
    assert ball.stats["vertices"] == len(ball.mesh.vertices)


def test_recolour_keeps_the_order_of_the_points(runner, ball: MeshReady) -> None:
    points = ball.mesh.vertices[::-7].copy()
    events = to_end(runner, runner.submit_recolour(ball.job_id, points))
    assert isinstance(events[-1], Finished), events[-1]
    (colors,) = of(ColorsReady, events)
    difference = np.abs(colors.colors.astype(int) - ball.mesh.colors[::-7])
    assert np.median(difference) <= 1


def test_masks_of_images_with_a_key_colour(runner) -> None:
    picture = np.full((48, 64, 3), (0, 255, 0), np.uint8)
    picture[12:36, 16:48] = (200, 30, 30)
    events = to_end(runner, runner.submit_masks([png(picture)] * 2, Background("key", (0.0, 1.0, 0.0))))
    assert isinstance(events[-1], Finished), events[-1]
    (masks,) = of(MasksReady, events)
    mask = np.array(Image.open(io.BytesIO(masks.masks[1])))
    assert mask.shape == (48, 64)
    assert (mask[16:32, 20:44] == 255).all()
    assert mask[:8].max() == 0


def test_refinement_can_be_stopped_early(runner, ball: MeshReady) -> None:
    handle = runner.submit_refine(ball.job_id, RefineOptions(steps=10_000))
    events = collect(runner, lambda e: isinstance(e, Progress) and e.stage == "texture")
    runner.finish(handle)
    events = to_end(runner, handle)
    assert isinstance(events[-1], Finished), events[-1]
    assert events[-1].stopped_early
    assert of(ColorsReady, events)[-1].final


def test_cancel_while_it_computes(runner, folder) -> None:
    (folder / "fault").write_text("hold@extract")
    handle = runner.submit_reconstruct(ball_views(), OPTIONS)
    collect(runner, lambda e: isinstance(e, Progress) and e.stage == "extract")
    runner.cancel(handle)
    assert isinstance(to_end(runner, handle)[-1], Cancelled)


def picture(height: int, width: int, channels: int) -> dict:
    return {"png": png(np.zeros((height, width, channels), np.uint8))}


SINGULAR = {"world_to_camera": [[0.0] * 4] * 3 + [[0.0, 0.0, 0.0, 1.0]]}


@pytest.mark.parametrize(
    ("spoil", "code", "fix"),
    [
        (None, "too_few_views", "add_images"),
        ({"png": b"not an image"}, "bad_image", "remove_image"),
        (picture(1, 16, 4), "image_too_small", "remove_image"),
        (picture(SIZE, SIZE, 4), "empty_mask", "show_mask"),
        (picture(SIZE, SIZE, 3), "no_alpha", "remove_background"),
        (SINGULAR, "camera_invalid", "choose_camera_set"),
    ],
)
def test_bad_input_is_one_sentence_with_a_way_out(runner, spoil: dict | None, code: str, fix: str) -> None:
    views = [replace(view, depth_npy=None, normal_npy=None) for view in ball_views()]
    views = views[:1] if spoil is None else [*views[:5], replace(views[5], **spoil)]
    failed = to_end(runner, runner.submit_reconstruct(views, OPTIONS))[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.fix) == (code, fix), failed
    assert failed.text.count("/") == 0, "no JSON pointers, no paths"
    if spoil is not None:
        assert failed.view == 5
        assert "Bottom" in failed.text


def test_forgotten_job(runner) -> None:
    failed = to_end(runner, runner.submit_refine("job_" + "0" * 26, RefineOptions()))[-1]
    assert (failed.code, failed.fix) == ("unknown_job", "reconstruct_again")


def test_killed_server_loses_nothing(runner, folder) -> None:
    (folder / "fault").write_text("hold@extract:1")
    handle = runner.submit_reconstruct(ball_views(), OPTIONS)
    collect(runner, lambda e: isinstance(e, Progress) and e.stage == "extract")
    pid = server_pid(folder)
    os.kill(pid, signal.SIGKILL)
    events = to_end(runner, handle)
    assert (events[-1].code, events[-1].fix) == ("server_stopped", "resubmit")
    assert 1 <= len(of(Lost, events)) <= 2, "known to be gone: nobody looks for it until the silence is over"
    assert of(ServerLine, events)[-1].state == "off"
    (folder / "release").write_text("")
    again = to_end(runner, runner.resubmit(handle))
    assert isinstance(again[-1], Finished), again[-1]
    assert server_pid(folder) != pid
    assert of(MeshReady, again)[0].job_id == events[-1].job_id, "the very job that was running"


def test_second_blender_attaches_and_does_not_stop_the_server(runner, folder) -> None:
    pid = server_pid(folder)
    other = JobProcess(ServerSettings(python=sys.executable))
    try:
        other.start_server()
        line = collect(other, lambda e: isinstance(e, ServerLine) and e.state == "ready")[-1]
        assert not line.managed
        assert server_pid(folder) == pid
        other.stop_server()
        collect(other, lambda e: isinstance(e, ServerLine) and e.state == "off")
    finally:
        assert other.shutdown(PATIENCE)
    assert psutil.pid_exists(pid)
    runner.check_server()
