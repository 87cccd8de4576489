"""Where the weights of the pretrained encoders come from, and everything that can be wrong with them."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_encoders import build, conditioning, config_for, encoder_for, fault_of, save_tiny_networks

from gtr_core.errors import ErrorCode
from gtr_core.model.gtr import GTR
from gtr_core.model.pretrained import PretrainedOptions
from gtr_core.model.weights import load_model, save_model


@pytest.fixture(autouse=True)
def empty_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No models folder and no network: what is found, the test put there."""
    monkeypatch.setenv("GTR_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_tiny_networks(tmp_path_factory.mktemp("pretrained"))


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("kind", ["taesd", "dinov2"])
def test_a_file_of_weights_holds_the_encoder_only_when_it_was_trained(
    kind: str, trainable: bool, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = GTR(config_for(kind, folders[kind], trainable=trainable), generator=torch.Generator().manual_seed(4))
    file = tmp_path / "model.safetensors"
    save_model(model, file, description={"preset": "gtr-tiny", "licence": "none", "source": "a test"})
    with safe_open(file, "pt") as opened:
        stored = {name for name in opened.keys() if name.startswith("image_encoder.backbone.")}  # noqa: SIM118
    learned = {f"image_encoder.backbone.{name}" for name, _ in model.image_encoder.backbone.named_parameters()}
    assert stored == (learned if trainable else {"image_encoder.backbone.digest"})
    loaded = load_model(file, dtype="float32")
    given = conditioning(1, 2, 32, 32)
    with torch.no_grad():
        planes = loaded.planes_from(given)
        assert planes.shape == (1, 3, 12, 32, 32)
        assert torch.equal(planes, model.eval().planes_from(given))


def test_a_file_of_weights_refuses_another_encoder_in_its_place(folders: dict[str, Path], tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    place, file = damaged(folders["taesd"], tmp_path / "taesd", lambda folder: None), tmp_path / "model.safetensors"
    save_model(GTR(config_for("taesd", place)), file, description={"preset": "gtr-tiny", "licence": "", "source": ""})
    network = AutoencoderTiny.from_pretrained(place, low_cpu_mem_usage=False)
    with torch.no_grad():
        network.encoder.layers[0].weight[0, 0, 0, 0] += 1e-3
    network.save_pretrained(place)
    fault = fault_of(lambda: load_model(file))
    assert fault.code is ErrorCode.MODEL_UNAVAILABLE
    assert "other weights" in fault.message


def test_weights_are_found_in_the_models_folder_and_its_subfolder(folders: dict[str, Path], tmp_path: Path) -> None:
    place = tmp_path / "models" / "stable" / "diffusion"
    place.mkdir(parents=True)
    (place / "vae").symlink_to(folders["kl"])
    with torch.no_grad():
        found = encoder_for("kl", "stable/diffusion", subfolder="vae")(conditioning())
        assert torch.equal(found, encoder_for("kl", folders["kl"])(conditioning()))


def test_weights_are_found_in_the_cache_of_the_hub(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0" * 39 + "1"
    cached = tmp_path / "models--owner--name"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / commit).symlink_to(folders["taesd"])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with torch.no_grad():
        found = encoder_for("taesd", "owner/name")(conditioning())
        assert torch.equal(found, encoder_for("taesd", folders["taesd"])(conditioning()))


@pytest.mark.parametrize(("kind", "name"), [("taesd", "madebyollin/taesd"), ("vit", "facebook/dinov2-base")])
def test_the_default_that_is_not_here_says_how_to_fetch_it(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    config = replace(config_for(kind, ""), encoder_options={})
    fault = fault_of(lambda: build(config))
    assert fault.code is ErrorCode.MODEL_UNAVAILABLE
    assert name in fault.message
    assert str(tmp_path / "models") in fault.message
    assert fault.hint == f"Fetch it once, with a network: hf download {name}"


@pytest.mark.parametrize("name", ["/no/such/folder", "no such name", "../..//x", "a/b/c"])
def test_a_name_that_is_no_folder_and_no_repository(name: str) -> None:
    fault = fault_of(lambda: encoder_for("vit", name))
    assert fault.code is ErrorCode.MODEL_UNAVAILABLE
    assert name in fault.message


def damaged(folder: Path, target: Path, change: Callable[[Path], object]) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    change(target)
    return target


def rewrite_config(**entries: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    return change


def weights_of(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


def only_a_pickle_to_load(folder: Path) -> None:
    weights = weights_of(folder)
    for name in ("pytorch_model.bin", "diffusion_pytorch_model.bin"):
        torch.save(load_file(weights), folder / name)
    weights.rename(folder / "other.safetensors")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no_weights": lambda folder: weights_of(folder).unlink(),
    "pickled_weights_only": lambda folder: weights_of(folder).rename(folder / "pytorch_model.bin"),
    "pickled_weights_and_another_file": only_a_pickle_to_load,
    "no_config": lambda folder: (folder / "config.json").unlink(),
    "config_is_no_json": lambda folder: (folder / "config.json").write_text("{"),
    "config_is_a_list": lambda folder: (folder / "config.json").write_text("[]"),
    "other_kind": rewrite_config(model_type="bert", _class_name="UNet2DModel"),
    "code_of_its_own": rewrite_config(
        model_type="mine", _class_name="Mine", auto_map={"AutoModel": "mine.Model", "AutoConfig": "mine.Config"}
    ),
    "truncated": lambda folder: weights_of(folder).write_bytes(weights_of(folder).read_bytes()[:-100]),
    "no_safetensors": lambda folder: weights_of(folder).write_bytes(b"\x80\x02}q\x00."),
    "other_shapes": rewrite_config(hidden_size=32, latent_channels=8),
    "more_layers": rewrite_config(num_hidden_layers=3, num_encoder_blocks=[2, 1, 1]),
    "ill_typed": rewrite_config(hidden_size="wide", latent_channels="many"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["taesd", "dinov2"])
def test_a_damaged_folder_is_one_sentence(kind: str, damage: str, folders: dict[str, Path], tmp_path: Path) -> None:
    place = damaged(folders[kind], tmp_path / "damaged", DAMAGES[damage])
    fault = fault_of(lambda: encoder_for(kind, place))
    assert fault.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(place) in str(fault)


def test_a_patch_that_the_autoencoder_does_not_divide(folders: dict[str, Path]) -> None:
    config = replace(config_for("taesd", folders["taesd"]), image_size=30, patch_size=10)
    fault = fault_of(lambda: build(config))
    assert fault.code is ErrorCode.MODEL_UNAVAILABLE
    assert "10 px" in fault.message


@pytest.mark.parametrize("options", [{"pretrained": 3}, {"trainable": "yes"}, {"trust_remote_code": True}])
def test_unknown_options_are_refused(options: dict[str, object]) -> None:
    fault = fault_of(lambda: PretrainedOptions.of(options, "owner/name"))
    assert fault.code is ErrorCode.MODEL_UNAVAILABLE
    assert next(iter(options)) in fault.message


@pytest.mark.parametrize(("kind", "package"), [("taesd", "diffusers"), ("vit", "transformers")])
def test_without_the_extra_one_sentence_says_how_to_install_it(
    kind: str, package: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    fault = fault_of(lambda: encoder_for(kind, folders[kind]))
    assert fault.code is ErrorCode.BACKEND_UNAVAILABLE
    assert package in fault.message
    assert fault.hint == "Install it with: pip install 'gtr-for-blender[encoders]'."
