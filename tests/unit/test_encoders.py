"""The pretrained encoders of Appendix A, on tiny random networks that the tests save and load by path."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.backbone import IMAGES_AT_ONCE, Backbone, weights_digest
from gtr_core.model.config import ModelConfig
from gtr_core.model.configs import CONFIGS
from gtr_core.model.dino_encoder import DinoEncoder
from gtr_core.model.image_encoder import build_encoder
from gtr_core.model.pretrained import PretrainedOptions
from gtr_core.model.vae_encoder import LARGEST_MOMENT, VaeEncoder, as_pictures

ROOT = Path(__file__).resolve().parents[2]
Encoder = VaeEncoder | DinoEncoder


@pytest.fixture(autouse=True)
def empty_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No models folder and no network: what is found, the test put there."""
    monkeypatch.setenv("GTR_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.random.set_rng_state(state)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny random networks as diffusers and transformers save them, by kind."""
    from diffusers import AutoencoderKL, AutoencoderTiny
    from transformers import (
        Dinov2Config,
        Dinov2Model,
        Dinov2WithRegistersConfig,
        Dinov2WithRegistersModel,
        ViTConfig,
        ViTModel,
    )

    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("pretrained")
    vit = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    blocks = {"encoder_block_out_channels": (4,) * 3, "decoder_block_out_channels": (4,) * 3}
    networks = {
        "taesd": AutoencoderTiny(**blocks, num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1)),
        "kl": AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            norm_num_groups=2,
            scaling_factor=0.5,
            shift_factor=0.25,
        ),
        "vit": ViTModel(ViTConfig(**vit, intermediate_size=32, image_size=16, patch_size=8), add_pooling_layer=False),
        "dinov2": Dinov2Model(Dinov2Config(**vit, image_size=28, patch_size=14)),
        "dinov2_with_registers": Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(**vit, image_size=28, patch_size=14)
        ),
    }
    for name, network in networks.items():
        network.save_pretrained(root / name)
    return {name: root / name for name in networks}


VAES = ("taesd", "kl")
DINOS = ("vit", "dinov2", "dinov2_with_registers")


def config_for(kind: str, folder: Path | str, **options: bool | str) -> ModelConfig:
    encoder = "vae" if kind in VAES else "dino"
    return replace(CONFIGS["gtr-tiny"], encoder=encoder, encoder_options={"pretrained": str(folder), **options})


def encoder_for(kind: str, folder: Path | str, **options: bool | str) -> Encoder:
    return build(config_for(kind, folder, **options), seed=2)


def build(config: ModelConfig, seed: int | None = None) -> Encoder:
    encoder = build_encoder(config, generator=None if seed is None else torch.Generator().manual_seed(seed))
    assert isinstance(encoder, VaeEncoder if config.encoder == "vae" else DinoEncoder)
    return encoder


def conditioning(batch: int = 2, views: int = 3, height: int = 24, width: int = 16) -> Tensor:
    return torch.rand(batch, views, 10, height, width, generator=torch.Generator().manual_seed(3))


