"""Texture refinement: what it learns, what it leaves alone, and that it can be continued, watched and stopped."""

from dataclasses import replace

import pytest
import torch
from texture_scene import CHANNELS, make_field, painted_ball

from gtr_core.fields.decoder import ColorMlp
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fields.triplane import sample_planes
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import camera_set
from gtr_core.progress import Cancelled
from gtr_core.stages import texture, texture_gradient
from gtr_core.stages.pixel_source import PixelSource
from gtr_core.stages.surface_samples import sample_surface
from gtr_core.stages.texel_rows import ActiveTexels
from gtr_core.stages.texture import refine_texture
from gtr_core.stages.texture_config import FIT, PAPER_EXACT, RELEASE, RELEASE_EXACT
from gtr_core.stages.texture_pixels import TexturedSurface
from gtr_core.stages.texture_state import TextureOptimizer

SMALL_FIT = replace(FIT, pixels_per_step=512, held_out=0.2)
CONFIGS = {"release": replace(RELEASE, pixels_per_step=1500), "paper": PAPER_EXACT, "fit": SMALL_FIT}


class Residual(TriplaneField):
    """A field that knows a colour already, as the preset fit does."""

    def base_color(self, points):
        return (points * 9).sin() * 0.3 + 0.5

    def shade(self, raw, base):
        return base + raw

    def color(self, points):
        raw = self.color_mlp(sample_planes(self.planes, points))
        return self.shade(raw, self.base_color(points)).clamp(0, 1)


@pytest.fixture(scope="module")
def scene():
    return painted_ball()


def parameters(field):
    return [field.planes, *field.color_mlp.parameters(), *field.density_mlp.parameters()]


@pytest.mark.parametrize("preset", CONFIGS)
def test_loss_falls_and_only_the_texture_changes(scene, preset):
    mesh, views = scene
    field = make_field()
    before = [p.detach().clone() for p in parameters(field)]
    refined, state, log = refine_texture(field, mesh, views, CONFIGS[preset], steps=12)
    assert all(torch.equal(a, b) for a, b in zip(before, parameters(field), strict=True))
    assert log.losses[-1] < log.losses[0]
    assert len(log.losses) == state.steps == 12
    assert not torch.equal(refined.planes, field.planes)
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(refined.density(points), field.density(points))


def test_paper_loss_reproduces_a_straightforward_loop(scene):
    mesh, views = scene
    config = replace(PAPER_EXACT, supersample=1)
    field = make_field(seed=3)
    refined, _, log = refine_texture(field, mesh, views, config, steps=3)

    samples = sample_surface(mesh, views, config)
    points = samples.points(torch.arange(len(samples)))
    planes = field.planes.clone().requires_grad_()
    mlp = ColorMlp(3 * CHANNELS, 8)
    mlp.load_state_dict(field.color_mlp.state_dict())
    weights = [p for p in mlp.parameters() if p.dim() > 1]
    biases = [p for p in mlp.parameters() if p.dim() == 1]
    adam = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": 0.05},
            {"params": biases, "weight_decay": 0.0},
            {"params": [planes], "lr": 0.15, "weight_decay": 0.05},
        ],
        betas=(0.9, 0.95),
    )
    target = views.composite()
    hits = render_mesh(mesh, views.cameras).mask > 0
    for step, rate in enumerate((0.0, 1e-4, 1e-4)):
        for group in adam.param_groups[:2]:
            group["lr"] = rate
        image = torch.ones_like(target)
        image[hits] = torch.sigmoid(mlp(sample_planes(planes, points))) * 1.002 - 0.001
        loss = (image - target).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert log.losses[step] == pytest.approx(loss.item(), rel=1e-5)
    # texels that a rounding error decides about move by a whole learning rate, so compare the colours
    assert torch.allclose(refined.color(mesh.vertices), field.with_texture(planes, mlp).color(mesh.vertices), atol=1e-3)


def test_untouched_texels_fade_by_weight_decay_alone_or_not_at_all(scene):
    mesh, views = scene
    field = make_field()
    front = views[[0]]
    for config, factor in ((replace(RELEASE_EXACT, supersample=1), (1 - 0.15 * 0.05) ** 10), (SMALL_FIT, 1.0)):
        _, state, _ = refine_texture(field, mesh, front, config, steps=10)
        planes, moment = state.tensors["planes"], state.tensors["planes.exp_avg_sq"]
        untouched = moment == 0
        assert untouched.float().mean() > 0.3
        assert torch.allclose(planes[untouched], field.planes[untouched] * factor, rtol=1e-5)


