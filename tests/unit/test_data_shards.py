"""Shards of rendered views: what is read is what was written, one object at a time."""

import json
import tarfile
from pathlib import Path

import pytest
import torch

from gtr_core.data.render_dataset import render_views
from gtr_core.data.shards import decode_views, encode_views, index_path, read_index, read_object, write_shard
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.marching_cubes import marching_cubes
from gtr_core.geometry.mesh import Mesh
from gtr_core.views import Views


def ball(radius: float) -> Mesh:
    line = torch.linspace(-1, 1, 24)
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    vertices, faces = marching_cubes((x * x + y * y + z * z).sqrt() - radius)
    return Mesh(vertices, faces, colors=(vertices + 1) / 2)


@pytest.fixture(scope="module")
def rendered() -> list[Views]:
    cameras = orbit([10, 130, 250], [0, 40, -80], height=48, width=48)
    return [render_views(ball(radius), cameras, supersample=2) for radius in (0.5, 0.8)]


def shard(path: Path, rendered: list[Views]) -> Path:
    write_shard(
        path, ((f"{k:06d}", f"ball {k}", f"d{k}", encode_views(v, f"ball {k}")) for k, v in enumerate(rendered))
    )
    return path


def close(read: Views, truth: Views) -> None:
    assert truth.depth is not None
    assert truth.normal is not None
    assert read.depth is not None
    assert read.normal is not None
    assert (read.rgba - truth.rgba).abs().max() <= 0.5001 / 255
    assert torch.equal(read.depth > 0, truth.depth > 0)
    assert (read.depth - truth.depth).abs().max() <= 0.51 * float(truth.depth.max()) / 65535
    there = truth.depth > 0
    cosine = (read.normal * truth.normal).sum(-1)[there]
    assert torch.rad2deg(torch.arccos(cosine.clamp(max=1))).max() < 0.5
    assert not read.normal[~there].any()
    assert torch.equal(read.cameras.c2w, truth.cameras.c2w)
    assert torch.equal(read.cameras.intrinsics, truth.cameras.intrinsics)


def test_every_object_is_read_alone(tmp_path: Path, rendered: list[Views]) -> None:
    path = shard(tmp_path / "shard-00000.tar", rendered)
    entries = read_index(path)
    assert [(entry.key, entry.name, entry.digest) for entry in entries] == [
        ("000000", "ball 0", "d0"),
        ("000001", "ball 1", "d1"),
    ]
    for entry, truth in zip(entries, rendered, strict=True):
        close(read_object(path, entry), truth)
    close(read_object(path, entries[1], [2, 0]), rendered[1][[2, 0]])
    assert sorted(tmp_path.iterdir()) == [index_path(path), path]


def test_the_tar_is_in_the_order_that_webdataset_wants(tmp_path: Path, rendered: list[Views]) -> None:
    with tarfile.open(shard(tmp_path / "a.tar", rendered)) as tar:
        names = tar.getnames()
    assert names[:4] == ["000000.views.json", "000000.rgba_00.png", "000000.depth_00.png", "000000.normal_00.png"]
    assert [name.split(".")[0] for name in names] == ["000000"] * 10 + ["000001"] * 10


def test_without_its_index_the_tar_tells_what_it_holds(tmp_path: Path, rendered: list[Views]) -> None:
    path = shard(tmp_path / "a.tar", rendered)
    listed = read_index(path)
    index_path(path).unlink()
    found = read_index(path)
    assert [(entry.key, entry.name, entry.files) for entry in found] == [(e.key, e.name, e.files) for e in listed]
    close(read_object(path, found[0]), rendered[0])


def test_nothing_is_left_of_a_shard_that_was_stopped(tmp_path: Path, rendered: list[Views]) -> None:
    def stopped():
        yield "000000", "ball", "d", encode_views(rendered[0], "ball")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a.tar", stopped())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["index", "tar", "cut"])
def test_damaged_shards_are_refused(tmp_path: Path, rendered: list[Views], damage: str) -> None:
    path = shard(tmp_path / "a.tar", rendered)
    entries = read_index(path)
    if damage == "index":
        index_path(path).write_text(json.dumps({"objects": [{}]}))
    elif damage == "tar":
        index_path(path).unlink()
        path.write_bytes(b"no tar" * 300)
    else:
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(GtrError) as caught:
        read_object(path, entries[1]) if damage == "cut" else read_index(path)
    assert caught.value.code is ErrorCode.BAD_INPUT


def test_a_view_that_is_not_there(rendered: list[Views]) -> None:
    files = encode_views(rendered[0], "ball")
    with pytest.raises(GtrError):
        decode_views(files, [3])
