"""Every file that is no released checkpoint, and what is said about it; in this process (see test_convert.py)."""

import argparse
import os
import pathlib
import pickle
import shutil
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from official_checkpoint import FIELD, GENERATOR, convert, make_checkpoint, refusal
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.convert_child import RISK
from gtr_core.model.gtr import GTR
from gtr_core.model.weights import read_header


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def save(content: object, **options: Any) -> Path:
        torch.save(content, tmp_path / "official.pth", **options)
        return tmp_path / "official.pth"

    return save


def test_missing_unknown_and_misshapen_tensors(save: Callable[..., Path]) -> None:
    def changed(part: str, key: str, tensor: Tensor | None) -> GtrError:
        checkpoint = make_checkpoint()
        if tensor is None:
            del checkpoint["pipeline"][part][key]
        else:
            checkpoint["pipeline"][part][key] = tensor
        return refusal(save(checkpoint))

    key = "attn_layers.1.ff.net.2.bias"
    assert f"generator lacks 1 of its 34 tensors, the first is {key}" in changed(GENERATOR, key, None).message
    assert "generator.norm1.bias is 65, it must be 64" in changed(GENERATOR, "norm1.bias", torch.ones(65)).message
    unknown = changed(GENERATOR, "pos_embed", torch.ones(3))
    assert "1 tensors that GTR does not have, the first is pos_embed" in unknown.message
    assert "field.aabb is 5" in changed(FIELD, "aabb", torch.ones(5)).message
    assert "its box aabb is [1.0, 1.0, " in changed(FIELD, "aabb", torch.ones(6)).message


def test_numbers_that_are_none(save: Callable[..., Path]) -> None:
    for part, key, value in (
        (GENERATOR, "attn_layers.0.ff.net.2.weight", float("nan")),
        (FIELD, "decoder.field.mlp_color.layers.3.bias", float("inf")),
    ):
        checkpoint = make_checkpoint()
        checkpoint["pipeline"][part][key].view(-1)[1:3] = value
        assert f"{part}.{key} holds 2 values that are no numbers" in refusal(save(checkpoint)).message


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.ones(64, dtype=torch.float64), "is float64, not float32"),
        (torch.ones(64, dtype=torch.int64), "is int64"),
        (torch.ones(64).to_sparse(), "no plain tensor"),
        (torch.empty(64, device="meta"), "no plain tensor"),
        ([1.0, 2.0], "is no tensor but a list"),
        (None, "is no tensor but a NoneType"),
    ],
)
def test_entries_that_are_no_weights(save: Callable[..., Path], value: object, words: str) -> None:
    checkpoint = make_checkpoint()
    checkpoint["pipeline"][GENERATOR]["norm1.bias"] = value
    error = refusal(save(checkpoint))
    assert "generator.norm1.bias" in error.message
    assert words in error.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.ones(3), "the file is no table of named entries but a Tensor"),
        ([], "but a list"),
        ({}, "it lacks the entry pipeline and holds nothing"),
        ({"state_dict": {}, "epoch": 3}, "it lacks the entry pipeline and holds state_dict, epoch"),
        ({1: 2}, "no table of named entries but a dict"),
        ({"pipeline": 3}, "pipeline is no table of named entries but a int"),
        ({"pipeline": {"field": {}}}, "its pipeline lacks generator and holds field"),
        ({"pipeline": {"field": {}, "generator": 1}}, "generator is no table"),
        ({"pipeline": {"field": {}, "generator": {}}}, "generator lacks planes"),
        (dict.fromkeys("abcdefgh", 0), "holds a, b, c, d, e ..."),
    ],
)
def test_checkpoints_of_something_else(save: Callable[..., Path], content: object, words: str) -> None:
    error = refusal(save(content))
    assert words in error.message
    assert "Snap" in error.hint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"\x40\x00\x00\x00\x00\x00\x00\x00{" + b" " * 63, "a .safetensors file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "of an unknown kind"),
        (b"hello", "of an unknown kind"),
        (b"PK\x03\x04", "its end is missing"),
        (b"\x80\x02", "cut off or damaged"),
        (b"\x80\x04\x95" + bytes(40), "cut off or damaged"),
        (pickle.dumps({"a": 1}, protocol=2), "cut off or damaged"),
    ],
    ids=["empty", "html", "lfs", "safetensors", "png", "text", "zip", "pickle", "zeros", "plain pickle"],
)
def test_files_of_something_else(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "official.pth"
    path.write_bytes(content)
    error = refusal(path)
    assert words in error.message
    assert path.name in error.message


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert "gone.pth: No such file" in refusal(tmp_path / "gone.pth").message
    assert "Is a directory" in refusal(tmp_path).message if os.name == "posix" else True


@pytest.mark.parametrize("old", [False, True], ids=["archive", "old container"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97, 0.9999])
def test_truncated_files(save: Callable[..., Path], old: bool, share: float) -> None:
    path = save(make_checkpoint(), _use_new_zipfile_serialization=not old)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    error = refusal(path)
    assert "cut off" in error.message
    assert error.hint == "Get the file again."


def test_flipped_bits_are_found(save: Callable[..., Path]) -> None:
    path = save(make_checkpoint())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "is damaged: 1 of its" in refusal(path).message


def test_files_without_checksums_are_taken(save: Callable[..., Path]) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = save(make_checkpoint())
    finally:
        torch.serialization.set_crc32_options(True)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is not None
    assert read_header(convert(path)).preset == "gtr-release"


def test_other_archives(tmp_path: Path) -> None:
    path = tmp_path / "official.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert "another kind of archive" in refusal(path).message
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10_000_000))
    assert "cut off or damaged" in refusal(path).message


