"""The fast network against the straightforward one: values, gradients and the bound of bfloat16."""

from dataclasses import replace

import pytest
import torch

from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.model.straightforward import straightforward_planes

TINY = CONFIGS["gtr-tiny"]
VARIANTS = [
    {},
    {"num_blocks": 1},
    {"qk_norm": True, "bias": False, "feed_forward": "gelu", "even_upsampling": True},
    {"num_heads": 4, "plane_tokens": 3, "upsample": 2, "plane_channels": 5},
]


def build(seed=0, **changes):
    generator = torch.Generator().manual_seed(seed)
    model = GTR(replace(TINY, **changes), generator=generator)
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # biases and norms that show when they are left out
            if name.endswith("bias") or "norm" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def pictures(views=3, batch=2, height=32, width=24):
    return torch.rand(batch, views, 10, height, width, generator=torch.Generator().manual_seed(1))


def relative_rms(value, exact):
    return float((value - exact).norm() / exact.norm())


@pytest.mark.parametrize("changes", VARIANTS)
def test_fast_and_straightforward_agree_in_float32(changes):
    model, images = build(**changes), pictures()
    with torch.no_grad():
        exact = straightforward_planes(model, images)
        assert torch.allclose(model.planes_from(images), exact, atol=2e-5)
    assert torch.allclose(model.planes_from(images), exact, atol=2e-5)


@pytest.mark.parametrize("changes", VARIANTS)
def test_gradients_agree(changes):
    model, images = build(**changes).double(), pictures().double()
    weights = torch.randn(3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def gradients(planes):
        loss = (planes.sin() * weights[None, :, None, None, None]).sum()
        wanted = {n: p for n, p in model.named_parameters() if "_mlp" not in n}
        return dict(zip(wanted, torch.autograd.grad(loss, list(wanted.values())), strict=True))

    fast = gradients(model.planes_from(images))
    exact = gradients(straightforward_planes(model, images, dtype=torch.float64))
    for name, gradient in exact.items():
        assert gradient.abs().max() > 0, name
        assert torch.allclose(fast[name], gradient, rtol=1e-7, atol=1e-9), name


@pytest.mark.parametrize("changes", [{}, {"qk_norm": True, "bias": False, "feed_forward": "gelu"}])
def test_bfloat16_stays_within_two_percent_over_24_blocks(changes):
    config = {"width": 128, "num_heads": 2, "num_blocks": 24, **changes}
    model, images = build(**config), pictures(batch=1)
    with torch.no_grad():
        exact = straightforward_planes(model, images)
        naive = straightforward_planes(model, images, dtype=torch.bfloat16).float()
        fast = model.compute_in(torch.bfloat16).planes_from(images)
    assert fast.dtype == torch.float32
    assert relative_rms(fast, exact) < 2e-2
    assert relative_rms(fast, exact) < relative_rms(naive, exact)


def test_training_under_autocast_reaches_float32_weights():
    model, images = build(qk_norm=True), pictures()
    exact = straightforward_planes(model, images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        planes = model.planes_from(images)
    assert relative_rms(planes.detach().float(), exact.detach()) < 2e-2
    planes.float().square().mean().backward()
    assert all(
        p.grad is not None and p.grad.dtype == torch.float32 for n, p in model.named_parameters() if "_mlp" not in n
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu():
    model, images = build(), pictures()
    with torch.no_grad():
        exact = straightforward_planes(model, images)
        model = model.cuda()
        assert torch.allclose(model.planes_from(images.cuda()).cpu(), exact, atol=1e-3)
        half = model.compute_in(torch.bfloat16).planes_from(images.cuda()).cpu()
    assert relative_rms(half, exact) < 2e-2