def fault_of(act: Callable[[], object]) -> GtrError:
    with pytest.raises(GtrError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", VAES + DINOS)
def test_every_patch_of_every_view_is_one_token(kind: str, folders: dict[str, Path]) -> None:
    given = conditioning()
    encode = encoder_for(kind, folders[kind])
    with torch.no_grad():
        tokens = encode(given)
        assert tokens.shape == (2, 3 * 3 * 2, 32)
        assert tokens.dtype == torch.float32
        for batch in range(2):
            for view in range(3):  # view-major; no view sees another
                alone = encode(given[batch : batch + 1, view : view + 1])
                torch.testing.assert_close(tokens[batch, view * 6 : view * 6 + 6], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["taesd", "vit"])
def test_pictures_that_do_not_divide_into_patches_are_refused(kind: str, folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="20 x 16 px do not divide into patches of 8 px"):
        encoder_for(kind, folders[kind])(conditioning(1, 1, 16, 20))


@pytest.mark.parametrize("kind", VAES + DINOS)
def test_tokens_run_along_rows(kind: str, folders: dict[str, Path]) -> None:
    # The patch in row 1, column 0 is token 2 of 3 x 2: rays (dino) and mask (vae) are seen there most.
    encode = encoder_for(kind, folders[kind])
    given = conditioning(1, 1)
    changed = given.clone()
    changed[..., 3:, 8:16, 0:8] += 1.0
    with torch.no_grad():
        difference = (encode(changed) - encode(given)).abs().sum(2)[0]
    assert int(difference.argmax()) == 2
    if kind in DINOS:  # here the rays go into their own token only
        assert torch.equal(difference.nonzero().flatten(), torch.tensor([2]))


@pytest.mark.parametrize("kind", VAES + DINOS)
def test_every_channel_reaches_the_tokens(kind: str, folders: dict[str, Path]) -> None:
    encode = encoder_for(kind, folders[kind])
    given = conditioning(1, 1).requires_grad_()
    encode(given).square().sum().backward()
    assert given.grad is not None
    assert (given.grad.abs().amax(dim=(0, 1, 3, 4)) > 0).all()


def test_image_mask_and_rays_are_pictures_of_their_own() -> None:
    given = conditioning(1, 2).flatten(0, 1)
    pictures = as_pictures(given)
    assert pictures.shape == (2, 4, 3, 24, 16)
    assert torch.equal(pictures[:, 0], given[:, 0:3] * 2 - 1)
    assert torch.equal(pictures[:, 1], given[:, 9:10].expand(-1, 3, -1, -1) * 2 - 1)
    assert torch.equal(pictures[:, 2], given[:, 3:6])
    torch.testing.assert_close(pictures[:, 3] * LARGEST_MOMENT, given[:, 6:9])


def test_vae_tokens_are_the_joined_latents_of_four_pictures(folders: dict[str, Path]) -> None:
    from diffusers import AutoencoderTiny

    network = AutoencoderTiny.from_pretrained(folders["taesd"], low_cpu_mem_usage=False)
    encode = encoder_for("taesd", folders["taesd"])
    assert isinstance(encode, VaeEncoder)
    assert encode.join.weight.shape == (32, 4 * 4, 2, 2)  # 8 px patches, latents of 4 px
    given = conditioning(1, 1)
    with torch.no_grad():
        latents = torch.cat([network.encode(picture[None]).latents for picture in as_pictures(given[0])[0]], dim=1)
        expected = encode.join(latents)[0].permute(1, 2, 0).reshape(1, -1, 32)
        torch.testing.assert_close(encode(given), expected)


def test_kl_latents_are_the_mean_shifted_and_scaled(folders: dict[str, Path]) -> None:
    from diffusers import AutoencoderKL

    network = AutoencoderKL.from_pretrained(folders["kl"], low_cpu_mem_usage=False)
    pictures = as_pictures(conditioning(1, 1)[0])[0]
    backbone = encoder_for("kl", folders["kl"]).backbone
    with torch.no_grad():
        expected = (network.encode(pictures).latent_dist.mean - 0.25) * 0.5
        torch.testing.assert_close(backbone(pictures), expected)


@pytest.mark.parametrize("kind", DINOS)
def test_dino_features_are_those_of_the_patches(kind: str, folders: dict[str, Path]) -> None:
    from transformers import AutoModel

    network = AutoModel.from_pretrained(folders[kind]).eval()
    encode = encoder_for(kind, folders[kind])
    assert isinstance(encode, DinoEncoder)
    given = conditioning(1, 1, 16, 16)  # the size it was pretrained for: no interpolation of position codes
    given[:, :, :3] = torch.tensor([0.485, 0.456, 0.406])[:, None, None] + torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ] * torch.arange(3.0).reshape(3, 1, 1)
    given[:, :, 3:] = 0.0
    side = 16 // 8 * network.config.patch_size
    pictures = torch.arange(3.0).reshape(1, 3, 1, 1).expand(1, 3, side, side)
    with torch.no_grad():
        features = network(pictures).last_hidden_state[:, -4:]
        torch.testing.assert_close(encode(given), encode.project(features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["taesd", "dinov2"])
def test_frozen_weights_stay_out_of_the_model(kind: str, folders: dict[str, Path]) -> None:
    encode = encoder_for(kind, folders[kind])
    own = {"join.weight"} if kind == "taesd" else {"project.weight", "rays.weight"}
    assert {name for name, _ in encode.named_parameters()} == own
    assert set(encode.state_dict()) == own | {"backbone.digest"}
    before = weights_digest(encode.backbone._network)
    encode.train()
    assert not any(module.training for module in encode.backbone._network.modules())
    torch.optim.AdamW(encode.parameters(), lr=1.0).zero_grad()
    encode(conditioning(1, 1)).square().sum().backward()
    torch.optim.AdamW(encode.parameters(), lr=1.0).step()
    assert weights_digest(encode.backbone._network) == before
    assert all(parameter.grad is None for parameter in encode.backbone._network.parameters())


@pytest.mark.parametrize("kind", ["taesd", "kl", "vit", "dinov2"])
def test_trainable_weights_learn_and_are_stored_with_the_model(kind: str, folders: dict[str, Path]) -> None:
    encode = encoder_for(kind, folders[kind], trainable=True)
    learned = {name: value.detach().clone() for name, value in encode.backbone.named_parameters()}
    assert learned
    assert not any("decoder" in name or "pooler" in name for name in learned)
    assert set(encode.state_dict()) >= {f"backbone.{name}" for name in learned}
    assert "backbone.digest" not in encode.state_dict()
    optimizer = torch.optim.SGD(encode.parameters(), lr=1.0)
    encode(conditioning(1, 1)).square().sum().backward()
    optimizer.step()
    changed = [name for name, value in encode.backbone.named_parameters() if not torch.equal(value, learned[name])]
    assert len(changed) > len(learned) / 2
    other = encoder_for(kind, folders[kind], trainable=True)
    other.load_state_dict(encode.state_dict())
    with torch.no_grad():
        assert torch.equal(other(conditioning()), encode(conditioning()))


def test_a_frozen_encoder_is_restored_from_both_files(folders: dict[str, Path]) -> None:
    encode, other = (build(config_for("taesd", folders["taesd"])) for _ in range(2))
    given = conditioning()
    with torch.no_grad():
        assert not torch.equal(encode(given), other(given))
        other.load_state_dict(encode.state_dict())
        assert torch.equal(encode(given), other(given))
        assert torch.equal(copy.deepcopy(encode)(given), encode(given))


def test_other_weights_than_those_of_the_training_are_refused(folders: dict[str, Path]) -> None:
    trained = encoder_for("vit", folders["vit"])
    state = trained.state_dict()
    with torch.no_grad():
        next(trained.backbone._network.parameters()).mul_(1.001)
    changed = Backbone(trained.backbone._network, lambda network, pictures: pictures, trainable=False)
    fault = fault_of(lambda: changed.load_state_dict({"digest": state["backbone.digest"]}))
    assert fault.code is ErrorCode.MODEL_UNAVAILABLE
    assert "other weights" in str(fault)


def test_a_frozen_network_follows_to_another_precision(folders: dict[str, Path]) -> None:
    encode = encoder_for("dinov2", folders["dinov2"])
    given = conditioning(1, 2)
    with torch.no_grad():
        exact = encode(given)
        rounded = encode.to(torch.bfloat16)(given)
    assert next(encode.backbone._network.parameters()).dtype == torch.bfloat16
    assert rounded.dtype == torch.bfloat16
    assert float((rounded.float() - exact).square().mean().sqrt() / exact.square().mean().sqrt()) < 3e-2
    encode.load_state_dict(encode.state_dict())  # the digest is of the float32 weights, whatever runs


def test_a_network_is_called_with_few_pictures_at_once() -> None:
    sizes: list[int] = []

    def note(network: nn.Linear, pictures: Tensor) -> Tensor:
        sizes.append(len(pictures))
        return pictures * network.weight

    backbone = Backbone(nn.Linear(1, 1), note, trainable=False)
    pictures = torch.rand(2 * IMAGES_AT_ONCE + 1, 3, 2, 2)
    assert backbone(pictures).shape == pictures.shape
    assert sizes == [IMAGES_AT_ONCE, IMAGES_AT_ONCE, 1]


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


@pytest.mark.parametrize(("kind", "name"), [("taesd", "madebyollin/taesd"), ("vit", "facebook/dino-vitb16")])
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


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no_weights": lambda folder: weights_of(folder).unlink(),
    "pickled_weights_only": lambda folder: weights_of(folder).rename(folder / "pytorch_model.bin"),
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


def test_the_core_loads_neither_diffusers_nor_transformers() -> None:
    code = """
import sys
for name in ("diffusers", "transformers", "huggingface_hub"): sys.modules[name] = None
import gtr_core.pipeline, gtr_core.model.gtr, gtr_core.model.vae_encoder, gtr_core.model.dino_encoder
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