@pytest.mark.parametrize("preset", CONFIGS)
def test_going_on_later_equals_going_on(scene, preset):
    mesh, views = scene
    config = CONFIGS[preset]
    field = make_field()
    whole, state, log = refine_texture(field, mesh, views, config, steps=10, seed=5)
    part, first, first_log = refine_texture(field, mesh, views, config, steps=5, seed=5)
    part, second, second_log = refine_texture(part, mesh, views, config, steps=5, state=first, seed=77)
    assert first_log.losses + second_log.losses == log.losses
    touched = (state.tensors["planes.exp_avg_sq"] != 0).any(1, keepdim=True)
    assert torch.equal(part.planes * touched, whole.planes * touched)
    # what only fades does so in two strides instead of one, with one more rounding
    assert torch.allclose(part.planes, whole.planes, rtol=1e-6, atol=0)
    assert second.tensors.keys() == state.tensors.keys()
    assert all(torch.equal(second.tensors[k], state.tensors[k]) for k in state.tensors if k != "planes")
    assert (second.steps, second.seed, second.best_step, second.best_error) == (
        state.steps, state.seed, state.best_step, state.best_error,
    )  # fmt: skip


def test_never_worse_than_the_start_on_held_out_pixels(scene):
    mesh, views = scene
    field = make_field(Residual)
    wild = replace(SMALL_FIT, planes_lr=30.0, color_mlp_lr=3.0)
    refined, state, log = refine_texture(field, mesh, views, wild, steps=10)
    assert min(error for _, error in log.held_out[1:]) > log.held_out[0][1]
    assert state.best_step == 0
    assert state.best_error == log.held_out[0][1]
    assert torch.equal(refined.planes, field.planes)
    assert not torch.equal(state.tensors["planes"], field.planes)


def test_the_best_texture_is_the_one_that_is_returned(scene):
    mesh, views = scene
    refined, state, log = refine_texture(make_field(Residual), mesh, views, SMALL_FIT, steps=30)
    assert (state.best_step, state.best_error) == min(log.held_out, key=lambda entry: entry[1])
    assert state.best_error < log.held_out[0][1]
    again = refine_texture(refined, mesh, views, SMALL_FIT, steps=1)[2]
    assert again.held_out[0][1] == pytest.approx(state.best_error, rel=1e-6)


def test_held_out_blocks_are_not_learned_from(scene):
    mesh, views = scene
    samples = sample_surface(mesh, views, SMALL_FIT, seed=4)
    assert 0.05 < samples.held_out.float().mean() < 0.5
    for count in (0, 512):
        source = PixelSource(samples, replace(SMALL_FIT, pixels_per_step=count), 4)
        drawn = torch.cat([source.draw(step).chosen for step in range(20)])
        assert not samples.held_out[drawn].any()
        assert drawn.unique().numel() > 0.8 * int((~samples.held_out).sum())


def test_inner_pixels_leave_out_outlines_and_grazing_surfaces(scene):
    mesh, views = scene
    inner = sample_surface(mesh, views, SMALL_FIT)
    every = sample_surface(mesh, views, replace(SMALL_FIT, inner_pixels_only=False))
    assert 0.6 < len(inner) / len(every) < 0.95
    normal = torch.nn.functional.normalize(inner.points(torch.arange(len(inner))), dim=-1)
    nearest = torch.nn.functional.normalize(views.cameras.positions, dim=-1)
    assert (normal @ nearest.T).max(1).values.min() > 0.3


def test_supersampled_pixels_are_means_with_white_where_nothing_is_hit(scene):
    mesh, views = scene
    config = replace(RELEASE_EXACT, supersample=3)
    field = make_field()
    samples = sample_surface(mesh, views, config)
    with torch.no_grad():
        picture = render_mesh(mesh, views.cameras, field=field, supersample=3)
    surface = TexturedSurface(field, samples, config)
    colors = surface.pixel_colors(field.planes, field.color_mlp, surface.sites(torch.arange(len(samples))))
    assert torch.allclose(colors, picture.rgb[picture.mask > 0], atol=2e-3)
    loss = refine_texture(field, mesh, views, config, steps=1)[2].losses[0]
    assert loss == pytest.approx(float((picture.rgb - views.composite()).abs().mean()), rel=1e-3)


