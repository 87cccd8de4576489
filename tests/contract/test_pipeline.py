"""What every preset promises: one suite over all of them."""

import copy
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import trimesh

from gtr_core.data.render_dataset import render_views
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.field import Field
from gtr_core.geometry.cameras import camera_set
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.reconstruction_files import (
    BASE_FILE,
    JSON_FILE,
    TEXTURE_FILE,
    load_reconstruction,
    save_reconstruction,
)
from gtr_core.metrics.watertight import is_closed
from gtr_core.pipeline import Pipeline, Reconstruction
from gtr_core.presets import PRESETS
from gtr_core.progress import STAGES, Cancelled
from gtr_core.views import Views

RESOLUTION = 40
STEPS = 4


@pytest.fixture(scope="module")
def views() -> Views:
    body = trimesh.creation.icosphere(3)
    vertices = torch.tensor(body.vertices).float() * torch.tensor([0.8, 0.6, 0.5])
    stripes = (vertices[:, 1:2] * 12).sin() * 0.3 + 0.5
    colors = torch.cat([stripes, 1 - stripes, vertices[:, :1].abs()], 1)
    mesh = Mesh(vertices, torch.tensor(body.faces), colors)
    return render_views(mesh, camera_set("sphere14", height=64, width=64), supersample=2)


@pytest.fixture(scope="module", params=["fit", "gtr-tiny"])
def pipeline(request: pytest.FixtureRequest, tiny_weights: Path) -> Pipeline:
    return Pipeline.load(request.param, device="cpu", weights=None if request.param == "fit" else tiny_weights)


@pytest.fixture(scope="module")
def result(pipeline: Pipeline, views: Views) -> Reconstruction:
    return pipeline.reconstruct(views, grid_resolution=RESOLUTION)


@pytest.fixture(scope="module")
def refined(pipeline: Pipeline, result: Reconstruction) -> Reconstruction:
    return pipeline.refine_texture(result, steps=STEPS)


