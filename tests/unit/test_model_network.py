"""The whole network: orders of tokens and texels, variants, starting values."""

from dataclasses import replace

import pytest
import torch

from gtr_core.model.config import ModelConfig
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR, is_heavy
from gtr_core.model.image_encoder import ConvEncoder
from gtr_core.model.precision import fast_dtype
from gtr_core.model.upsampler import DeconvolutionUpsampler, PixelShuffleUpsampler
from gtr_core.progress import Cancelled

TINY = CONFIGS["gtr-tiny"]
PLANES = (1, 3, TINY.plane_channels, TINY.plane_resolution, TINY.plane_resolution)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(seed=0, **changes):
    return GTR(replace(TINY, **changes), generator=seeded(seed)).eval()


def pictures(views=3, height=32, width=32, batch=1, seed=1):
    return torch.rand(batch, views, 10, height, width, generator=seeded(seed))


def test_image_tokens_are_view_major_then_row_major_also_when_not_square():
    encoder = ConvEncoder(3, 8)
    with torch.no_grad():
        encoder.proj.weight.zero_()
        encoder.proj.weight[0, 0] = 1 / 64  # mean red
        encoder.proj.weight[1, 9] = 1 / 64  # mean mask
        encoder.proj.weight[2, 0, 7, 0] = 1  # red of the lower left pixel
    views, rows, columns = 2, 2, 3
    image = torch.zeros(1, views, 10, rows * 8, columns * 8)
    for v in range(views):
        for r in range(rows):
            for c in range(columns):
                image[0, v, 0, r * 8 : r * 8 + 8, c * 8 : c * 8 + 8] = 100 * v + 10 * r + c
    image[0, :, 0, 7, 0] += 0.5
    image[0, 1, 9] = 1
    tokens = encoder(image)[0]
    expected = [100 * v + 10 * r + c for v in range(views) for r in range(rows) for c in range(columns)]
    assert tokens.shape == (12, 3)
    assert tokens[:, 2].tolist() == pytest.approx([0.5, *expected[1:6], 100.5, *expected[7:]])
    assert tokens[:, 0].round().tolist() == pytest.approx(expected)
    assert tokens[:, 1].tolist() == pytest.approx([0] * 6 + [1] * 6)
    assert encoder.proj.bias is None


def test_pictures_that_do_not_divide_into_patches_are_refused():
    with pytest.raises(ValueError, match="30 x 32 px do not divide into patches of 8 px"):
        tiny().planes_from(pictures(width=30))


def test_pixel_shuffle_order_is_channel_then_row_then_column():
    upsampler = PixelShuffleUpsampler(replace(TINY, width=8), generator=seeded())
    torch.nn.init.normal_(upsampler.proj.bias, generator=seeded(1))
    tokens = torch.randn(3, 2, 5, 8, generator=seeded(2))
    planes = upsampler(tokens)
    assert planes.shape == (3, TINY.plane_channels, 2 * TINY.upsample, 5 * TINY.upsample)
    s = TINY.upsample
    for plane in range(3):
        for row in range(2):
            for column in range(5):
                out = upsampler.proj.weight @ tokens[plane, row, column] + upsampler.proj.bias
                for c in range(TINY.plane_channels):
                    for dy in range(s):
                        for dx in range(s):
                            texel = planes[plane, c, row * s + dy, column * s + dx]
                            assert texel.item() == pytest.approx(out[c * s * s + dy * s + dx].item(), abs=1e-5)


def still(model):
    """Make the blocks pass their tokens unchanged."""
    with torch.no_grad():
        for block in model.transformer.blocks:
            for layer in (block.attention.to_out, block.feed_forward.contract):
                layer.weight.zero_()
                layer.bias.zero_()
    return model


