"""From checkpoint to weights, in this process (see test_convert.py for the other one)."""

import functools
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from official_checkpoint import FIELD, GENERATOR, Sizes, convert, decode, make_checkpoint, planes_of, refusal
from torch import Tensor

from gtr_core.fields.triplane import sample_planes
from gtr_core.model.gtr import is_heavy
from gtr_core.model.weights import load_model, read_header, save_model
from gtr_core.progress import Cancelled


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def save(content: object, **options: Any) -> Path:
        torch.save(content, tmp_path / "official.pth", **options)
        return tmp_path / "official.pth"

    return save


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
