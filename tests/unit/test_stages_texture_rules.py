"""The rules of the released refinement, each with a case that fails when it is got wrong."""

import copy
from dataclasses import replace

import pytest
import torch
from texture_scene import CHANNELS, RESOLUTION, make_field, painted_ball

from gtr_core.stages.pixel_source import PixelSource
from gtr_core.stages.straightforward import refine_straightforward
from gtr_core.stages.surface_samples import sample_surface
from gtr_core.stages.texel_rows import ActiveTexels
from gtr_core.stages.texture import refine_texture
from gtr_core.stages.texture_config import PAPER, PAPER_EXACT, RELEASE, RELEASE_EXACT
from gtr_core.stages.texture_learner import TextureLearner
from gtr_core.stages.texture_pixels import PixelBatch, TexturedSurface
from gtr_core.stages.texture_state import TextureOptimizer
from gtr_core.views import Views


@pytest.fixture(scope="module")
def scene():
    return painted_ball()


def untouched_by(mesh, views, config):
    """(3, 1, R, R) texels that no pixel of the views reads, from the gradient of plain bilinear sampling."""
    samples = sample_surface(mesh, views, config)
    planes = torch.ones(3, 1, RESOLUTION, RESOLUTION, requires_grad=True)
    surface = TexturedSurface(make_field(), samples, config)
    sites = surface.sites(torch.arange(len(samples)))
    surface.pixel_colors(planes, lambda features: features, sites).sum().backward()
    return planes.grad == 0


def test_untouched_texels_keep_68632_of_their_value_after_50_steps(scene):
    mesh, views = scene
    field, config = make_field(), replace(RELEASE_EXACT, supersample=1)
    refined, _, _ = refine_texture(field, mesh, views[[0]], config, steps=50)
    untouched = untouched_by(mesh, views[[0]], config).expand_as(field.planes)
    assert untouched.float().mean() > 0.3
    shares = (refined.planes / field.planes)[untouched]
    assert torch.allclose(shares, torch.tensor(0.68632), atol=1e-5)
    assert ((refined.planes / field.planes)[~untouched] - 0.68632).abs().median() > 0.1


@pytest.mark.parametrize("strengths", [(1.0, 1.0), (1.0, 0.5)])
def test_fading_goes_on_with_a_kept_state(scene, strengths):
    mesh, views = scene
    field, config = make_field(), replace(RELEASE_EXACT, supersample=1)
    first, state, _ = refine_texture(field, mesh, views[[0]], config, steps=20, strength=strengths[0])
    second, _, _ = refine_texture(first, mesh, views[[0]], config, steps=30, state=state, strength=strengths[1])
    untouched = untouched_by(mesh, views[[0]], config).expand_as(field.planes)
    expected = (1 - 0.0075 * strengths[0]) ** 20 * (1 - 0.0075 * strengths[1]) ** 30
    assert torch.allclose((second.planes / field.planes)[untouched], torch.tensor(expected), atol=1e-5)


