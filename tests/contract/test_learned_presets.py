"""Learned presets from pictures to mesh: which weights, which inputs, what is never changed."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import pytest
import torch
import trimesh
from official_inputs import TILE, egg_views, write_grid, write_official

from gtr_core.cli.main import OK, USER_ERROR, main
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.mesh_files import read_mesh
from gtr_core.model.weights import load_model, save_model
from gtr_core.pipeline import Pipeline
from gtr_core.presets import PRESETS, get_preset
from gtr_core.views import Views

QUICK = ["--resolution", "40", "--refine", "2", "--device", "cpu", "--no-picture"]


@pytest.fixture(scope="module")
def views() -> Views:
    return egg_views()


@pytest.fixture
def models(tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder that holds ``gtr-tiny``."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "gtr-tiny.safetensors").write_bytes(tiny_weights.read_bytes())
    monkeypatch.setenv("GTR_MODELS", str(folder))
    return folder


def error_of(**options: object) -> GtrError:
    with pytest.raises(GtrError) as caught:
        Pipeline.load(**options)
    return caught.value


# --- which weights --------------------------------------------------------------------------------------------------


def test_weights_are_found_by_the_name_of_the_preset(models: Path) -> None:
    pipeline = Pipeline.load("gtr-tiny", device="cpu")
    assert pipeline.preset.name == "gtr-tiny"
    assert pipeline.model.config == get_preset("gtr-tiny").model
    assert not pipeline.model.training
    assert not any(parameter.requires_grad for parameter in pipeline.model.parameters())


def test_a_file_of_weights_names_its_preset(models: Path, tmp_path: Path) -> None:
    moved = (models / "gtr-tiny.safetensors").rename(tmp_path / "anything.safetensors")
    assert Pipeline.load(weights=moved, device="cpu").preset.name == "gtr-tiny"
    assert Pipeline.load("gtr-tiny", weights=moved, device="cpu").preset.name == "gtr-tiny"
    assert Pipeline.load(device="cpu").preset.name == "fit"


def test_missing_weights_name_folder_command_and_fit(models: Path) -> None:
    error = error_of(preset="gtr-release")
    assert error.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(models) in error.message
    for words in ("gtr download", "gtr convert", "fit"):
        assert words in error.hint


def test_weights_must_belong_to_the_preset(models: Path, tmp_path: Path) -> None:
    weights = models / "gtr-tiny.safetensors"
    error = error_of(preset="gtr-mini", weights=weights)
    assert error.code is ErrorCode.MODEL_UNAVAILABLE
    assert all(word in str(error) for word in ("gtr-tiny.safetensors", "gtr-tiny", "gtr-mini"))
    error = error_of(preset="fit", weights=weights)
    assert error.code is ErrorCode.BAD_INPUT
    assert "fit" in error.message
    strange = tmp_path / "strange.safetensors"
    description = {"preset": "gtr-huge", "licence": "", "source": ""}
    save_model(load_model(weights), strange, description=description)
    assert "gtr-huge" in error_of(weights=strange).message


def test_every_learned_preset_has_a_network() -> None:
    learned = {name for name, preset in PRESETS.items() if preset.learned}
    assert learned == {"gtr-release", "gtr-paper", "gtr-mini", "gtr-smoke", "gtr-tiny"}
    assert get_preset("fit").model is None
    assert get_preset("gtr-paper").model.decoder_width == 512
    release, paper = get_preset("gtr-release"), get_preset("gtr-paper")
    for exact in (False, True):
        assert (release.refinement(exact=exact).config.loss, paper.refinement(exact=exact).config.loss) == ("l1", "l2")
    assert (release.refinement(exact=True).steps, paper.refinement(exact=True).steps) == (50, 20)
    assert release.refinement(exact=True).config.pixels_per_step == 0
    assert release.refinement().config.pixels_per_step > 0


def test_fit_has_one_way_to_refine() -> None:
    with pytest.raises(GtrError, match="no exact refinement"):
        get_preset("fit").refinement(exact=True)


# --- from views to mesh ---------------------------------------------------------------------------------------------


def test_the_network_is_shared_and_never_changed(models: Path, views: Views) -> None:
    weights = models / "gtr-tiny.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    pipeline = Pipeline.load("gtr-tiny", device="cpu")
    before = copy.deepcopy(pipeline.model.state_dict())
    first = pipeline.reconstruct(views, grid_resolution=32)
    refined = pipeline.refine_texture(first, steps=3)
    second = pipeline.reconstruct(views[:4], grid_resolution=32)
    assert first.field.density_mlp is second.field.density_mlp is pipeline.model.density_mlp
    assert refined.field.color_mlp is not pipeline.model.color_mlp
    after = pipeline.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == digest


def test_geometry_stays_that_of_the_unrefined_planes(models: Path, views: Views) -> None:
    pipeline = Pipeline.load("gtr-tiny", device="cpu")
    made = pipeline.reconstruct(views, grid_resolution=32)
    refined = pipeline.refine_texture(made, steps=3)
    assert not torch.equal(refined.field.planes, made.field.planes)
    assert torch.equal(refined.field.geometry_planes, made.field.planes)
    again = pipeline.refine_texture(refined, steps=1)
    assert torch.equal(again.field.geometry_planes, made.field.planes)
    assert torch.equal(again.mesh.vertices, made.mesh.vertices)


def test_few_views_are_noted(models: Path, views: Views) -> None:
    pipeline = Pipeline.load("gtr-tiny", device="cpu")
    assert pipeline.reconstruct(views, grid_resolution=24).notes == ()
    (note,) = pipeline.reconstruct(views[:2], grid_resolution=24).notes
    assert "4 views" in note
    assert "2" in note


def test_pictures_of_any_size_and_number(models: Path, views: Views) -> None:
    pipeline = Pipeline.load("gtr-tiny", device="cpu")
    wide = Views(views.rgba[:, 20:70], views.cameras.__class__(views.cameras.c2w, views.cameras.intrinsics, 50, TILE))
    for chosen in (views, views[:3], wide):
        assert len(pipeline.reconstruct(chosen, grid_resolution=24).mesh.faces) > 0


@pytest.mark.parametrize(("bias", "word"), [(-30.0, "found no surface"), (float("nan"), "not finite")])
def test_an_empty_result_says_what_to_do(models: Path, views: Views, bias: float, word: str) -> None:
    pipeline = Pipeline.load("gtr-tiny", device="cpu")
    with torch.no_grad():
        if bias == bias:
            pipeline.model.density_mlp.layers[-1].bias.fill_(bias)
        else:
            pipeline.model.planes.fill_(bias)
    with pytest.raises(GtrError) as caught:
        pipeline.reconstruct(views, grid_resolution=24)
    assert caught.value.code is ErrorCode.EMPTY_RECONSTRUCTION
    assert word in caught.value.message
    assert caught.value.hint.endswith(".")


def test_without_its_network_a_pipeline_only_refines(models: Path, views: Views) -> None:
    made = Pipeline.load("gtr-tiny", device="cpu").reconstruct(views, grid_resolution=24)
    alone = Pipeline(get_preset("gtr-tiny"), torch.device("cpu"))
    assert alone.refine_texture(made, steps=1).refinement.steps == 1
    assert alone.recolour(made, made.mesh.vertices).shape == made.mesh.vertices.shape
    with pytest.raises(ValueError, match="network"):
        alone.reconstruct(views, grid_resolution=24)


# --- from the command line ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["official folder", "grid"])
def test_official_inputs_run_from_the_command_line(
    form: str, views: Views, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write_grid(views, tmp_path / "grid.png") if form == "grid" else write_official(views, tmp_path / "in")
    target = tmp_path / "mesh.ply"
    assert main(["reconstruct", str(given), "-o", str(target), "--preset", "gtr-tiny", *QUICK]) == OK
    mesh = read_mesh(target)
    solid = trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)
    assert solid.is_watertight
    assert 0.3 < solid.volume < 2
    told = capsys.readouterr()
    assert "preset gtr-tiny, 6 views of 96 x 96 pixels" in told.out


def test_both_forms_give_the_same_reconstruction(views: Views, models: Path, tmp_path: Path) -> None:
    """Of the same views with the same cameras: the two forms differ by rounding of cameras and colours only."""
    from gtr_core.io.views_files import read_views

    folder = read_views(write_official(views, tmp_path / "in"))
    assert (folder.cameras.c2w - views.cameras.c2w).abs().max() < 1e-5
    grid = read_views(write_grid(views, tmp_path / "grid.png"))
    assert torch.allclose(folder.cameras.c2w, grid.cameras.c2w, atol=1e-5)
    assert torch.allclose(folder.cameras.intrinsics, grid.cameras.intrinsics, rtol=1e-5)
    assert (folder.composite() - grid.composite()).abs().mean() < 0.01


def test_weights_option(views: Views, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = write_official(views, tmp_path / "in")
    weights = (models / "gtr-tiny.safetensors").rename(tmp_path / "mine.safetensors")
    command = ["reconstruct", str(given), "-o", str(tmp_path / "mesh.ply"), *QUICK]
    assert main([*command, "--weights", str(weights)]) == OK
    assert "preset gtr-tiny" in capsys.readouterr().out
    (tmp_path / "mesh.ply").unlink()
    for options, words in (
        (["--preset", "gtr-tiny"], ["gtr-tiny", str(models), "fit"]),
        (["--preset", "gtr-mini", "--weights", str(weights)], ["mine.safetensors", "gtr-mini"]),
        (["--weights", str(tmp_path / "gone.safetensors")], ["gone.safetensors"]),
        (["--weights", str(given / "rgb_000.png")], ["rgb_000.png"]),
    ):
        assert main([*command, *options]) == USER_ERROR
        message = capsys.readouterr().err.splitlines()[-1]
        assert message.startswith("gtr: ")
        assert all(word in message for word in words), message
        assert not (tmp_path / "mesh.ply").exists()
