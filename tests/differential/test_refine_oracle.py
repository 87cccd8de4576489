"""The fast refinement against the straightforward one: the same loss, the same gradient, the same steps."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from texture_scene import make_field, painted_ball

from gtr_core.stages.pixel_source import PixelSource
from gtr_core.stages.straightforward import refine_straightforward, texture_loss
from gtr_core.stages.surface_samples import sample_surface
from gtr_core.stages.texel_rows import ActiveTexels
from gtr_core.stages.texture import refine_texture
from gtr_core.stages.texture_config import PAPER_EXACT, RELEASE_EXACT
from gtr_core.stages.texture_gradient import TextureGradient
from gtr_core.stages.texture_pixels import TexturedSurface
from gtr_core.stages.texture_state import TextureOptimizer

CONFIGS = {
    "release": RELEASE_EXACT,
    "paper": PAPER_EXACT,
    "one sample": replace(PAPER_EXACT, supersample=1),
    "vertices": replace(PAPER_EXACT, colors_at="vertices"),
    "inner pixels": replace(RELEASE_EXACT, colors_at="vertices", supersample=1, inner_pixels_only=True),
    "subsets": replace(PAPER_EXACT, pixels_per_step=700),
}


@pytest.fixture(scope="module")
def scene():
    return painted_ball()


def relative(ours, theirs):
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


@pytest.mark.parametrize("hidden", [8, 40])
@pytest.mark.parametrize("name", CONFIGS)
def test_loss_and_gradient_are_those_of_the_straightforward_version(scene, name, hidden):
    config, field = CONFIGS[name], make_field(hidden=hidden)
    samples = sample_surface(*scene, config)
    surface, batch = TexturedSurface(field, samples, config), PixelSource(samples, config, 0).draw(2)

    active = ActiveTexels.read_at(surface.all_points(), field.planes.shape[-1])
    optimizer = TextureOptimizer(field.planes, field.color_mlp, config, active)
    loss = TextureGradient(surface, optimizer, config).accumulate(batch)

    planes, network = field.planes.clone().requires_grad_(), copy.deepcopy(field.color_mlp)
    expected = texture_loss(surface, planes, network, batch, config)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    ours = active.scatter(optimizer.texels.grad, torch.zeros_like(planes))
    assert relative(ours, planes.grad) < 1e-5
    untouched = (planes.grad == 0).all(1, keepdim=True)
    assert (ours == 0)[untouched.expand_as(ours)].all()
    for mine, theirs in zip(optimizer.color_mlp.parameters(), network.parameters(), strict=True):
        assert relative(mine.grad, theirs.grad) < 1e-5


@pytest.mark.parametrize("name", ["release", "paper", "subsets"])
def test_ten_steps_give_the_same_losses_and_pictures(scene, name):
    config, field, steps = CONFIGS[name], make_field(), 10
    refined, state, log = refine_texture(field, *scene, config, steps=steps)
    samples = sample_surface(*scene, config)
    surface, source = TexturedSurface(field, samples, config), PixelSource(samples, config, 0)
    planes, network, losses = refine_straightforward(surface, field.planes, field.color_mlp, source.draw, config, steps)
    assert log.losses == pytest.approx(losses, rel=2e-4)
    sites = surface.sites(torch.arange(len(samples)))
    with torch.no_grad():
        ours = surface.pixel_colors(refined.planes, refined.color_mlp, sites)
        theirs = surface.pixel_colors(planes, network, sites)
    # texels whose gradient is nothing but rounding move by a whole learning rate, so compare pictures by PSNR
    assert -10 * math.log10(float((ours - theirs).square().mean()) + 1e-12) > 55
    assert torch.equal(state.tensors["planes"], refined.planes)
    untouched = state.tensors["planes.exp_avg_sq"] == 0
    assert torch.allclose(refined.planes[untouched], planes[untouched], rtol=1e-5)
