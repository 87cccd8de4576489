"""Objects anywhere are brought into the box, and their meshes back to where they were."""

from dataclasses import replace

import pytest
import torch
import trimesh

from gtr_core.data.render_dataset import render_views
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import CAMERA_SETS, Cameras, camera_set, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.normalize import Similarity, normalize_views
from gtr_core.views import Views


@pytest.fixture(scope="module")
def body() -> Mesh:
    shape = trimesh.creation.icosphere(3)
    scale, offset = torch.tensor([0.8, 0.5, 0.3]), torch.tensor([0.05, -0.1, 0.1])
    return Mesh(torch.tensor(shape.vertices).float() * scale + offset, torch.tensor(shape.faces))


def placed(mesh: Mesh, cameras: Cameras, scale: float, offset: tuple[float, float, float], *, depth: bool) -> Views:
    """The same pictures with the whole world moved: what another convention would have stored."""
    views = render_views(mesh, cameras, supersample=1)
    c2w = views.cameras.c2w.clone()
    c2w[:, :3, 3] = c2w[:, :3, 3] * scale + torch.tensor(offset)
    moved = Cameras(c2w, cameras.intrinsics, cameras.height, cameras.width)
    maps = (views.depth * scale, views.normal) if depth else (None, None)
    return Views(views.rgba, moved, *maps)


@pytest.mark.parametrize("depth", [False, True])
@pytest.mark.parametrize("name", CAMERA_SETS)
def test_objects_inside_are_left_untouched(body: Mesh, name: str, depth: bool) -> None:
    views = render_views(body, camera_set(name, height=64, width=64), supersample=1)
    if not depth:
        views = replace(views, depth=None, normal=None)
    same, frame = normalize_views(views)
    assert same is views
    assert frame == Similarity()
    assert frame.invert(body) is body


def test_a_box_that_fills_the_box_is_left_untouched() -> None:
    cube = trimesh.creation.box((2, 2, 2))
    mesh = Mesh(torch.tensor(cube.vertices).float(), torch.tensor(cube.faces))
    views = render_views(mesh, camera_set("sphere14", height=64, width=64), supersample=1)
    for given in (views, replace(views, depth=None, normal=None)):
        assert normalize_views(given)[1] == Similarity()


@pytest.mark.parametrize("depth", [False, True])
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1.0, (5.0, 0.0, -2.0)), (100.0, (0.0, 0.0, 0.0)), (0.02, (0.0, 0.0, 0.0)), (30.0, (-200.0, 40.0, 7.0))],
)
def test_objects_elsewhere_are_brought_into_the_box_and_back(
    body: Mesh, scale: float, offset: tuple[float, float, float], depth: bool
) -> None:
    cameras = orbit([0, 60, 120, 180, 240, 300], [20, -10] * 3, height=96, width=96)
    views = placed(body, cameras, scale, offset, depth=depth)
    inside, frame = normalize_views(views)
    user = replace(body, vertices=body.vertices * scale + torch.tensor(offset))
    moved = (user.vertices - torch.tensor(frame.center)) * frame.scale
    assert moved.abs().max() < 1
    low, high = moved.amin(0), moved.amax(0)
    assert 1.5 < (high - low).max() < 1.9  # and uses the box
    assert (high + low).abs().max() < (0.1 if depth else 0.4)  # a hull is larger than its object
    back = frame.invert(replace(body, vertices=moved))
    assert torch.allclose(back.vertices, user.vertices, atol=2e-6 * (scale + max(map(abs, offset))))
    # The cameras moved with it: the moved mesh falls onto the same pictures.
    redrawn = render_views(replace(body, vertices=moved), inside.cameras, supersample=1)
    assert ((redrawn.mask > 0.5) != (views.mask > 0.5)).float().mean() < 0.002
    if depth:
        seen = (inside.depth > 0) & (redrawn.depth > 0)
        assert (inside.depth - redrawn.depth)[seen].abs().median() < 1e-4
        assert torch.equal(inside.normal, views.normal)


def test_similarities_chain() -> None:
    first, second = Similarity(3.0, (1.0, -2.0, 0.5)), Similarity(0.25, (4.0, 0.0, -1.0))
    points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-5.0, 0.25, 1.0]])

    def apply(similarity: Similarity, values: torch.Tensor) -> torch.Tensor:
        return similarity.scale * (values - torch.tensor(similarity.center))

    assert torch.allclose(apply(second.after(first), points), apply(second, apply(first, points)), atol=1e-6)
    mesh = Mesh(apply(first, points), torch.tensor([[0, 1, 2]]))
    assert torch.allclose(first.invert(mesh).vertices, points, atol=1e-6)


def test_cameras_that_look_away_are_refused(body: Mesh) -> None:
    views = placed(body, orbit([0, 90, 180], [0] * 3, height=64, width=64), 1.0, (9.0, 0.0, 0.0), depth=False)
    turned = views.cameras.c2w.clone()
    turned[:, :3, [0, 2]] *= -1  # every camera looks the other way
    wrong = Views(views.rgba, Cameras(turned, views.cameras.intrinsics, 64, 64))
    with pytest.raises(GtrError) as caught:
        normalize_views(wrong)
    assert caught.value.code is ErrorCode.CAMERA_INVALID
    assert "axes" in caught.value.hint


def test_a_single_view_is_left_alone(body: Mesh) -> None:
    views = placed(body, orbit([0], [0], height=64, width=64), 1.0, (9.0, 0.0, 0.0), depth=False)
    assert normalize_views(views)[1] == Similarity()
