"""Texture refinement on real objects: pictures from sides that were not learned from do not get worse."""

import pytest
import torch

from gtr_core.data.meshes import load_textured_mesh, normalized
from gtr_core.data.render_dataset import render_views
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fit.reconstruct import reconstruct_fit
from gtr_core.geometry.cameras import camera_set, orbit
from gtr_core.metrics.image import psnr
from gtr_core.stages.texture import refine_texture
from gtr_core.stages.texture_config import FIT


@pytest.mark.parametrize("name", ["cracker_box", "spot_cow"])
def test_novel_views_do_not_get_worse(objects_dir, name):
    truth = normalized(load_textured_mesh(objects_dir / f"{name}.glb"))
    views = render_views(truth, camera_set("sphere14", height=128, width=128), supersample=2)
    novel = render_views(truth, orbit([20, 110, 200, 290], [30, -30, 0, 15], height=96, width=96), supersample=2)
    field, mesh, _ = reconstruct_fit(views, grid_resolution=64)
    refined, state, log = refine_texture(field, mesh, views, FIT, steps=30)

    def quality(field):
        with torch.no_grad():
            shown = mesh.with_colors(field.color(mesh.vertices))
            return float(psnr(render_mesh(shown, novel.cameras, supersample=2).rgb, novel.composite()).mean())

    assert state.best_error <= log.held_out[0][1]
    assert quality(refined) >= quality(field) - 0.02
