"""The untrained network on the visual hull."""

from dataclasses import replace

import pytest
import torch
from official_inputs import egg_views

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.untrained import untrained_model, untrained_reconstruction
from gtr_core.feed_forward import reconstruct_feed_forward
from gtr_core.fields.density_head import RELEASED_HEAD
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fit.visual_hull import visual_hull
from gtr_core.metrics.image import psnr
from gtr_core.metrics.watertight import is_watertight
from gtr_core.model.configs import CONFIGS
from gtr_core.pipeline import Pipeline
from gtr_core.presets import get_preset
from gtr_core.progress import Cancelled

TINY = CONFIGS["gtr-tiny"]
SMALL_RELEASED = replace(TINY, density_head=RELEASED_HEAD, density_bias=0.0)
SMALL_MINI = replace(CONFIGS["gtr-mini"], width=96, num_heads=3, num_blocks=3, image_size=64, plane_tokens=6)


@pytest.fixture(scope="module")
def views():
    return egg_views()[[0, 2, 4]]


def test_an_untrained_network_of_the_released_kind_has_no_surface_of_its_own(views):
    with pytest.raises(GtrError) as empty:
        reconstruct_feed_forward(untrained_model(SMALL_RELEASED), views, grid_resolution=32)
    assert empty.value.code is ErrorCode.EMPTY_RECONSTRUCTION


def test_the_same_seed_gives_the_same_network_and_another_one_another(views):
    first, same, other = (untrained_model(TINY, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["planes"], other["planes"])


def test_shape_is_the_hull_and_colours_are_the_networks(views):
    seen = []
    result = untrained_reconstruction(
        views, TINY, preset="gtr-tiny", grid_resolution=48, progress=lambda *entry: seen.append(entry)
    )
    hull = visual_hull(views, 48).extract()
    assert torch.equal(result.mesh.vertices, hull.vertices)
    assert torch.equal(result.mesh.faces, hull.faces)
    assert is_watertight(result.mesh)
    assert torch.equal(result.mesh.colors, result.field.color(hull.vertices))
    assert result.field.planes.shape == (3, TINY.plane_channels, TINY.plane_resolution, TINY.plane_resolution)
    assert result.preset == "gtr-tiny"
    assert "visual hull" in result.notes[0]
    assert {stage for stage, _, _ in seen} == {"encode", "hull", "color"}
    assert all(0 <= done <= total for _, done, total in seen)


def test_refinement_starts_from_it_and_reaches_the_pictures(views):
    start = untrained_reconstruction(views, SMALL_MINI, grid_resolution=48)
    refined = Pipeline(get_preset(start.preset), torch.device("cpu")).refine_texture(start, steps=40)

    def score(result):
        with torch.no_grad():
            return float(psnr(render_mesh(result.mesh, views.cameras).rgb, views.composite()).mean())

    assert score(refined) > score(start) + 3
    assert torch.equal(refined.mesh.vertices, start.mesh.vertices)


def test_one_view_is_too_few_and_a_cancel_gets_through(views):
    with pytest.raises(GtrError) as few:
        untrained_reconstruction(views[[0]], TINY)
    assert few.value.code is ErrorCode.TOO_FEW_VIEWS

    def stop(stage, done, total):
        if stage == "hull":
            raise Cancelled

    with pytest.raises(Cancelled):
        untrained_reconstruction(views, TINY, grid_resolution=32, progress=stop)
