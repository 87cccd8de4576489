"""What the add-on knows of the server's models, and how it hands it a file of weights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blender_addon.errors import ClientError
from blender_addon.link import model_list
from blender_addon.link.model_list import KNOWN, ModelInfo, add_model_file, models_folder, read_models
from blender_addon.link.server_line import ready_line
from blender_addon.messages import failure

ENTRY = {
    "id": "gtr-mini", "preset": "gtr-mini", "sha256": None, "bytes": 46, "state": "ready", "code": None, "detail": "",
    "license": None,
}  # fmt: skip


def test_the_list_of_the_server_is_read() -> None:
    absent = {**ENTRY, "id": "gtr-release", "state": "absent", "bytes": 0, "detail": "There are no weights."}
    found = read_models({"models": [ENTRY, absent]})
    assert found == (
        ModelInfo("gtr-mini", "ready", "gtr-mini", "", 46),
        ModelInfo("gtr-release", "absent", "gtr-mini", "There are no weights.", 0),
    )
    assert [model.usable for model in found] == [True, False]


@pytest.mark.parametrize(
    "models", [None, 3, "fit", [3, {}, {"id": 4, "state": "ready"}, {"id": "x", "state": "new"}], {"id": "fit"}]
)
def test_malformed_lists_are_left_out(models: object) -> None:
    assert read_models({"models": models}) == ()


def test_what_a_server_says_never_reaches_the_panel_raw() -> None:
    (model,) = read_models({"models": [{**ENTRY, "id": "a\nb" * 99, "detail": "\x1b[1m" + "x" * 999, "bytes": -4}]})
    assert model.id.isprintable()
    assert model.text.isprintable()
    assert (len(model.id), len(model.text), model.bytes) == (128, 240, 0)


def test_the_line_carries_models_and_folder() -> None:
    line = ready_line(
        {"models": [ENTRY], "models_folder": "/models", "device": {"name": "2 CPU threads"}}, managed=True
    )
    assert (line.state, line.models_folder, line.device) == ("ready", "/models", "2 CPU threads")
    assert [model.id for model in line.models] == ["gtr-mini"]
    assert ready_line({"worker": {"state": "starting"}, "models": [ENTRY]}, managed=True).models == line.models
    assert ready_line({"models_folder": 3}, managed=False).models_folder == ""


def test_fit_is_known_without_a_server_and_needs_nothing() -> None:
    assert KNOWN[0].id == "fit"
    assert [model.learned for model in KNOWN] == [False, True, True, True]
    assert all(model.usable for model in KNOWN)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "My model (2).safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


def test_a_file_is_linked_under_a_name_that_a_job_can_use(weights: Path, tmp_path: Path) -> None:
    name = add_model_file(weights, tmp_path / "models")
    assert name == "My_model__2_"
    target = tmp_path / "models" / f"{name}.safetensors"
    assert target.samefile(weights)
    # Chosen again, from where it was or from the folder: it is the same model.
    assert add_model_file(weights, tmp_path / "models") == name
    assert add_model_file(target, tmp_path / "models") == name
    assert len(list(target.parent.iterdir())) == 1


def test_another_file_of_the_same_name_is_not_overwritten(weights: Path, tmp_path: Path) -> None:
    first = add_model_file(weights, tmp_path / "models")
    other = tmp_path / weights.name
    other.write_bytes(b"other weights")
    second = add_model_file(other, tmp_path / "models")
    assert second == f"{first}_2"
    assert (tmp_path / "models" / f"{first}.safetensors").read_bytes() == b"weights"
    assert (tmp_path / "models" / f"{second}.safetensors").read_bytes() == b"other weights"


def test_without_links_it_is_copied(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_paths: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(model_list.os, "link", refuse)
    monkeypatch.setattr(model_list.os, "symlink", refuse)
    target = tmp_path / "models" / f"{add_model_file(weights, tmp_path / 'models')}.safetensors"
    weights.unlink()
    assert target.read_bytes() == b"weights"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_link_whose_file_is_gone_is_replaced(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "My_model__2_.safetensors").symlink_to(tmp_path / "nowhere")
    assert add_model_file(weights, folder) == "My_model__2_"
    assert (folder / "My_model__2_.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("full_checkpoint.pth", "checkpoint_format"),
        ("model.CKPT", "checkpoint_format"),
        ("notes.txt", "missing_weights"),
        ("absent.safetensors", "missing_weights"),
        ("", "missing_weights"),
    ],
)
def test_other_files_get_a_sentence_and_a_way_out(tmp_path: Path, name: str, row: str) -> None:
    if name and "absent" not in name:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ClientError) as caught:
        add_model_file(tmp_path / name if name else Path(), tmp_path / "models")
    message = failure(caught.value)
    assert message.code == row
    assert message.text.endswith(".")
    if row == "checkpoint_format":
        assert message.details.splitlines()[-1] == str(tmp_path / name)  # for the command that the button copies
    assert not (tmp_path / "models").exists()


def test_missing_weights_offer_fit_first() -> None:
    message = failure(ClientError("model_unavailable", "There are no weights of gtr-mini in the models folder."))
    assert message.text == "There are no weights of gtr-mini in the models folder."
    assert message.buttons == (("Use fit", "use_fit"), ("Choose File", "choose_model_file"))


def test_models_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GTR_HOME", str(tmp_path))
    monkeypatch.delenv("GTR_MODELS", raising=False)
    assert models_folder() == tmp_path / "models"
    monkeypatch.setenv("GTR_MODELS", os.devnull)
    assert models_folder() == Path(os.devnull)