@pytest.mark.parametrize("preset", CONFIGS)
def test_pixels_in_parts_equal_pixels_at_once(scene, monkeypatch, preset):
    mesh, views = scene
    results = []
    for part, block in ((1 << 14, 1 << 18), (777, 2000)):
        monkeypatch.setattr(texture_gradient, "PIXELS_AT_ONCE", part)
        monkeypatch.setattr(texture_gradient, "_SITES_AT_ONCE", part)
        monkeypatch.setattr(texture_gradient, "_BLOCK_SITES", block)
        results.append(refine_texture(make_field(), mesh, views, CONFIGS[preset], steps=2)[2].losses)
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def test_cancel_leaves_everything_as_it_was_and_a_new_run_gives_the_same(scene):
    mesh, views = scene
    field = make_field()
    expected = refine_texture(field, mesh, views, SMALL_FIT, steps=6)[0].planes
    before = [p.detach().clone() for p in parameters(field)]
    seen = []

    def stop(stage, done, total):
        seen.append((stage, done, total))
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        refine_texture(field, mesh, views, SMALL_FIT, steps=6, progress=stop)
    assert seen == [("texture", k, 6) for k in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(before, parameters(field), strict=True))
    assert torch.equal(refine_texture(field, mesh, views, SMALL_FIT, steps=6)[0].planes, expected)


def test_finishing_early_keeps_what_is_reached(scene):
    mesh, views = scene
    calls = []
    refined, state, log = refine_texture(
        make_field(), mesh, views, replace(RELEASE_EXACT, supersample=1), steps=50,
        should_finish=lambda: len(calls) == 3 or calls.append(0),
    )  # fmt: skip
    assert state.steps == len(log.losses) == 4
    expected = refine_texture(make_field(), mesh, views, replace(RELEASE_EXACT, supersample=1), steps=4)[0]
    assert torch.equal(refined.planes, expected.planes)


@pytest.mark.parametrize("kind", [TriplaneField, Residual])
def test_previews_are_the_colours_of_the_vertices_and_not_too_many(scene, monkeypatch, kind):
    mesh, views = scene
    clock = iter(range(1000))
    monkeypatch.setattr(texture.time, "monotonic", lambda: next(clock) * 0.2)
    shown = []
    config = replace(RELEASE_EXACT, supersample=1)
    refine_texture(make_field(kind), mesh, views, config, steps=12, on_colors=lambda *entry: shown.append(entry))
    assert 2 <= len(shown) < 11
    step, colors = shown[-1]
    expected = refine_texture(make_field(kind), mesh, views, config, steps=step)[0].color(mesh.vertices)
    assert torch.allclose(colors, expected, atol=1e-5)


def test_strength_scales_the_steps(scene):
    mesh, views = scene
    field = make_field()
    config = replace(RELEASE_EXACT, supersample=1, planes_weight_decay=0.0)
    moves = [
        (refine_texture(field, mesh, views, config, steps=1, strength=s)[0].planes - field.planes).abs().max()
        for s in (1.0, 0.1)
    ]
    assert float(moves[0]) == pytest.approx(0.15, rel=1e-3)
    assert float(moves[1]) == pytest.approx(0.015, rel=1e-3)


def test_state_survives_a_round_trip_through_plain_tensors():
    field = make_field()
    active = ActiveTexels.read_at(torch.zeros(1, 3), field.planes.shape[-1])
    optimizer = TextureOptimizer(field.planes, field.color_mlp, RELEASE, active)
    assert optimizer.tensors().keys() == {"planes"} | {f"color_mlp.{n}" for n, _ in field.color_mlp.named_parameters()}
    assert all(value.is_leaf and not value.requires_grad for value in optimizer.tensors().values())


@pytest.mark.parametrize("kind", [TriplaneField, Residual])
def test_colours_at_vertices_are_those_of_the_mesh_with_vertex_colours(scene, kind):
    mesh, views = scene
    field = make_field(kind)
    config = replace(PAPER_EXACT, colors_at="vertices")
    surface = TexturedSurface(field, sample_surface(mesh, views, config), config)
    with torch.no_grad():
        shown = mesh.with_colors(field.color(mesh.vertices).clamp(0, 1))
        picture = render_mesh(shown, views.cameras, supersample=config.supersample)
        sites = surface.sites(torch.arange(len(surface.samples)))
        colors = surface.pixel_colors(field.planes, field.color_mlp, sites)
    assert torch.allclose(colors.clamp(0, 1), picture.rgb[picture.mask > 0], atol=5e-3)
    assert torch.allclose(surface.vertex_colors(field.planes, field.color_mlp), shown.colors, atol=1e-6)


def test_refining_at_vertices_improves_the_picture_of_the_mesh_from_other_sides(scene):
    mesh, views = scene
    cameras = camera_set("sphere14", height=48, width=48)
    truth = render_mesh(mesh, cameras).rgb

    def error(field):
        with torch.no_grad():
            return float(
                (render_mesh(mesh.with_colors(field.color(mesh.vertices)), cameras).rgb - truth).square().mean()
            )

    field = make_field(Residual)
    refined = refine_texture(field, mesh, views, SMALL_FIT, steps=40)[0]
    assert error(refined) < 0.7 * error(field)
