"""The baseline of a network that has learned nothing: what texture refinement reaches by itself."""

from __future__ import annotations

import torch

from gtr_core.fit.visual_hull import visual_hull
from gtr_core.model.conditioning import conditioning
from gtr_core.model.config import ModelConfig
from gtr_core.model.gtr import GTR
from gtr_core.pipeline import Reconstruction
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views

_CHUNK = 1 << 16
_NOTE = "An untrained network knows no shape: this is the visual hull of the masks."


def untrained_model(config: ModelConfig, *, seed: int = 0) -> GTR:
    """A network of this shape with its starting weights, in evaluation mode; the same for the same seed."""
    model = GTR(config, generator=torch.Generator().manual_seed(seed))
    return model.eval().requires_grad_(False)


def untrained_reconstruction(
    views: Views,
    config: ModelConfig,
    *,
    preset: str = "gtr-mini",
    seed: int = 0,
    grid_resolution: int = 256,
    progress: Progress = no_progress,
) -> Reconstruction:
    """Colours of an untrained network on the visual hull of the masks.

    Its density is nearly the same everywhere: mostly there is no surface at the level that presets extract, and if
    there is one it has nothing to do with the object. The hull stands in for it, so that the figures tell what
    refinement (paper section 3.3) reaches from planes and a colour network that know nothing:
    :meth:`gtr_core.pipeline.Pipeline.refine_texture` takes the result.

    Args:
        views: with the object inside [-1, 1]^3.
        config: shape of the network.
        preset: learned preset of that shape; the result is refined as its results are.
        seed: of the network's weights.
        grid_resolution: nodes along an edge of the hull's grid.
        progress: stages encode, hull, color.

    Raises:
        GtrError: ``too_few_views``; ``empty_reconstruction`` when no point lies inside all outlines.
    """
    views.require(2)
    model = untrained_model(config, seed=seed).to(views.rgba.device)
    progress("encode", 0, config.num_blocks)
    with torch.no_grad():
        planes = model.planes_from(conditioning(views, config.image_size)[None], progress=progress)[0].float()
    field = model.field(planes)
    mesh = visual_hull(views, grid_resolution, progress).extract()
    chunks = torch.split(mesh.vertices, _CHUNK)
    colors = []
    for index, chunk in enumerate(chunks):
        progress("color", index, len(chunks))
        with torch.no_grad():
            colors.append(field.color(chunk))
    progress("color", len(chunks), len(chunks))
    return Reconstruction(views, field, mesh.with_colors(torch.cat(colors)), preset, (_NOTE,))
