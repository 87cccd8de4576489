"""From checkpoint to weights, and every file that is none; in this process (see test_convert.py for the other one)."""

import argparse
import functools
import os
import pathlib
import pickle
import shutil
import sys
import types
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from official_checkpoint import FIELD, GENERATOR, Sizes, decode, make_checkpoint, planes_of
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.triplane import sample_planes
from gtr_core.model.convert_child import RISK, Order
from gtr_core.model.gtr import GTR, is_heavy
from gtr_core.model.official_weights import write_weights
from gtr_core.model.weights import load_model, read_header, save_model
from gtr_core.progress import Cancelled, no_progress


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def save(content: object, **options: Any) -> Path:
        torch.save(content, tmp_path / "official.pth", **options)
        return tmp_path / "official.pth"

    return save


def convert(path: Path, **options: Any) -> Path:
    out = path.with_name("out.safetensors")
    progress = options.pop("progress", no_progress)
    order = {"half": False, "trust_pickle": False, "num_heads": None, "source": "the test", **options}
    write_weights(Order(str(path), str(out), **order), progress)
    return out


def refusal(path: Path, **options: Any) -> GtrError:
    before = sorted(path.parent.iterdir())
    with pytest.raises(GtrError) as caught:
        convert(path, **options)
    assert sorted(path.parent.iterdir()) == before
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert caught.value.message.count("\n") == 0
    return caught.value


def conditioning(patches: int = 3, patch: int = 4) -> Tensor:
    return torch.randn(2, 3, 10, patch * patches, patch * (patches + 1), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["archive", "old container"])
def test_the_network_computes_what_the_released_one_does(save: Callable[..., Path], options: dict[str, bool]) -> None:
    checkpoint = make_checkpoint()
    parts = checkpoint["pipeline"]
    model = load_model(convert(save(checkpoint, **options)), dtype="float32")
    with torch.no_grad():
        planes = model.planes_from(conditioning())
        truth = planes_of(parts[GENERATOR], conditioning(), num_heads=1, upsample=2)
    assert planes.shape == (2, 3, 5, 6, 6)
    assert torch.allclose(planes, truth, atol=2e-5 * float(truth.abs().max()))
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    field, features = model.field(planes[1]), sample_planes(truth[1], points)
    density = torch.nn.functional.softplus(decode(parts[FIELD], "mlp_sigma", features))
    color = (decode(parts[FIELD], "mlp_color", features).sigmoid() * 1.002 - 0.001).clamp(0, 1)
    assert torch.allclose(field.density(points), density, atol=1e-4)
    assert torch.allclose(field.color(points), color, atol=1e-4)


def test_every_number_arrives(save: Callable[..., Path]) -> None:
    checkpoint = make_checkpoint()
    model = load_model(convert(save(checkpoint)), dtype="float32")
    generator = checkpoint["pipeline"][GENERATOR]
    assert torch.equal(model.planes, generator["planes"])
    assert torch.equal(model.upsampler.proj.weight, generator["out.proj.weight"].flatten(1))
    block = model.transformer.blocks[1]
    assert torch.equal(block.attention.to_k.weight, generator["attn_layers.1.self_attn.to_k.weight"])
    assert torch.equal(block.feed_forward.expand.bias, generator["attn_layers.1.ff.net.0.proj.bias"])
    kept = sum(t.numel() for part in (FIELD, GENERATOR) for t in checkpoint["pipeline"][part].values()) - 6
    assert sum(parameter.numel() for parameter in model.parameters()) == kept


def test_the_file_says_what_it_is(save: Callable[..., Path]) -> None:
    path = save(make_checkpoint())
    header = read_header(convert(path))
    assert (header.preset, header.licence, header.dtype) == ("gtr-release", "Snap non-commercial", "float32")
    assert header.source == f"the test (SHA-256 {sha256(path.read_bytes()).hexdigest()})"
    assert (header.config.width, header.config.num_blocks, header.config.plane_resolution) == (64, 2, 6)


def test_converted_weights_survive_saving(save: Callable[..., Path], tmp_path: Path) -> None:
    model = load_model(convert(save(make_checkpoint())), dtype="float32")
    save_model(model, tmp_path / "again.safetensors", description={"preset": "a", "licence": "b", "source": "c"})
    again = load_model(tmp_path / "again.safetensors", dtype="float32").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


def test_half_narrows_the_large_matrices_only(save: Callable[..., Path]) -> None:
    path = save(make_checkpoint())
    whole = load_model(convert(path), dtype="float32").state_dict()
    out = convert(path, half=True)
    assert read_header(out).dtype == "bfloat16"
    for name, tensor in load_model(out, dtype="bfloat16").state_dict().items():
        assert tensor.dtype == (torch.bfloat16 if is_heavy(name) else torch.float32)
        assert torch.equal(tensor, whole[name].to(tensor.dtype))
    assert any(is_heavy(name) for name in whole)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_checkpoints_become_float32(save: Callable[..., Path], dtype: torch.dtype) -> None:
    checkpoint = make_checkpoint(dtype=dtype)
    out = convert(save(checkpoint))
    assert read_header(out).dtype == "float32"
    weight = load_model(out, dtype="float32").transformer.blocks[0].attention.to_q.weight
    expected = checkpoint["pipeline"][GENERATOR]["attn_layers.0.self_attn.to_q.weight"]
    assert torch.equal(weight, expected.float())


def test_tensors_may_be_stored_transposed_or_shared(save: Callable[..., Path]) -> None:
    checkpoint = make_checkpoint()
    generator = checkpoint["pipeline"][GENERATOR]
    key = "attn_layers.0.self_attn.to_q.weight"
    generator[key] = generator[key].T.contiguous().T
    generator["norm1.weight"] = generator["norm2.weight"] = torch.nn.Parameter(torch.ones(64))
    assert not generator[key].is_contiguous()
    model = load_model(convert(save(checkpoint)), dtype="float32")
    assert torch.equal(model.transformer.blocks[0].attention.to_q.weight, generator[key])
    assert torch.equal(model.image_norm.weight, torch.ones(64))


def test_heads_can_be_told(save: Callable[..., Path]) -> None:
    checkpoint = make_checkpoint(Sizes(width=32))
    path = save(checkpoint)
    assert "32 channels do not divide" in refusal(path).message
    model = load_model(convert(path, num_heads=4), dtype="float32")
    truth = planes_of(checkpoint["pipeline"][GENERATOR], conditioning(), num_heads=4, upsample=2)
    with torch.no_grad():
        planes = model.planes_from(conditioning())
    assert torch.allclose(planes, truth, atol=2e-5 * float(truth.abs().max()))


def test_progress_goes_forward_and_can_stop_anywhere(save: Callable[..., Path]) -> None:
    path = save(make_checkpoint())
    steps: list[tuple[str, int, int]] = []
    convert(path, progress=lambda *step: steps.append(step)).unlink()
    assert list(dict.fromkeys(stage for stage, _, _ in steps)) == ["verify", "convert", "save"]
    for stage in ("verify", "convert", "save"):
        done = [step[1:] for step in steps if step[0] == stage]
        assert done == sorted(done)
        assert done[-1][0] == done[-1][1]

    def stop(wanted: str, stage: str, done: int, total: int) -> None:
        if stage == wanted:
            raise Cancelled

    for wanted in ("verify", "convert", "save"):
        with pytest.raises(Cancelled):
            convert(path, progress=functools.partial(stop, wanted))
        assert [p.name for p in path.parent.iterdir()] == [path.name]


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
