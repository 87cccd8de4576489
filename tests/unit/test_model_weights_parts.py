"""Weights in parts: found by their index or by any part, whole or refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.library import find_weights, list_models
from gtr_core.model.weights import load_model
from gtr_core.model.weights_header import read_header
from gtr_core.model.weights_parts import hash_weights, weight_files

INDEX = "some.safetensors.index.json"


@pytest.fixture
def parts(tmp_path: Path, tiny_weights: Path) -> Path:
    """Weights of ``gtr-tiny`` in three parts."""
    header = read_header(tiny_weights)
    metadata = {"gtr_config": header.config.to_json(), "preset": header.preset, "licence": "L", "source": "S"}
    tensors, places = load_file(tiny_weights), {}
    names = sorted(tensors)
    for number in range(3):
        file = f"some-{number + 1:05d}-of-00003.safetensors"
        save_file({name: tensors[name] for name in names[number::3]}, tmp_path / file, metadata)
        places |= dict.fromkeys(names[number::3], file)
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return tmp_path


@pytest.mark.parametrize("name", [INDEX, "some-00001-of-00003.safetensors", "some-00003-of-00003.safetensors"])
def test_parts_are_the_whole(parts: Path, tiny_weights: Path, name: str) -> None:
    whole, header = load_model(tiny_weights, dtype="float32"), read_header(parts / name)
    assert header.num_parameters == read_header(tiny_weights).num_parameters
    assert (header.preset, header.licence, header.source) == ("gtr-tiny", "L", "S")
    for dtype in ("float32", "bfloat16"):
        loaded = load_model(parts / name, dtype=dtype).state_dict()
        assert set(loaded) == set(whole.state_dict())
        for key, value in whole.state_dict().items():
            assert torch.equal(loaded[key], value.to(loaded[key].dtype)), key


def test_a_checksum_is_of_all_parts(parts: Path) -> None:
    before = hash_weights(parts / INDEX)
    assert before == hash_weights(parts / "some-00002-of-00003.safetensors")
    last = parts / "some-00003-of-00003.safetensors"
    last.write_bytes(last.read_bytes()[:-1] + bytes([last.read_bytes()[-1] ^ 1]))
    assert hash_weights(parts / INDEX) != before


def test_the_models_folder_knows_parts_as_one_model(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTR_MODELS", str(parts))
    assert find_weights("some") == parts / INDEX
    found = {entry.name: entry for entry in list_models()}
    assert not any("-of-" in name for name in found)
    assert (found["some"].state, found["some"].preset) == ("ready", "gtr-tiny")
    assert found["some"].bytes == sum(file.stat().st_size for file in weight_files(parts / INDEX))
    assert found["some"].sha256 == hash_weights(parts / INDEX)
    (parts / "some-00002-of-00003.safetensors").unlink()
    broken = {entry.name: entry for entry in list_models()}["some"]
    assert broken.state == "broken"
    assert "some-00002-of-00003.safetensors" in broken.reason


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        '{"weight_map": {}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": "../some-00001-of-00003.safetensors"}}',
        '{"weight_map": {"a": ".hidden.safetensors"}}',
        '{"weight_map": {"a": "C:\\\\x.safetensors"}}',
        '{"weight_map": {"a": "missing.safetensors"}}',
    ],
)
def test_an_index_is_not_believed(parts: Path, text: str) -> None:
    (parts / INDEX).write_text(text)
    with pytest.raises(GtrError) as caught:
        load_model(parts / INDEX)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert caught.value.hint


def test_parts_of_different_networks_are_refused(parts: Path) -> None:
    shutil.copyfile(parts / "some-00001-of-00003.safetensors", parts / "some-00002-of-00003.safetensors")
    with pytest.raises(GtrError, match="does not fit its own configuration"):
        load_model(parts / INDEX)