def test_learned_planes_become_the_planes_of_the_field_in_their_own_order():
    """With blocks that change nothing each texel is norm and projection of one learned token: plane, row, column."""
    model = still(tiny())
    generator = seeded(5)
    with torch.no_grad():
        model.planes.copy_(torch.randn(model.planes.shape, generator=generator))
        model.transformer.norm.weight.normal_(generator=generator)
        planes = model.planes_from(pictures())[0]
        side, s = TINY.plane_tokens, TINY.upsample
        for plane in range(3):
            for row in range(side):
                for column in range(side):
                    token = model.transformer.norm(model.planes[0, plane, :, row, column])
                    square = model.upsampler.proj(token).view(TINY.plane_channels, s, s)
                    own = planes[plane, :, row * s : row * s + s, column * s : column * s + s]
                    assert torch.allclose(own, square, atol=1e-5)


def test_all_tokens_meet_and_only_plane_tokens_leave():
    model, images = tiny(), pictures()
    seen = []
    for block in model.transformer.blocks:
        block.register_forward_hook(lambda module, given, result: seen.append((given[0], result)))
    with torch.no_grad():
        model.planes_from(images)
        encoded = model.image_norm(model.image_encoder(images))
    planes, image_tokens = 3 * TINY.plane_tokens**2, 3 * (32 // 8) ** 2
    assert seen[0][0].shape == (1, planes + image_tokens, TINY.width)
    assert torch.equal(seen[0][0][:, planes:], encoded)  # plane tokens come first
    assert seen[-1][1].shape == (1, planes, TINY.width)


def test_image_tokens_are_normalised_with_the_reference_eps():
    model = tiny()
    assert model.image_norm.eps == model.transformer.norm.eps == 1e-5
    assert {block.norm1.eps for block in model.transformer.blocks} == {1e-5}
    with torch.no_grad():
        model.image_encoder.proj.weight.mul_(1e-3)
        tokens = model.image_encoder(pictures())
        expected = torch.nn.functional.layer_norm(tokens, (TINY.width,), eps=1e-5)
        assert not torch.allclose(expected, torch.nn.functional.layer_norm(tokens, (TINY.width,), eps=1e-6), atol=1e-2)
        assert torch.allclose(model.image_norm(tokens), expected)


def test_any_number_of_views_in_any_order_and_of_any_divisible_size():
    model, images = tiny(), pictures(views=5, height=16, width=40)
    with torch.no_grad():
        planes = model.planes_from(images)
        assert planes.shape == PLANES
        assert torch.allclose(model.planes_from(images[:, [4, 2, 0, 1, 3]]), planes, atol=1e-5)
        assert not torch.allclose(model.planes_from(images[:, :4]), planes, atol=1e-3)
        # where a patch stands in its picture is told by its rays alone
        rolled = model.planes_from(images.roll(8, dims=-1))
        assert torch.allclose(rolled, planes, atol=1e-5)


def test_objects_of_a_batch_do_not_see_each_other():
    model, images = tiny(), pictures(batch=3)
    with torch.no_grad():
        together = model.planes_from(images)
        assert torch.allclose(together[1:2], model.planes_from(images[1:2]), atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_a_seed_gives_the_same_network_and_torchs_own_generator_is_not_its_source():
    torch.manual_seed(1)
    first = tiny(3)
    torch.manual_seed(2)
    second, third = tiny(3), tiny(4)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.planes, third.planes)


def test_starting_values_of_the_learned_planes_have_the_reference_spread():
    model = GTR(replace(TINY, width=64, plane_tokens=16), generator=seeded())
    assert model.planes.std().item() == pytest.approx(64**-0.5, rel=0.02)


def test_cancelled_reconstruction_leaves_the_network_as_it_was():
    model, images = tiny(), pictures()
    with torch.no_grad():
        expected = model.planes_from(images)

    def stop(stage, done, total):
        if done == 1:
            raise Cancelled

    with torch.no_grad():
        with pytest.raises(Cancelled):
            model.planes_from(images, progress=stop)
        assert torch.equal(model.planes_from(images), expected)


def test_even_upsampling_starts_without_seams_inside_a_token():
    planes = tiny(even_upsampling=True).planes_from(pictures())[0]
    s = TINY.upsample
    squares = planes.unflatten(2, (-1, s)).unflatten(4, (-1, s))
    assert torch.equal(squares, squares[:, :, :, :1, :, :1].expand_as(squares))
    assert planes.std() > 0.01
    rough = tiny().planes_from(pictures())[0].unflatten(2, (-1, s)).unflatten(4, (-1, s))
    assert not torch.equal(rough, rough[:, :, :, :1, :, :1].expand_as(rough))


def test_untrained_mini_is_nearly_empty():
    config = CONFIGS["gtr-mini"]
    model = GTR(replace(config, num_blocks=1, plane_tokens=4, image_size=32), generator=seeded())
    with torch.no_grad():
        field = model.field(model.planes_from(pictures(height=32, width=32))[0])
        density = field.density(torch.rand(2000, 3, generator=seeded(2)) * 2 - 1)
    assert field.density_head == config.density_head
    assert model.density_mlp.layers[-1].bias.item() == -0.5
    assert density.median() < 10
    assert (density < 10).float().mean() > 0.9


def test_deconvolution_variant_gives_the_same_planes_shape():
    model = tiny(upsampler="deconvolution")
    assert isinstance(model.upsampler, DeconvolutionUpsampler)
    assert model.planes_from(pictures()).shape == PLANES
    released = DeconvolutionUpsampler(replace(ModelConfig(), width=32))
    assert [layer.out_channels for layer in released.layers] == [40, 40, 40]
    with pytest.raises(ValueError, match="power of two, not by 6"):
        DeconvolutionUpsampler(replace(TINY, upsample=6))


def test_deconvolution_overlaps_unevenly_and_pixel_shuffle_does_not():
    """The reason for the paper's change: equal tokens give a grid pattern only with deconvolution."""
    torch_ones = torch.ones(1, 6, 6, TINY.width)
    shuffle = PixelShuffleUpsampler(replace(TINY, even_upsampling=True), generator=seeded())(torch_ones)
    grid = DeconvolutionUpsampler(TINY, generator=seeded())(torch_ones)
    assert shuffle[0, 0, 8:16, 8:16].std() < 1e-6
    assert grid[0, 0, 8:16, 8:16].std() > 1e-3


def test_shared_decoder_has_one_set_of_weights_for_density_and_colour():
    model = tiny(shared_decoder=True)
    names = [name for name, _ in model.named_parameters() if "_mlp" in name]
    assert all(name.startswith("density_mlp.shared.") for name in names)
    features = torch.randn(5, 3 * TINY.plane_channels, generator=seeded(1))
    outputs = model.density_mlp.shared(features)
    assert torch.equal(model.density_mlp(features), outputs[:, :1])
    assert torch.equal(model.color_mlp(features), outputs[:, 1:])


def test_gradients_reach_every_parameter():
    for changes in ({}, {"shared_decoder": True, "upsampler": "deconvolution"}, {"qk_norm": True, "bias": False}):
        model = tiny(**changes).train()
        field = model.field(model.planes_from(pictures())[0])
        points = torch.rand(64, 3, generator=seeded(3)) * 2 - 1
        (field.density(points).mean() + field.color(points).square().mean()).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_heavy_layers_are_the_linear_layers_of_the_blocks():
    model = tiny(qk_norm=True)
    linear = {
        f"transformer.{name}.{kind}"
        for name, layer in model.transformer.named_modules()
        if isinstance(layer, torch.nn.Linear)
        for kind, value in layer.named_parameters()
        if value is not None
    }
    assert {name for name, _ in model.named_parameters() if is_heavy(name)} == linear
    model.compute_in(torch.bfloat16)
    assert all((value.dtype == torch.bfloat16) == (name in linear) for name, value in model.named_parameters())


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_cpus_without_fast_bfloat16_compute_in_float32(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert fast_dtype(torch.device("cpu")) is expected