def test_texels_that_only_earlier_views_touched_move_on_as_adamw_moves_them(scene):
    """Their moments are not zero, so they are not left to fade; as in one loop over all texels."""
    mesh, views = scene
    field, config = make_field(), replace(PAPER_EXACT, supersample=1)
    first, state, _ = refine_texture(field, mesh, views[[0]], config, steps=4)
    ours, _, _ = refine_texture(first, mesh, views[[3]], config, steps=4, state=state)

    both = sample_surface(mesh, views[[0, 3]], config)
    counts = [len(sample_surface(mesh, views[[view]], config)) for view in (0, 3)]
    parts = torch.arange(len(both)).split(counts)
    scale = 1 / (48 * 48 * 3)
    surface = TexturedSurface(field, both, config)
    plain, _, _ = refine_straightforward(
        surface, field.planes, field.color_mlp, lambda step: PixelBatch(parts[step // 4], scale), config, 8
    )
    only_first = untouched_by(mesh, views[[3]], config) & ~untouched_by(mesh, views[[0]], config)
    assert only_first.sum() > 100
    difference = (ours.planes - plain).abs()[only_first.expand_as(plain)]
    # where the gradient is nothing but rounding, AdamW makes whole steps of it
    assert (difference < 1e-3).float().mean() > 0.99
    moved = (ours.planes - first.planes * (1 - 0.0075) ** 4).abs()[only_first.expand_as(plain)]
    assert moved.median() > 0.01


def test_step_1_moves_the_planes_by_their_rate_and_leaves_the_network(scene):
    mesh, views = scene
    field, config = make_field(), replace(RELEASE_EXACT, planes_weight_decay=0.0)
    _, first, _ = refine_texture(field, mesh, views, config, steps=1)
    assert float((first.tensors["planes"] - field.planes).abs().max()) == pytest.approx(0.15, rel=1e-3)
    for name, value in field.color_mlp.state_dict().items():
        assert torch.equal(first.tensors[f"color_mlp.{name}"], value)
    _, second, _ = refine_texture(field, mesh, views, config, steps=2)
    biases = {name: value for name, value in field.color_mlp.state_dict().items() if name.endswith("bias")}
    moved = max(float((second.tensors[f"color_mlp.{name}"] - value).abs().max()) for name, value in biases.items())
    assert 0.5e-4 < moved < 1.01e-4


def test_learning_rates_are_those_of_the_reference():
    assert RELEASE.color_mlp_rate(0) == 0
    assert RELEASE.color_mlp_rate(1) == pytest.approx(1e-4)
    assert RELEASE.color_mlp_rate(49) == pytest.approx(0.978e-4, abs=1e-7)
    assert RELEASE.color_mlp_rate(10_000) == pytest.approx(0.05e-4)


@pytest.mark.parametrize(("config", "power"), [(RELEASE, 1), (RELEASE_EXACT, 1), (PAPER, 2), (PAPER_EXACT, 2)])
def test_the_loss_is_absolute_in_the_release_and_squared_in_the_paper_over_all_pixels(scene, config, power):
    mesh, views = scene
    field = make_field()
    samples = sample_surface(mesh, views, config)
    surface = TexturedSurface(field, samples, config)
    colors = surface.pixel_colors(field.planes, field.color_mlp, surface.sites(torch.arange(len(samples)))).detach()
    seen = (colors - samples.target).abs().pow(power).sum()
    image = views.composite()
    white = (1 - image).abs().pow(power).sum() - (1 - samples.target).abs().pow(power).sum()
    loss = refine_texture(field, mesh, views, config, steps=1)[2].losses[0]
    assert loss == pytest.approx(float(seen + white) / image.numel(), rel=1e-4)


def test_a_picture_of_twice_the_size_is_compared_as_means_of_2_by_2(scene):
    """Every sample weighs a quarter of a pixel, and what meets nothing is white."""
    mesh, views = scene
    field, total = make_field(), []
    assert RELEASE_EXACT.supersample == PAPER_EXACT.supersample == 2
    enlarged = Views(views.rgba.repeat_interleave(2, 1).repeat_interleave(2, 2), views.cameras.resized(96, 96))
    for config, given in ((RELEASE_EXACT, views), (replace(RELEASE_EXACT, supersample=1), enlarged)):
        samples = sample_surface(mesh, given, config)
        surface = TexturedSurface(field, samples, config)
        colors = surface.pixel_colors(field.planes, field.color_mlp, surface.sites(torch.arange(len(samples))))
        total.append((colors.detach().sum(0), (samples.face < 0).sum()))
    assert torch.allclose(total[0][0], (total[1][0] + total[0][1]) / 4, rtol=1e-4)


def test_the_clip_is_for_the_network_alone():
    field = make_field()
    active = ActiveTexels.read_at(torch.rand(50, 3, generator=torch.Generator().manual_seed(0)), RESOLUTION)
    optimizer = TextureOptimizer(field.planes, field.color_mlp, RELEASE_EXACT, active)
    optimizer.texels.grad = torch.full_like(optimizer.texels, 100.0)
    for parameter in optimizer.color_mlp.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    optimizer.step()
    state = optimizer.tensors()
    moments = [value for name, value in state.items() if name.startswith("color_mlp") and name.endswith("exp_avg")]
    assert float(torch.cat([value.flatten() for value in moments]).norm()) == pytest.approx(0.1, rel=1e-4)
    assert float(state["planes.exp_avg"].max()) == pytest.approx(10.0)


def test_subsets_are_disjoint_random_and_of_equal_size(scene):
    samples = sample_surface(*scene, RELEASE_EXACT)
    config = replace(RELEASE_EXACT, pixels_per_step=len(samples) // 20)
    first, second = PixelSource(samples, config, seed=1), PixelSource(samples, config, seed=2)
    count = -(-len(samples) // config.pixels_per_step)
    batches = [first.draw(step).chosen for step in range(count)]
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(len(samples)))
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    assert max(map(len, batches)) <= config.pixels_per_step
    assert torch.equal(first.draw(count + 3).chosen, batches[3])
    assert not torch.equal(first.draw(0).chosen.sort().values, second.draw(0).chosen.sort().values)


def test_subsets_cover_the_surface_evenly(scene):
    """Better than chance: the numbers of a subset's pixels in the cells of a coarse grid vary less."""
    samples = sample_surface(*scene, RELEASE_EXACT)
    config = replace(RELEASE_EXACT, pixels_per_step=len(samples) // 8)
    cells = ((samples.first_points(torch.arange(len(samples))) + 1) * 2).long()
    cell = (cells[:, 0] * 4 + cells[:, 1]) * 4 + cells[:, 2]
    expected = torch.bincount(cell, minlength=64) / 8
    chosen = PixelSource(samples, config, seed=0).draw(0).chosen
    ours = (torch.bincount(cell[chosen], minlength=64) - expected).square().sum()
    chance = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))[: len(chosen)]
    assert ours < 0.5 * (torch.bincount(cell[chance], minlength=64) - expected).square().sum()


def test_the_losses_of_all_subsets_average_to_the_loss_of_all_pixels(scene):
    mesh, views = scene
    field = make_field()
    still = replace(RELEASE_EXACT, planes_lr=0.0, color_mlp_lr=0.0)
    whole = refine_texture(field, mesh, views, still, steps=1)[2].losses[0]
    count = len(sample_surface(mesh, views, still))
    parts = refine_texture(field, mesh, views, replace(still, pixels_per_step=-(-count // 10)), steps=10)[2].losses
    assert sum(parts) / 10 == pytest.approx(whole, rel=2e-3)
    assert max(parts) - min(parts) > 1e-4


def test_neither_the_field_nor_its_network_is_changed_by_a_learner(scene):
    mesh, views = scene
    field = make_field()
    planes, weights = field.planes.clone(), copy.deepcopy(field.color_mlp.state_dict())
    learner = TextureLearner(field, TexturedSurface(field, sample_surface(mesh, views, PAPER), PAPER), PAPER)
    assert learner.step() > learner.step()
    assert torch.equal(field.planes, planes)
    assert all(torch.equal(value, weights[name]) for name, value in field.color_mlp.state_dict().items())
    assert learner.optimizer.planes.shape == (3, CHANNELS, RESOLUTION, RESOLUTION)


def test_stochastic_presets_fade_unseen_texels_in_60_steps_as_exact_ones_in_20():
    for exact, stochastic in ((RELEASE_EXACT, RELEASE), (PAPER_EXACT, PAPER)):
        assert exact.pixels_per_step == 0 < stochastic.pixels_per_step
        fades = [(1 - c.planes_lr * c.planes_weight_decay) ** n for c, n in ((exact, 20), (stochastic, 60))]
        assert fades[0] == pytest.approx(fades[1], rel=2e-3)
        assert exact.planes_lr == 0.15
        assert replace(stochastic, planes_lr=exact.planes_lr, pixels_per_step=0) == exact
