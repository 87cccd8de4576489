"""True views: rendered once, kept to the bit, made anew when their file is damaged."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from gtr_core.data.objects import TrueObject
from gtr_core.data.render_dataset import render_views
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.ground_truth import GroundTruth, ground_truth
from gtr_core.evaluation.protocol import Protocol
from gtr_core.geometry.mesh import Mesh
from gtr_core.views import Views

SMALL = Protocol(input_size=32, novel_size=24, num_novel=3, supersample=2)


def cone() -> TrueObject:
    shape = trimesh.creation.cone(0.6, 1.2, sections=24)
    vertices = torch.tensor(shape.vertices, dtype=torch.float32) - torch.tensor([0, 0, 0.6])
    colors = torch.rand(len(vertices), 3, generator=torch.Generator().manual_seed(0))
    return TrueObject("cone", Mesh(vertices, torch.tensor(shape.faces), colors=colors), "c0ffee", watertight=True)


class Counter:
    """Counts the views that are rendered."""

    def __init__(self) -> None:
        self.views = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.views += stage == "render" and done < total


def same(a: Views, b: Views) -> bool:
    assert a.depth is not None
    assert b.depth is not None
    assert a.normal is not None
    assert b.normal is not None
    return torch.equal(a.rgba, b.rgba) and torch.equal(a.depth, b.depth) and torch.equal(a.normal, b.normal)


def test_views_are_rendered_once_and_come_back_to_the_bit(tmp_path: Path) -> None:
    first, second = Counter(), Counter()
    made = ground_truth(cone(), SMALL, tmp_path / "deep" / "cache", first)
    kept = ground_truth(cone(), SMALL, tmp_path / "deep" / "cache", second)
    assert (first.views, second.views) == (4 + 3, 0)
    assert same(made.novel, kept.novel)
    assert torch.equal(made.inputs.rgba, kept.inputs.rgba)
    assert len(list((tmp_path / "deep" / "cache").iterdir())) == 2


def test_colors_have_8_bits_and_depth_is_exact(tmp_path: Path) -> None:
    truth = ground_truth(cone(), SMALL, tmp_path)
    rendered = render_views(cone().mesh, SMALL.novel_cameras, supersample=2)
    assert rendered.depth is not None
    assert rendered.normal is not None
    assert truth.novel.depth is not None
    assert truth.novel.normal is not None
    assert torch.equal(truth.novel.depth, rendered.depth)
    levels = truth.novel.rgba * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    torch.testing.assert_close(truth.novel.rgba, rendered.rgba, atol=0.5 / 255 + 1e-6, rtol=0)
    torch.testing.assert_close(truth.novel.normal, rendered.normal, atol=1e-4, rtol=0)
    assert torch.equal(truth.novel.normal.abs().sum(-1) > 0, rendered.normal.abs().sum(-1) > 0)


def test_systems_get_depth_only_where_the_protocol_gives_it(tmp_path: Path) -> None:
    without = ground_truth(cone(), SMALL, tmp_path)
    counter = Counter()
    with_depth = ground_truth(cone(), replace(SMALL, with_depth=True), tmp_path, counter)
    assert counter.views == 0
    assert without.inputs.depth is None
    assert without.inputs.normal is None
    assert with_depth.inputs.depth is not None
    assert with_depth.inputs.normal is not None
    assert torch.equal(without.inputs.rgba, with_depth.inputs.rgba)


@pytest.mark.parametrize(
    "change",
    [{"novel_size": 20}, {"num_novel": 4}, {"elevations": (5.0,)}, {"supersample": 1}, {"input_cameras": "sphere6"}],
)
def test_other_settings_are_other_files(tmp_path: Path, change: dict[str, object]) -> None:
    ground_truth(cone(), SMALL, tmp_path)
    counter = Counter()
    ground_truth(cone(), replace(SMALL, **change), tmp_path, counter)
    assert counter.views > 0


def test_settings_that_change_no_picture_share_the_files(tmp_path: Path) -> None:
    ground_truth(cone(), SMALL, tmp_path)
    counter = Counter()
    ground_truth(
        cone(), replace(SMALL, chamfer_squared=False, seed=3, iou="surface", background=0.0), tmp_path, counter
    )
    assert counter.views == 0


def test_another_object_has_other_files(tmp_path: Path) -> None:
    ground_truth(cone(), SMALL, tmp_path)
    ground_truth(replace(cone(), digest="decaf"), SMALL, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "text", "other arrays", "other shape", "pickled"])
def test_a_damaged_file_is_rendered_anew(tmp_path: Path, damage: str) -> None:
    truth = ground_truth(cone(), SMALL, tmp_path)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        if damage == "empty":
            path.write_bytes(b"")
        elif damage == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif damage == "bit":
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :])
        elif damage == "text":
            path.write_text("no views")
        else:
            arrays = {
                "other arrays": {"rgba": np.zeros(3)},
                "other shape": {"rgba": np.zeros((1, 2, 2, 4), np.uint8), "depth": np.zeros(1), "normal": np.zeros(1)},
                "pickled": {name: np.array([{}]) for name in ("rgba", "depth", "normal")},
            }[damage]
            np.savez(path, **arrays)
    counter = Counter()
    again = ground_truth(cone(), SMALL, tmp_path, counter)
    assert counter.views == 7
    assert same(again.novel, truth.novel)
    after = Counter()
    ground_truth(cone(), SMALL, tmp_path, after)
    assert after.views == 0
    assert len(list(tmp_path.iterdir())) == 2


def _in_process(folder: Path) -> torch.Tensor:
    torch.set_num_threads(1)
    truth: GroundTruth = ground_truth(cone(), SMALL, folder)
    return truth.novel.rgba


def test_processes_at_once_share_a_cache(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pictures = pool.map(_in_process, [tmp_path] * 4, chunksize=1)
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    assert len(list(tmp_path.iterdir())) == 2
    assert torch.equal(ground_truth(cone(), SMALL, tmp_path).novel.rgba, pictures[0])


def test_a_sheet_seen_edge_on_is_said_in_one_sentence(tmp_path: Path) -> None:
    sheet = Mesh(torch.tensor([[-0.9, -0.9, 0.0], [0.9, -0.9, 0], [0, 0.9, 0]]), torch.tensor([[0, 1, 2]]))
    with pytest.raises(GtrError) as caught:
        ground_truth(TrueObject("sheet", sheet, "00", watertight=False), SMALL, tmp_path)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert caught.value.message.startswith("sheet cannot be seen by every camera")
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(GtrError, match="Cannot write"):
        ground_truth(cone(), SMALL, tmp_path / "file")