def same(a: object, b: object) -> bool:
    """Equality to the bit of values made of tensors, numbers and other such values."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, torch.nn.Module):
        return same(a.state_dict(), b.state_dict())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return a == b


def code_of(call: Callable[[], object]) -> ErrorCode:
    with pytest.raises(GtrError) as caught:
        call()
    assert caught.value.message.endswith(".")
    return caught.value.code


def test_the_mesh_is_closed_and_coloured_from_the_field(pipeline: Pipeline, result: Reconstruction) -> None:
    mesh = trimesh.Trimesh(result.mesh.vertices.numpy(), result.mesh.faces.numpy(), process=False)
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert result.mesh.colors.shape == result.mesh.vertices.shape
    assert result.mesh.colors.min() >= 0
    assert result.mesh.colors.max() <= 1
    assert result.preset == pipeline.preset.name
    assert result.refinement is None
    recoloured = pipeline.recolour(result, result.mesh.vertices)
    assert (recoloured - result.mesh.colors).abs().mean() < 0.02


def test_the_surface_is_level_10_of_the_density(result: Reconstruction) -> None:
    density = result.field.density(result.mesh.vertices)
    assert (density - 10).abs().max() < 0.5
    center = result.mesh.vertices.mean(0, keepdim=True)
    assert result.field.density(center).item() > 10


def test_the_same_seed_gives_the_same_result(pipeline: Pipeline, views: Views, result: Reconstruction) -> None:
    assert same(pipeline.reconstruct(views, grid_resolution=RESOLUTION), result)


def test_progress_tells_known_stages_to_their_end(pipeline: Pipeline, views: Views) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    result = pipeline.reconstruct(
        views, grid_resolution=RESOLUTION, progress=lambda *step: told.setdefault(step[0], []).append(step[1:])
    )
    pipeline.refine_texture(result, steps=3, progress=lambda *step: told.setdefault(step[0], []).append(step[1:]))
    assert set(told) <= set(STAGES)
    assert {"extract", "color", "texture"} <= set(told)
    for stage, steps in told.items():
        assert steps[-1][0] == steps[-1][1], f"{stage} ends at {steps[-1]}"
        assert all(0 <= done <= total for done, total in steps)


def test_cancel_at_every_stage_leaves_nothing_changed(pipeline: Pipeline, views: Views, result: Reconstruction) -> None:
    seen: list[str] = []
    again = pipeline.reconstruct(
        views, grid_resolution=RESOLUTION, progress=lambda stage, *_: None if stage in seen else seen.append(stage)
    )
    for target in seen:

        def stop(stage: str, _done: int, _total: int, target: str = target) -> None:
            if stage == target:
                raise Cancelled

        with pytest.raises(Cancelled):
            pipeline.reconstruct(views, grid_resolution=RESOLUTION, progress=stop)
    assert same(pipeline.reconstruct(views, grid_resolution=RESOLUTION), again)


@pytest.mark.parametrize("stage", ["texture", "color"])
def test_cancelled_refinement_leaves_the_reconstruction_and_can_be_repeated(
    pipeline: Pipeline, result: Reconstruction, refined: Reconstruction, stage: str
) -> None:
    def stop(name: str, done: int, _total: int) -> None:
        if name == stage and done >= min(2, _total):
            raise Cancelled

    before = result.mesh.colors.clone(), result.field.planes.clone()
    with pytest.raises(Cancelled):
        pipeline.refine_texture(result, steps=STEPS, progress=stop)
    assert torch.equal(result.mesh.colors, before[0])
    assert torch.equal(result.field.planes, before[1])
    assert same(pipeline.refine_texture(result, steps=STEPS), refined)


def test_refining_gives_a_new_value_of_the_same_shape(result: Reconstruction, refined: Reconstruction) -> None:
    assert refined is not result
    assert torch.equal(refined.mesh.vertices, result.mesh.vertices)
    assert torch.equal(refined.mesh.faces, result.mesh.faces)
    points = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(refined.field.density(points), result.field.density(points))
    assert refined.refinement.steps == STEPS
    assert result.refinement is None


def test_refinement_goes_on_where_it_stopped(
    pipeline: Pipeline, result: Reconstruction, refined: Reconstruction
) -> None:
    longer = pipeline.refine_texture(refined, steps=STEPS)
    assert longer.refinement.steps == 2 * STEPS
    at_once = pipeline.refine_texture(result, steps=2 * STEPS)
    for name, value in at_once.refinement.tensors.items():
        assert torch.allclose(longer.refinement.tensors[name], value, atol=1e-5), name


def test_refinement_ends_early_with_what_is_reached(pipeline: Pipeline, result: Reconstruction) -> None:
    asked = []
    ended = pipeline.refine_texture(result, steps=500, should_finish=lambda: len(asked) >= 2 or asked.append(1))
    assert 1 <= ended.refinement.steps <= 4
    assert ended.mesh.colors.shape == result.mesh.vertices.shape


def test_refinement_streams_colours(
    pipeline: Pipeline, result: Reconstruction, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gtr_core.stages import texture

    monkeypatch.setattr(texture, "_PREVIEW_SECONDS", 0.0)
    shown: list[tuple[int, torch.Tensor]] = []
    pipeline.refine_texture(result, steps=6, on_colors=lambda step, colors: shown.append((step, colors)))
    assert shown
    for step, colors in shown:
        assert 1 <= step <= 6
        assert colors.shape == result.mesh.vertices.shape
        assert colors.min() >= 0
        assert colors.max() <= 1


def test_refining_with_some_of_the_views(pipeline: Pipeline, result: Reconstruction) -> None:
    assert pipeline.refine_texture(result, steps=1, views=[0, 3]).refinement.steps == 1


@pytest.mark.parametrize("limit", [4, 500, 1501])
def test_face_limit_is_kept_and_the_colours_are_those_of_the_field(
    pipeline: Pipeline, views: Views, result: Reconstruction, limit: int
) -> None:
    small = pipeline.reconstruct(views, grid_resolution=RESOLUTION, face_limit=limit)
    assert 4 <= len(small.mesh.faces) <= limit
    assert torch.equal(small.mesh.colors, pipeline.recolour(small, small.mesh.vertices))
    if limit > 100:
        body = trimesh.Trimesh(small.mesh.vertices.numpy(), small.mesh.faces.numpy(), process=False)
        whole = trimesh.Trimesh(result.mesh.vertices.numpy(), result.mesh.faces.numpy(), process=False)
        assert is_closed(small.mesh)
        assert body.volume == pytest.approx(whole.volume, rel=0.01)


def test_a_face_limit_above_the_mesh_changes_nothing(pipeline: Pipeline, views: Views, result: Reconstruction) -> None:
    assert same(pipeline.reconstruct(views, grid_resolution=RESOLUTION, face_limit=10**6).mesh, result.mesh)


def test_recolour_takes_any_points(pipeline: Pipeline, result: Reconstruction) -> None:
    far = torch.tensor([[0.0, 0.0, 0.0], [5.0, 5.0, 5.0], [-1.0, 1.0, 0.3]])
    colors = pipeline.recolour(result, far)
    assert colors.shape == (3, 3)
    assert torch.isfinite(colors).all()
    assert pipeline.recolour(result, torch.zeros(0, 3)).shape == (0, 3)


def test_options_out_of_range_are_refused(pipeline: Pipeline, views: Views, result: Reconstruction) -> None:
    bad_calls: list[Callable[[], object]] = [
        lambda: pipeline.reconstruct(views, grid_resolution=8),
        lambda: pipeline.reconstruct(views, grid_resolution=4096),
        lambda: pipeline.reconstruct(views, face_limit=3),
        lambda: pipeline.reconstruct(views, face_limit=-1),
        lambda: pipeline.refine_texture(result, steps=0),
        lambda: pipeline.refine_texture(result, strength=0),
        lambda: pipeline.refine_texture(result, strength=float("nan")),
        lambda: pipeline.refine_texture(result, views=[]),
        lambda: pipeline.refine_texture(result, views=[14]),
        lambda: pipeline.refine_texture(result, views=[-1]),
        lambda: pipeline.recolour(result, torch.zeros(4, 2)),
        lambda: pipeline.recolour(result, torch.full((4, 3), float("nan"))),
    ]
    assert {code_of(call) for call in bad_calls} == {ErrorCode.BAD_INPUT}


def test_one_view_is_too_few(pipeline: Pipeline, views: Views) -> None:
    assert code_of(lambda: pipeline.reconstruct(views[:1])) is ErrorCode.TOO_FEW_VIEWS


def test_unknown_preset_lists_the_presets() -> None:
    with pytest.raises(GtrError) as caught:
        Pipeline.load("magic")
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert all(name in caught.value.hint for name in PRESETS)


@pytest.mark.parametrize("name", ["cuda:99", "tpu", ""])
def test_absent_device_is_refused(name: str) -> None:
    assert code_of(lambda: Pipeline.load(device=name)) is ErrorCode.BACKEND_UNAVAILABLE


# --- on disk


def test_a_reconstruction_comes_back_from_disk_to_the_bit(
    pipeline: Pipeline, result: Reconstruction, refined: Reconstruction, tmp_path: Path
) -> None:
    for number, value in enumerate((result, refined)):
        save_reconstruction(value, tmp_path / str(number))
        again = load_reconstruction(tmp_path / str(number))
        assert same(replace(again, field=None), replace(value, field=None))
        for ours, theirs in zip(again.field.state(), value.field.state(), strict=True):
            assert same(ours, theirs)
        assert same_field(again.field, value.field)
    gone_on, stayed = (pipeline.refine_texture(r, steps=2) for r in (again, refined))
    assert same(gone_on.mesh, stayed.mesh)


def same_field(a: Field, b: Field) -> bool:
    points = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.equal(a.density(points), b.density(points)) and torch.equal(a.color(points), b.color(points))


def test_nothing_on_disk_is_pickled(result: Reconstruction, tmp_path: Path) -> None:
    save_reconstruction(result, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([BASE_FILE, JSON_FILE, TEXTURE_FILE])
    for name in (BASE_FILE, TEXTURE_FILE):
        assert b"\x80\x04" not in (tmp_path / name).read_bytes()[:4096]


def damage(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / JSON_FILE).unlink(),
        lambda folder: (folder / BASE_FILE).unlink(),
        lambda folder: (folder / TEXTURE_FILE).unlink(),
        lambda folder: (folder / JSON_FILE).write_text("{"),
        lambda folder: (folder / JSON_FILE).write_text("[]"),
        lambda folder: damage(folder / JSON_FILE, b'"version": 2', b'"version": 9'),
        lambda folder: damage(folder / JSON_FILE, b'"kind": "', b'"kind": "x'),
        lambda folder: damage(folder / JSON_FILE, b'"notes"', b'"tones"'),
        lambda folder: damage(folder / TEXTURE_FILE, b"color_mlp", b"COLOR_MLP"),
        lambda folder: damage(folder / BASE_FILE, b"mesh.faces", b"mesh.FACES"),
        lambda folder: (folder / BASE_FILE).write_bytes((folder / BASE_FILE).read_bytes()[:-1]),
        lambda folder: (folder / BASE_FILE).write_bytes((folder / TEXTURE_FILE).read_bytes()),
    ],
)
def test_damaged_files_get_one_sentence(result: Reconstruction, tmp_path: Path, harm: Callable[[Path], object]) -> None:
    save_reconstruction(result, tmp_path)
    harm(tmp_path)
    assert code_of(lambda: load_reconstruction(tmp_path)) is ErrorCode.BAD_INPUT


def test_texels_show_the_blend_where_refinement_is_for_vertices(views: Views) -> None:
    """A texture refined for what a mesh shows between its vertices overshoots at the points themselves."""
    fit = Pipeline.load("fit", device="cpu")
    result = fit.reconstruct(views, grid_resolution=RESOLUTION)
    mlp = copy.deepcopy(result.field.color_mlp)
    for parameter in mlp.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    changed = replace(result, field=result.field.with_texture(torch.ones_like(result.field.planes), mlp))
    points = result.mesh.vertices[:50]
    before = fit.recolour(result, points)
    assert torch.equal(fit.recolour(changed, points, texels=True), before)
    assert not torch.equal(fit.recolour(changed, points), before)
