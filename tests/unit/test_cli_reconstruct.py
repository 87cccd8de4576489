"""``gtr reconstruct`` from the command line to the files."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trimesh
from PIL import Image

from gtr_core.cli.main import CANCELLED, OK, USER_ERROR, main
from gtr_core.data.render_dataset import render_views
from gtr_core.geometry.cameras import Cameras, camera_set
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.images import to_pil
from gtr_core.io.mesh_files import read_mesh
from gtr_core.io.views_files import write_views
from gtr_core.presets import PRESETS
from gtr_core.views import Views

SCALE, OFFSET = 20.0, torch.tensor([100.0, -30.0, 5.0])
QUICK = ["--resolution", "40", "--refine", "3"]


@pytest.fixture(scope="module")
def body() -> Mesh:
    shape = trimesh.creation.icosphere(3)
    vertices = torch.tensor(shape.vertices).float() * torch.tensor([0.8, 0.6, 0.4])
    colors = torch.where(vertices[:, :1] > 0, torch.tensor([200.0, 100.0, 50.0]), torch.tensor([20.0, 40.0, 220.0]))
    return Mesh(vertices, torch.tensor(shape.faces), colors / 255)


@pytest.fixture(scope="module")
def views(body: Mesh) -> Views:
    return render_views(body, camera_set("sphere14", height=64, width=64), supersample=2)


@pytest.fixture(scope="module")
def folder(views: Views, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("views")
    write_views(views, path)
    return path


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj"])
def test_views_become_a_coloured_mesh_and_a_picture(
    folder: Path, body: Mesh, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"mesh{suffix}"
    assert main(["reconstruct", str(folder), "-o", str(target), *QUICK]) == OK
    mesh = read_mesh(target)
    solid = trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)
    truth = trimesh.Trimesh(body.vertices.numpy(), body.faces.numpy(), process=False)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(truth.volume, rel=0.03)
    assert torch.allclose(mesh.bounds, body.bounds, atol=0.02)
    for side, color in ((1, [200, 100, 50]), (-1, [20, 40, 220])):
        chosen = side * mesh.vertices[:, 0] > 0.2
        assert (mesh.colors[chosen] * 255).median(0).values.round().tolist() == pytest.approx(color, abs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([target.name, "mesh.png"])
    with Image.open(tmp_path / "mesh.png") as picture:
        assert picture.size == (1416, 1090)
    output = capsys.readouterr()
    assert f"{len(mesh.vertices):,} vertices" in output.out
    assert "\r" not in output.err
    assert "Refining texture: 3/3" in output.err


def test_four_photos_without_alpha_or_cameras(body: Mesh, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    views = render_views(body, camera_set("orthogonal", height=96, width=96), supersample=2)
    (tmp_path / "photos").mkdir()
    for name, image in zip(["front", "right", "back", "left"], views.composite(0.9), strict=True):
        to_pil(image).save(tmp_path / "photos" / f"{name}.jpg", quality=95)
    target = tmp_path / "mesh.glb"
    assert main(["reconstruct", str(tmp_path / "photos"), "-o", str(target), *QUICK]) == OK
    mesh = read_mesh(target)
    assert trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False).is_watertight
    assert torch.allclose(mesh.bounds, body.bounds, atol=0.12)
    front = mesh.vertices[:, 2] > 0.2
    right = front & (mesh.vertices[:, 0] > 0.2)
    assert (mesh.colors[right] * 255).median(0).values.tolist() == pytest.approx([200, 100, 50], abs=8)
    output = capsys.readouterr()
    assert "Carving hull" in output.err
    assert "Note: " in output.out  # what masks cannot tell is said in words


def test_options_reach_the_result(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "mesh.ply"
    options = ["--refine", "0", "--face-limit", "200", "--resolution", "40", "--size", "48", "--no-picture"]
    assert main(["reconstruct", str(folder), "-o", str(target), "--device", "cpu", "--seed", "3", *options]) == OK
    assert 100 < len(read_mesh(target).faces) <= 200
    assert [path.name for path in tmp_path.iterdir()] == ["mesh.ply"]


def test_without_refinement_the_picture_has_no_comparison(folder: Path, tmp_path: Path) -> None:
    command = ["reconstruct", str(folder), "-o", str(tmp_path / "m.ply"), "--resolution", "40", "--refine", "0"]
    assert main(command) == OK
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.height == 832


def test_mesh_is_written_in_the_users_frame(views: Views, body: Mesh, tmp_path: Path) -> None:
    c2w = views.cameras.c2w.clone()
    c2w[:, :3, 3] = c2w[:, :3, 3] * SCALE + OFFSET
    moved = Views(views.rgba, Cameras(c2w, views.cameras.intrinsics, 64, 64), views.depth * SCALE, views.normal)
    write_views(moved, tmp_path / "views")
    target = tmp_path / "mesh.ply"
    assert main(["reconstruct", str(tmp_path / "views"), "-o", str(target), *QUICK, "--no-picture"]) == OK
    assert torch.allclose(read_mesh(target).bounds, body.bounds * SCALE + OFFSET, atol=0.02 * SCALE)


FAULTS = {
    "unknown preset": (["--preset", "magic"], ["magic", *PRESETS]),
    "unknown device": (["--device", "cuda:99"], ["cuda:99", "cpu"]),
    "unknown background": (["--background", "sky"], ["sky", "alpha"]),
    "broken colour": (["--background", "#12345"], ["#12345", "#rrggbb"]),
    "tolerance": (["--tolerance", "7"], ["7", "0.1"]),
    "resolution": (["--resolution", "9"], ["9", "16 to 512"]),
    "face limit": (["--face-limit", "2"], ["2", "at least 4"]),
    "size": (["--size", "8"], ["8", "32"]),
    "steps": (["--resolution", "40", "--refine", "-1"], ["-1", "steps"]),
    "camera set": (["--cameras", "stereo"], ["stereo", "orthogonal"]),
    "strength": (["--resolution", "40", "--strength", "0"], ["0", "strength"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_one_line_and_leave_nothing(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, words = FAULTS[name]
    assert main(["reconstruct", str(folder), "-o", str(tmp_path / "mesh.glb"), *options]) == USER_ERROR
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("gtr: ")
    assert all(word in message for word in words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("views_name", "target", "words"),
    [
        ("gone", "mesh.glb", ["gone", "does not exist"]),
        ("", "mesh.fbx", ["mesh.fbx", ".glb, .ply, .obj"]),
        ("", "gone/mesh.glb", ["gone does not exist"]),
    ],
)
def test_wrong_paths_are_named_before_any_work(
    views_name: str, target: str, words: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconstruct", str(folder / views_name), "-o", str(tmp_path / target)]) == USER_ERROR
    error = capsys.readouterr().err
    assert all(word in error for word in words)
    assert "Fusing" not in error


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["reconstruct"], ["reconstruct", "views"], ["paint"]):
        with pytest.raises(SystemExit) as caught:
            main(command)
        assert caught.value.code == USER_ERROR
        assert "usage: gtr" in capsys.readouterr().err


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\n"
        "from gtr_core.cli.main import main\n"
        "try:\n    main(['reconstruct', '--help'])\n"
        "except SystemExit as end:\n    sys.exit(end.code or ('torch' in sys.modules and 7))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--face-limit" in done.stdout


@pytest.mark.parametrize("stage", ["Drawing", "Writing"])
def test_stopping_late_still_writes_nothing(
    stage: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gtr_core.cli.progress_bar import WORDS, ProgressBar

    draw, handler = ProgressBar.__call__, signal.getsignal(signal.SIGINT)

    def press(bar: ProgressBar, name: str, done: int, total: int) -> None:
        if WORDS[name].startswith(stage):
            signal.raise_signal(signal.SIGINT)
        draw(bar, name, done, total)

    monkeypatch.setattr(ProgressBar, "__call__", press)
    assert main(["reconstruct", str(folder), "-o", str(tmp_path / "mesh.glb"), *QUICK]) == CANCELLED
    assert list(tmp_path.iterdir()) == []
    assert "Cancelled" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_stops_cleanly(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gtr_core.cli.main", "reconstruct", str(folder), "-o", str(tmp_path / "m.glb")]
    with subprocess.Popen(
        [*command, "--resolution", "128", "--refine", "100000"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=600)[1]
    assert "Reading views" in first
    assert process.returncode == CANCELLED
    assert "Traceback" not in rest
    assert rest.splitlines()[-1] == "Cancelled. Nothing was written."
    assert list(tmp_path.iterdir()) == []
