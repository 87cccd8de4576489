"""``gtr render-dataset``: a folder of meshes to shards, in processes, resumed, with bad meshes left out."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch
import trimesh

from gtr_core.cli.main import OK, USER_ERROR, main
from gtr_core.data.objects import ObjectFile, find_objects
from gtr_core.data.render_folder import FAILURES, newest, render_folder
from gtr_core.data.rendering_task import Rendered, RenderSettings, RenderTask, render_object
from gtr_core.data.shards import decode_views, read_index, read_object
from gtr_core.parallel.local_executor import LocalExecutor
from gtr_core.progress import Cancelled

SETTINGS = RenderSettings(num_views=3, size=40, supersample=1)


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    folder = tmp_path / "meshes"
    folder.mkdir()
    for name, extents in (("cube", (1, 1, 1)), ("plank", (3, 1, 0.5)), ("slab", (2, 2, 0.3))):
        box = trimesh.creation.box(extents)
        box.visual.vertex_colors = [200, 100, 50, 255]
        box.export(folder / f"{name}.ply")
    (folder / "broken.ply").write_bytes(b"no mesh")
    return folder


def killed_by_the_plank(task: RenderTask) -> Rendered:
    """A process that dies under one of its objects."""
    if task.file.name == "plank":
        os.kill(os.getpid(), signal.SIGKILL)
    return render_object(task)


def rendered(meshes: Path, out: Path, function=render_object, **options):
    return render_folder(find_objects(meshes), out, SETTINGS, lambda: LocalExecutor(2, 1, function), **options)


def entries(out: Path):
    return {entry.name: (path, entry) for path in sorted(out.glob("*.tar")) for entry in read_index(path)}


def test_every_mesh_is_drawn_and_the_bad_one_is_reported(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tally = rendered(meshes, out, shard_objects=2)
    assert (tally.objects, tally.kept, tally.rendered) == (4, 0, 3)
    assert list(tally.failures) == ["broken"]
    assert json.loads((out / FAILURES).read_text()) == tally.failures
    assert "broken cannot be read" in tally.failures["broken"]
    assert sorted(path.name for path in out.glob("*.tar")) == ["shard-00000.tar", "shard-00001.tar"]
    found = entries(out)
    assert set(found) == {"cube", "plank", "slab"}
    for name, (path, entry) in found.items():
        (file,) = (file for file in find_objects(meshes) if file.name == name)
        views = read_object(path, entry)
        alone = decode_views(render_object(RenderTask(file, SETTINGS, "")).files)
        assert torch.equal(views.rgba, alone.rgba), "the same, whatever process drew it and in what order"
        assert torch.equal(views.cameras.c2w, alone.cameras.c2w)
        inside = views.mask > 0.99
        assert inside.flatten(1).any(1).all()
        color = views.rgba[inside][:, :3]
        assert torch.allclose(color, torch.tensor([200.0, 100.0, 50.0]) / 255, atol=1e-3)
        border = torch.cat([views.mask[:, 0], views.mask[:, -1], views.mask[:, :, 0], views.mask[:, :, -1]])
        assert border.max() < 1


def test_it_goes_on_where_it_was_stopped_and_draws_again_what_has_changed(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken = meshes / "broken.ply"
    broken.unlink()

    def stop(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("draw", 3)
        if done:
            raise Cancelled

    with pytest.raises(Cancelled, match=r"of 3 objects are kept in .*; the same command goes on from there"):
        rendered(meshes, out, progress=stop)
    first = newest(out)
    assert 1 <= len(first) < 3
    tally = rendered(meshes, out)
    assert (tally.kept, tally.rendered, tally.failures) == (len(first), 3 - len(first), {})
    whole = newest(out)
    assert set(whole) == {"cube", "plank", "slab"}
    assert rendered(meshes, out).rendered == 0
    assert newest(out) == whole
    trimesh.creation.box((1, 2, 3)).export(meshes / "cube.ply")
    os.utime(meshes / "cube.ply", (1, 1))
    tally = rendered(meshes, out)
    assert (tally.kept, tally.rendered) == (2, 1)
    changed = newest(out)
    assert changed["cube"] != whole["cube"]
    assert {**changed, "cube": ""} == {**whole, "cube": ""}


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_process_that_dies_costs_its_object_only(meshes: Path, tmp_path: Path) -> None:
    tally = rendered(meshes, tmp_path / "out", killed_by_the_plank)
    assert set(tally.failures) == {"broken", "plank"}
    assert "killed" in tally.failures["plank"]
    assert set(entries(tmp_path / "out")) == {"cube", "slab"}


def fails_with_the_plank(task: RenderTask) -> Rendered:
    """Meets something that nobody foresaw in one of its objects."""
    if task.file.name == "plank":
        raise ZeroDivisionError("it was not\nforeseen")
    return render_object(task)


def test_an_error_that_nobody_foresaw_costs_its_object_only(meshes: Path, tmp_path: Path) -> None:
    tally = rendered(meshes, tmp_path / "out", fails_with_the_plank)
    assert set(tally.failures) == {"broken", "plank"}
    words = r"Unforeseen ZeroDivisionError in test_render_dataset\.py, line \d+: it was not foreseen"
    assert re.fullmatch(words, tally.failures["plank"])
    assert set(entries(tmp_path / "out")) == {"cube", "slab"}


def test_cameras_depend_on_name_and_seed_alone(meshes: Path) -> None:
    file = ObjectFile("cube", meshes / "cube.ply")

    def cameras(file: ObjectFile, settings: RenderSettings) -> torch.Tensor:
        return decode_views(render_object(RenderTask(file, settings, "")).files).cameras.c2w

    same = cameras(file, SETTINGS)
    assert torch.equal(same, cameras(file, SETTINGS))
    assert not torch.equal(same, cameras(ObjectFile("other", file.path), SETTINGS))
    assert not torch.equal(same, cameras(file, RenderSettings(3, 40, 1, seed=1)))


def test_the_command_draws_and_shows(meshes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["render-dataset", str(meshes), str(out), "--views", "2", "--size", "40", "--jobs", "1"]
    assert main(command) == OK
    text = capsys.readouterr().out
    assert "broken was left out: broken cannot be read" in text
    assert f"3 of 4 objects in {out}." in text
    assert (out / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    assert main(command) == OK
    assert f"3 of 4 objects in {out} (3 were there already)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--views", "1"], "--views 1 is out of range. Give 2 to 99."),
        (["--size", "9"], "--size 9 is out of range."),
        (["--jobs", "0"], "0 processes are out of range."),
    ],
)
def test_wrong_options(
    meshes: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render-dataset", str(meshes), str(tmp_path / "out"), *options]) == USER_ERROR
    assert words in capsys.readouterr().err
    assert main(["render-dataset", str(tmp_path / "nothing"), str(tmp_path / "out")]) == USER_ERROR
    assert "There is no folder" in capsys.readouterr().err
