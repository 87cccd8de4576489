"""The pretrained encoders of Appendix A: which tokens they make, and what of them learns."""

import copy
from pathlib import Path

import pytest
import torch
from tiny_encoders import DINOS, VAES, build, conditioning, config_for, encoder_for, fault_of, save_tiny_networks
from torch import Tensor, nn

from gtr_core.errors import ErrorCode
from gtr_core.model.backbone import PIXELS_AT_ONCE, Backbone, weights_digest
from gtr_core.model.dino_encoder import DinoEncoder
from gtr_core.model.vae_encoder import LARGEST_MOMENT, VaeEncoder, as_pictures


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_tiny_networks(tmp_path_factory.mktemp("pretrained"))


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


@pytest.mark.parametrize("trainable", [False, True])
def test_an_encoder_is_built_inside_a_network_without_memory(trainable: bool, folders: dict[str, Path]) -> None:
    with torch.device("meta"):
        encode = build(config_for("kl", folders["kl"], trainable=trainable))
    assert encode.join.weight.is_meta
    tensors = [*encode.backbone._network.parameters(), *encode.backbone.buffers()]
    assert tensors
    assert not any(tensor.is_meta for tensor in tensors)
    encode.load_state_dict(encoder_for("kl", folders["kl"], trainable=trainable).state_dict(), assign=True)
    with torch.no_grad():
        expected = encoder_for("kl", folders["kl"], trainable=trainable)(conditioning())
        assert torch.equal(encode(conditioning()), expected)


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


@pytest.mark.parametrize(("side", "calls"), [(2, [9]), (4, [4, 4, 1]), (8, [1] * 9), (16, [1] * 9)])
def test_a_network_is_called_with_few_pixels_at_once(
    side: int, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def note(network: nn.Linear, pictures: Tensor) -> Tensor:
        sizes.append(len(pictures))
        return pictures * network.weight

    monkeypatch.setitem(PIXELS_AT_ONCE, "cpu", 8 * 8)
    network = nn.Linear(1, 1)
    pictures = torch.rand(9, 3, side, side)
    assert torch.equal(Backbone(network, note, trainable=False)(pictures), pictures * network.weight)
    assert sizes == calls
