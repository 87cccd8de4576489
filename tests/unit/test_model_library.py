"""Which models there are, and what is said about the ones that cannot run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model import library
from gtr_core.model.configs import CONFIGS
from gtr_core.model.download import hash_file
from gtr_core.model.gtr import GTR
from gtr_core.model.library import ModelEntry, find_weights, list_models, models_folder, weights_path
from gtr_core.model.weights import save_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setenv("GTR_MODELS", str(path))
    return path


@pytest.fixture(scope="module")
def tiny() -> GTR:
    return GTR(CONFIGS["gtr-tiny"], generator=torch.Generator().manual_seed(0))


@pytest.fixture
def put(folder: Path, tiny: GTR) -> Callable[..., Path]:
    def put(name: str, preset: str = "gtr-tiny") -> Path:
        description = {"preset": preset, "licence": "CC0", "source": "made here"}
        save_model(tiny, folder / f"{name}.safetensors", description=description)
        return folder / f"{name}.safetensors"

    return put


def entry(name: str, **options: bool) -> ModelEntry:
    return next(e for e in list_models(**options) if e.name == name)


def test_where_models_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GTR_MODELS", raising=False)
    monkeypatch.delenv("GTR_HOME", raising=False)
    assert models_folder() == Path.home() / ".gtr" / "models"
    monkeypatch.setenv("GTR_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "models"
    monkeypatch.setenv("GTR_MODELS", str(tmp_path / "elsewhere"))
    assert weights_path("gtr-mini") == tmp_path / "elsewhere" / "gtr-mini.safetensors"


@pytest.mark.parametrize("exists", [True, False])
def test_without_weights(folder: Path, exists: bool) -> None:
    if not exists:
        folder.rmdir()
    entries = {e.name: e for e in list_models()}
    assert list(entries) == ["fit", "gtr-release", "gtr-paper", "gtr-mini"]
    assert entries["fit"] == ModelEntry("fit", "fit", None, 0, "", "Apache-2.0", "built in")
    for name in ("gtr-release", "gtr-paper", "gtr-mini"):
        assert (entries[name].state, entries[name].path, entries[name].bytes) == ("missing", None, 0)
        assert "fit" in entries[name].reason
    assert "gtr download" in entries["gtr-release"].reason
    assert entries["gtr-release"].licence == "Snap non-commercial"
    assert list(folder.parent.iterdir()) == ([folder] if exists else [])


def test_weights_of_a_preset(put: Callable[..., Path]) -> None:
    path = put("gtr-mini", preset="gtr-mini")
    assert find_weights("gtr-mini") == path
    assert entry("gtr-mini") == ModelEntry(
        "gtr-mini", "gtr-mini", path, path.stat().st_size, hash_file(path), "CC0", "ready"
    )


def test_other_files_go_by_their_names(put: Callable[..., Path], folder: Path) -> None:
    path = put("my-chairs.v2")
    put("gtr-tiny")
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden.safetensors").write_bytes(b"")
    (folder / "with space.safetensors").write_bytes(b"")
    names = [e.name for e in list_models()]
    assert names[4:] == ["gtr-tiny", "my-chairs.v2"]
    found = entry("my-chairs.v2")
    assert (found.preset, found.path, found.state) == ("gtr-tiny", path, "ready")
    assert find_weights("my-chairs.v2") == path


@pytest.mark.parametrize("name", ["gtr-smoke", "gtr-tiny"])
def test_presets_to_try_training_with_are_listed_when_they_are_there(put: Callable[..., Path], name: str) -> None:
    assert name not in [e.name for e in list_models()]
    path = put(name, preset=name)
    assert (entry(name).state, entry(name).preset, entry(name).path) == ("ready", name, path)


def test_missing_weights_say_where_and_what_to_do(folder: Path) -> None:
    with pytest.raises(GtrError) as caught:
        find_weights("gtr-release")
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert caught.value.message == f"There are no weights of gtr-release in {folder}."
    assert all(words in caught.value.hint for words in ("gtr download", "gtr convert", "preset fit"))


@pytest.mark.parametrize("name", ["", "..", "../secret", "a/b", "a\\b", ".hidden", "a b", "x" * 101, "c:x", "ä"])
def test_names_are_no_paths(name: str, folder: Path) -> None:
    with pytest.raises(GtrError, match="no name of a model"):
        find_weights(name)


def test_broken_files_are_listed_with_their_reason(put: Callable[..., Path], folder: Path) -> None:
    def reason(content: bytes) -> str:
        path.write_bytes(content)
        found = entry("broken")
        assert (found.state, found.preset, found.sha256, found.path) == ("broken", "", "", path)
        assert found.bytes == len(content)
        return found.reason

    path = put("broken")
    good = path.read_bytes()
    save_file({"a": torch.ones(3)}, folder / "foreign.safetensors")
    assert "cannot be read" in reason(b"")
    assert "cannot be read" in reason(good[: len(good) // 2])
    assert "cannot be read" in reason(good + b"more")
    assert "cannot be read" in reason((1 << 60).to_bytes(8, "little") + good[8:])
    assert "holds no GTR network" in reason((folder / "foreign.safetensors").read_bytes())
    assert "does not understand" in reason(good.replace(b'\\"width\\"', b'\\"wedth\\"'))
    length = 9 << 20
    assert "table of contents of 9 MB" in reason(length.to_bytes(8, "little") + b" " * (length + 1))
    assert entry("foreign").state == "broken"


def test_broken_weights_of_a_preset_keep_its_name(folder: Path) -> None:
    (folder / "gtr-release.safetensors").write_bytes(b"nothing")
    found = entry("gtr-release")
    assert (found.state, found.preset) == ("broken", "gtr-release")
    (folder / "gtr-mini.safetensors").mkdir()
    assert (entry("gtr-mini").state, entry("gtr-mini").bytes) == ("broken", 0)


@pytest.mark.skipif(os.name != "posix", reason="devices")
def test_devices_are_not_read(folder: Path) -> None:
    (folder / "endless.safetensors").symlink_to("/dev/zero")
    assert entry("endless").state == "broken"
    with pytest.raises(GtrError):
        find_weights("endless")


def test_checksums_are_computed_once(put: Callable[..., Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("mine")
    counted: list[Path] = []

    def count(path: Path, progress: object) -> str:
        counted.append(path)
        return hash_file(path)

    monkeypatch.setattr(library, "hash_weights", count)
    assert entry("mine", checksums=False).sha256 == ""
    assert not counted
    digest = entry("mine").sha256
    assert digest == hash_file(path)
    assert entry("mine").sha256 == entry("mine", checksums=False).sha256 == digest
    assert counted == [path]
    os.utime(path, ns=(1, 1))
    assert entry("mine", checksums=False).sha256 == ""
    assert entry("mine").sha256 == digest
    assert counted == [path, path]
    ledger = json.loads((folder / ".checksums.json").read_bytes())
    assert list(ledger.values()) == [digest]  # the outdated line is gone


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_damaged_ledger_costs_only_time(put: Callable[..., Path], folder: Path, content: bytes) -> None:
    (folder / ".checksums.json").write_bytes(content)
    path = put("mine")
    assert entry("mine").sha256 == hash_file(path)


def test_listing_does_not_load_torch(put: Callable[..., Path]) -> None:
    put("mine")
    code = (
        "import sys\n"
        "from gtr_core.cli.main import main\n"
        "assert main(['models', '--json']) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["models"][-1]["name"] == "mine"
