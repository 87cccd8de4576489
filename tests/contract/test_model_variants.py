"""The networks that the paper compares with its own go the whole way: a variant is weights with another configuration.

Nothing here is trained. Their density is lifted to the level of a surface, so that there is one, of no shape at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from official_inputs import egg_views

from gtr_core.io.reconstruction_files import load_reconstruction, save_reconstruction
from gtr_core.model.config import ModelConfig
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.model.weights import save_model
from gtr_core.model.weights_header import read_header
from gtr_core.pipeline import Pipeline
from gtr_core.stages.texture_config import Learns
from gtr_core.views import Views

TINY = replace(CONFIGS["gtr-tiny"], density_bias=10.0)
DESCRIPTION = {"preset": "gtr-tiny", "licence": "Apache-2.0", "source": "made by the tests"}


@pytest.fixture(scope="module")
def views() -> Views:
    return egg_views()[[0, 2, 4]]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny networks in place of the pretrained ones."""
    pytest.importorskip("diffusers", reason="the extra encoders is not installed")
    from tiny_encoders import save_tiny_networks

    return save_tiny_networks(tmp_path_factory.mktemp("encoders"))


def weights_of(config: ModelConfig, path: Path) -> Path:
    """A file of weights as training would leave it."""
    save_model(GTR(config, generator=torch.Generator().manual_seed(0)), path, description=DESCRIPTION)
    return path


PLAIN: dict[str, Callable[[], ModelConfig]] = {
    "the paper's": lambda: TINY,
    "deconvolution": lambda: replace(TINY, upsampler="deconvolution"),
    "shared decoder": lambda: replace(TINY, shared_decoder=True),
    "both": lambda: replace(TINY, upsampler="deconvolution", shared_decoder=True),
    "other sizes": lambda: replace(TINY, width=48, num_heads=3, plane_tokens=6, plane_channels=5, decoder_width=24),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_variant_reconstructs_refines_and_is_stored(name: str, views: Views, tmp_path: Path) -> None:
    whole_way(PLAIN[name](), views, tmp_path)


@pytest.mark.parametrize("kind", ["taesd", "dinov2"])
def test_a_variant_with_a_pretrained_encoder_does_so_too(
    kind: str, encoders: dict[str, Path], views: Views, tmp_path: Path
) -> None:
    options = {"pretrained": str(encoders[kind])}
    whole_way(replace(TINY, encoder="vae" if kind == "taesd" else "dino", encoder_options=options), views, tmp_path)


def whole_way(config: ModelConfig, views: Views, folder: Path) -> None:
    weights = weights_of(config, folder / "variant.safetensors")
    assert read_header(weights).config == config
    pipeline = Pipeline.load("gtr-tiny", weights=weights, device="cpu")
    assert pipeline.model is not None
    assert pipeline.model.config == config
    before = {name: value.clone() for name, value in pipeline.model.state_dict().items()}
    start = pipeline.reconstruct(views, grid_resolution=24)
    assert len(start.mesh.faces) > 0
    density = start.field.density(start.mesh.vertices)
    parts: tuple[Learns, ...] = ("color_mlp", "planes", "both")
    for learns in parts:
        refined = pipeline.refine_texture(start, steps=2, learns=learns, exact=learns == "both")
        assert refined.mesh.colors is not None
        assert not torch.equal(refined.mesh.colors, start.mesh.colors)
        assert torch.equal(refined.field.density(start.mesh.vertices), density), "the geometry stays"
    assert all(torch.equal(value, before[name]) for name, value in pipeline.model.state_dict().items())
    save_reconstruction(refined, folder / "stored")
    stored = load_reconstruction(folder / "stored")
    assert torch.equal(stored.field.color(start.mesh.vertices), refined.field.color(start.mesh.vertices))
    assert torch.equal(stored.field.density(start.mesh.vertices), density)
    again = pipeline.refine_texture(stored, steps=2)
    assert again.refinement is not None
    assert again.refinement.steps == 4
