"""Refining the planes alone, the colour network alone, or both (the paper's Table 3)."""

from dataclasses import replace

import pytest
import torch
from texture_scene import make_field, painted_ball

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.pipeline import Pipeline, Reconstruction
from gtr_core.presets import get_preset
from gtr_core.stages.pixel_source import PixelSource
from gtr_core.stages.straightforward import refine_straightforward
from gtr_core.stages.surface_samples import sample_surface
from gtr_core.stages.texture import refine_texture
from gtr_core.stages.texture_config import FIT, PAPER_EXACT, RELEASE
from gtr_core.stages.texture_pixels import TexturedSurface

CONFIGS = {
    "stochastic": replace(RELEASE, pixels_per_step=1500),
    "exact": PAPER_EXACT,
    "vertices": replace(FIT, pixels_per_step=512, held_out=0.2),
}
ALONE = ("planes", "color_mlp")


@pytest.fixture(scope="module")
def scene():
    return painted_ball()


def weights_of(network):
    return [parameter.detach() for parameter in network.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def texture_of(field):
    return {"planes": [field.planes], "color_mlp": weights_of(field.color_mlp)}


def tensors_of(state):
    networks = [name for name in state.tensors if name.startswith("color_mlp.") and ".exp_avg" not in name]
    return {"planes": [state.tensors["planes"]], "color_mlp": [state.tensors[name] for name in networks]}


def bright_field(hidden):
    """Colours that are wrong on the whole, so that either part alone has something to learn."""
    field = make_field(hidden=hidden)
    with torch.no_grad():
        field.color_mlp.layers[-1].bias.fill_(1.0)
    return field


def error_of(field, scene, config):
    """Mean squared error of all pixels that meet the surface."""
    samples = sample_surface(*scene, config)
    surface, every = TexturedSurface(field, samples, config), torch.arange(len(samples))
    with torch.no_grad():
        colors = surface.pixel_colors(field.planes, field.color_mlp, surface.sites(every))
    return float((colors - samples.target).square().mean())


@pytest.mark.parametrize("hidden", [8, 40], ids=["summed", "plane by plane"])
@pytest.mark.parametrize("learns", ALONE)
@pytest.mark.parametrize("name", CONFIGS)
def test_only_what_learns_changes_and_the_picture_comes_closer(scene, name, learns, hidden):
    field = bright_field(hidden)
    frozen = next(part for part in ALONE if part != learns)
    config = replace(CONFIGS[name], learns=learns, color_mlp_lr=1e-2)
    refined, state, _ = refine_texture(field, *scene, config, steps=20)
    assert same(texture_of(refined)[frozen], texture_of(field)[frozen])
    assert same(tensors_of(state)[frozen], texture_of(field)[frozen])
    assert not same(texture_of(refined)[learns], texture_of(field)[learns])
    assert error_of(refined, scene, config) < 0.9 * error_of(field, scene, config)
    assert not any(key.startswith(f"{frozen}.") and ".exp_avg" in key for key in state.tensors)


@pytest.mark.parametrize("learns", ALONE)
@pytest.mark.parametrize("hidden", [8, 40], ids=["summed", "plane by plane"])
def test_alone_learns_as_the_straightforward_version_does(scene, learns, hidden):
    config, field, steps = replace(PAPER_EXACT, learns=learns), make_field(hidden=hidden), 5
    refined, _, log = refine_texture(field, *scene, config, steps=steps)
    samples = sample_surface(*scene, config)
    surface, source = TexturedSurface(field, samples, config), PixelSource(samples, config, 0)
    planes, network, losses = refine_straightforward(surface, field.planes, field.color_mlp, source.draw, config, steps)
    assert log.losses == pytest.approx(losses, rel=2e-4)
    if learns == "planes":
        assert same(weights_of(network), weights_of(field.color_mlp))
    else:
        assert torch.equal(planes, field.planes)
        for ours, theirs in zip(weights_of(refined.color_mlp), weights_of(network), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("learns", ALONE)
@pytest.mark.parametrize("name", CONFIGS)
def test_going_on_later_equals_going_on(scene, name, learns):
    config, field = replace(CONFIGS[name], learns=learns), make_field()
    whole, state, log = refine_texture(field, *scene, config, steps=8, seed=5)
    part, first, first_log = refine_texture(field, *scene, config, steps=4, seed=5)
    part, second, second_log = refine_texture(part, *scene, config, steps=4, state=first)
    assert first_log.losses + second_log.losses == log.losses
    assert torch.allclose(part.planes, whole.planes, rtol=1e-6, atol=0)
    assert same(weights_of(part.color_mlp), weights_of(whole.color_mlp))
    assert state.tensors.keys() == second.tensors.keys()


def test_a_part_can_rest_for_a_while(scene):
    config, field = CONFIGS["stochastic"], make_field()
    one, state, _ = refine_texture(field, *scene, config, steps=4)
    for learns in ("planes", "color_mlp", "planes"):
        frozen = next(part for part in ALONE if part != learns)
        before = tensors_of(state)
        one, state, _ = refine_texture(one, *scene, replace(config, learns=learns), steps=3, state=state)
        assert same(tensors_of(state)[frozen], before[frozen])
        assert not same(tensors_of(state)[learns], before[learns])
    both, state, log = refine_texture(one, *scene, config, steps=3, state=state)
    assert state.steps == 16
    assert all(torch.isfinite(torch.tensor(log.losses)))
    assert not same(texture_of(both)["planes"], texture_of(one)["planes"])


def test_the_pipeline_offers_it(scene):
    mesh, views = scene
    pipeline = Pipeline(get_preset("gtr-tiny"), torch.device("cpu"))
    start = Reconstruction(views, make_field(), mesh, "gtr-tiny")
    colors = pipeline.refine_texture(start, steps=3, learns="color_mlp")
    planes = pipeline.refine_texture(start, steps=3, learns="planes", exact=True)
    assert torch.equal(colors.field.planes, start.field.planes)
    assert same(weights_of(planes.field.color_mlp), weights_of(start.field.color_mlp))
    assert not torch.equal(planes.field.planes, start.field.planes)
    with pytest.raises(GtrError, match="cannot be learned alone") as refused:
        pipeline.refine_texture(start, learns="shape")
    assert refused.value.code is ErrorCode.BAD_INPUT
