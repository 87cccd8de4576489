"""Files of weights: what goes in comes out, and nothing else is believed."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model import weights
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR, is_heavy
from gtr_core.model.weights import load_model, read_header, save_model, save_tensors

TINY = CONFIGS["gtr-tiny"]
DESCRIPTION = {"preset": "gtr-tiny", "licence": "CC0-1.0", "source": "drawn by chance"}


def tiny(**changes):
    return GTR(replace(TINY, **changes), generator=torch.Generator().manual_seed(0)).eval()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_model(tiny(), path, description=DESCRIPTION)
    return path


def refusal(path):
    with pytest.raises(GtrError) as caught:
        load_model(path)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert caught.value.hint
    return caught.value.message


def rewrite(path, change):
    """Write the file again with ``change(tensors, metadata)`` made to its content."""
    tensors = load_file(path)
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    tensors = {name: value.clone() for name, value in tensors.items()}
    change(tensors, metadata)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    "changes",
    [{}, {"shared_decoder": True, "upsampler": "deconvolution"}, {"qk_norm": True, "bias": False, "decoder_width": 7}],
)
def test_what_is_saved_is_loaded_bit_for_bit(tmp_path, changes):
    model, path = tiny(**changes), tmp_path / "model.safetensors"
    save_model(model, path, description=DESCRIPTION)
    loaded = load_model(path, dtype="float32")
    assert loaded.config == model.config
    assert not loaded.training
    expected = model.state_dict()
    found = loaded.state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    images = torch.rand(1, 2, 10, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(loaded.planes_from(images), model.planes_from(images))
    assert [path] == list(tmp_path.iterdir())


def test_shared_decoder_stays_shared(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(tiny(shared_decoder=True), path, description=DESCRIPTION)
    loaded = load_model(path)
    assert loaded.density_mlp.shared is loaded.color_mlp.shared


def test_header_tells_without_reading_tensors(file, monkeypatch):
    header = read_header(file)
    assert (header.preset, header.licence, header.source) == tuple(DESCRIPTION.values())
    assert header.config == TINY
    assert header.num_parameters == sum(p.numel() for p in tiny().parameters())
    assert header.dtype == "float32"
    save_model(tiny().compute_in(torch.bfloat16), file, description=DESCRIPTION)
    assert read_header(file).dtype == "bfloat16"


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
def test_bfloat16_is_for_the_linear_layers_of_the_blocks_only(file, stored, monkeypatch):
    rewrite(file, lambda tensors, _: tensors.update({n: t.to(stored) for n, t in tensors.items()}))
    monkeypatch.setattr(weights, "fast_dtype", lambda device: torch.bfloat16)
    source = load_file(file)
    for name, value in load_model(file).named_parameters():
        assert value.dtype == (torch.bfloat16 if is_heavy(name) else torch.float32)
        assert torch.equal(value, source[name].to(value.dtype))
    monkeypatch.setattr(weights, "fast_dtype", lambda device: torch.float32)
    assert {value.dtype for value in load_model(file).parameters()} == {torch.float32}
    assert any(value.dtype == torch.bfloat16 for value in load_model(file, dtype="bfloat16").parameters())


@pytest.mark.parametrize("group", [1, 10_000, 1 << 30])
def test_weights_converted_in_groups_are_all_there(file, group, monkeypatch):
    expected = load_model(file, dtype="float32").state_dict()
    monkeypatch.setattr(weights, "_GROUP", group)
    for name, value in load_model(file, dtype="bfloat16").state_dict().items():
        assert torch.equal(value, expected[name].to(value.dtype))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_matching_weights_are_mapped_and_converted_ones_let_the_file_go(file):
    def mapped():
        return file.name in Path("/proc/self/maps").read_text()

    same = load_model(file, dtype="float32")
    assert mapped()
    del same
    assert not mapped()
    halved = load_model(file, dtype="bfloat16")
    assert not mapped()
    assert halved.config == TINY


def test_a_loaded_network_may_be_changed_without_changing_the_file(file):
    before = file.read_bytes()
    model = load_model(file, dtype="float32")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert file.read_bytes() == before
    assert load_model(file, dtype="float32").planes.abs().max() > 0


def test_loaded_network_can_be_trained_on(file):
    model = load_model(file, dtype="float32").train()
    model.planes_from(torch.rand(1, 1, 10, 32, 32)).square().mean().backward()
    assert model.image_encoder.proj.weight.grad.abs().max() > 0


def test_missing_file(tmp_path):
    assert "There is no file of weights at" in refusal(tmp_path / "none.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 300, -1])
def test_cut_file(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    assert (
        refusal(file)
        == "The file of weights tiny.safetensors cannot be read: it is damaged, cut short or of another kind."
    )


def test_folder_and_foreign_files(tmp_path):
    assert "cannot be read" in refusal(tmp_path)
    foreign = tmp_path / "picture.safetensors"
    foreign.write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    assert "cannot be read" in refusal(foreign)
    save_file({"x": torch.zeros(3)}, foreign)
    assert refusal(foreign) == "The file of weights picture.safetensors holds no GTR network."


def test_configuration_that_is_not_understood(file):
    values = json.loads(TINY.to_json()) | {"encoder": "resnet"}
    rewrite(file, lambda _, metadata: metadata.update(gtr_config=json.dumps(values)))
    assert "does not understand: encoder is 'resnet'" in refusal(file)


def test_configuration_of_endless_blocks_is_refused_before_they_are_built(file):
    values = json.loads(TINY.to_json()) | {"num_blocks": 10**9}
    rewrite(file, lambda _, metadata: metadata.update(gtr_config=json.dumps(values)))
    assert "does not hold the 1000000000 blocks" in refusal(file)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.pop("planes"), "planes is missing or unknown"),
        (lambda t: t.update(extra=torch.zeros(1)), "extra is missing or unknown"),
        (lambda t: t.update(planes=torch.zeros(3, 128, 4, 4)), r"planes is (3, 128, 4, 4), not (1, 3, 128, 4, 4)"),
    ],
)
def test_tensors_that_do_not_fit_the_configuration(file, change, what):
    rewrite(file, lambda tensors, _: change(tensors))
    assert refusal(file).endswith(f"{what}.")


def test_description_must_be_complete(tmp_path):
    with pytest.raises(KeyError):
        save_model(tiny(), tmp_path / "x.safetensors", description={"preset": "gtr-tiny"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_file_of_weights_has_the_permissions_of_any_other_file(file, tmp_path):
    (tmp_path / "other").touch()
    assert file.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_target_that_cannot_be_written(tmp_path):
    with pytest.raises(GtrError) as caught:
        save_model(tiny(), tmp_path / "no" / "x.safetensors", description=DESCRIPTION)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_the_older_file_whole(file):
    model = tiny()
    with torch.no_grad():
        model.planes.fill_(7)
    mapped = load_model(file, dtype="float32")
    save_tensors(dict(model.named_parameters()), model.config, file, description=DESCRIPTION)
    assert load_model(file, dtype="float32").planes.unique().item() == 7
    assert mapped.planes.abs().max() < 7  # whoever has the older file open keeps it