def test_archives_that_would_take_for_ever(tmp_path: Path, save: Callable[..., Path]) -> None:
    path = save({"a": torch.zeros(1000)})
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x01\x02")  # the last entry of the directory; its length is 24 bytes further on
    content[at + 24 : at + 28] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(content)
    assert "cut off or damaged" in refusal(path).message


class _Runs:
    """Writes a file when it is unpickled: what a hostile checkpoint would do."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def test_other_types_are_named_and_the_way_out_is_explained(save: Callable[..., Path]) -> None:
    checkpoint = make_checkpoint() | {"config": argparse.Namespace(lr=1), "log": pathlib.PurePosixPath("a")}
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        error = refusal(save(checkpoint, **options))
        assert "holds other Python objects than tensors: argparse.Namespace" in error.message
        assert "--trust-pickle" in error.hint
        assert RISK in error.hint
    assert "pathlib.PurePosixPath" in refusal(save(checkpoint)).message  # an archive tells all of them
    out = convert(save(checkpoint), trust_pickle=True)
    assert read_header(out).preset == "gtr-release"


@pytest.mark.parametrize("function", [os.system, eval, pathlib.Path.touch])
def test_programs_do_not_run(save: Callable[..., Path], tmp_path: Path, function: Callable[..., object]) -> None:
    canary = tmp_path / "canary"
    argument: object = {
        os.system: f"touch {canary}",
        eval: f"__import__('pathlib').Path({str(canary)!r}).touch()",
        pathlib.Path.touch: canary,
    }[function]
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        error = refusal(save(make_checkpoint() | {"x": _Runs(function, argument)}, **options))
        assert not canary.exists()
        assert "other Python objects than tensors: " in error.message
    if function is not pathlib.Path.touch:  # there is no honest reason for those: nothing is offered
        assert "--trust-pickle" not in error.hint
        assert "Do not open this file" in error.hint


def test_classes_that_are_not_installed(save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("no_such_package")
    package.Config = type("Config", (), {"__module__": "no_such_package"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "no_such_package", package)
    path = save(make_checkpoint() | {"config": package.Config()})
    monkeypatch.delitem(sys.modules, "no_such_package")
    assert "no_such_package.Config" in refusal(path).message
    assert "package no_such_package, which is not installed" in refusal(path, trust_pickle=True).message


def test_a_full_disk_is_seen_before(save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(make_checkpoint())
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=64_000_000))
    with pytest.raises(GtrError) as caught:
        convert(path)
    assert caught.value.code is ErrorCode.DISK_FULL
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_state_dict_of_our_own_is_not_a_released_checkpoint(save: Callable[..., Path]) -> None:
    with torch.device("cpu"):
        model = GTR(read_header(convert(save(make_checkpoint()))).config)
    assert "lacks the entry pipeline" in _after_removal(save, model.state_dict()).message


def _after_removal(save: Callable[..., Path], content: object) -> GtrError:
    path = save(content)
    path.with_name("out.safetensors").unlink()
    return refusal(path)
