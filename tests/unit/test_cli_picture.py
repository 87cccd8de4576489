"""The picture beside the mesh."""

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from gtr_core.cli.picture import (
    BACKDROP,
    COLUMNS,
    TILE,
    change_tiles,
    draw_result,
    input_tiles,
    normal_colors,
    novel_cameras,
    shown_views,
)
from gtr_core.data.render_dataset import render_views
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.cameras import camera_set, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.views import Views

RED = (200, 40, 30)


@pytest.fixture(scope="module")
def ball() -> Mesh:
    shape = trimesh.creation.icosphere(3)
    vertices = torch.tensor(shape.vertices).float() * 0.8
    return Mesh(vertices, torch.tensor(shape.faces), (torch.tensor(RED) / 255).repeat(len(vertices), 1))


@pytest.fixture(scope="module")
def views(ball: Mesh) -> Views:
    return render_views(ball, camera_set("sphere14", height=64, width=64), supersample=2)


def tile_of(sheet: Image.Image, row: int, column: int) -> np.ndarray:
    from gtr_core.cli import picture

    left = picture._MARGIN + column * (TILE + picture._GAP)
    top = picture._MARGIN + row * (picture._LABEL + TILE + picture._GAP) + picture._LABEL
    return np.array(sheet.crop((left, top, left + TILE, top + TILE)))


def test_rows_show_inputs_new_views_and_normals(views: Views, ball: Mesh) -> None:
    sheet = draw_result(views, ball, caption="a caption")
    middle = TILE // 2
    for column in range(COLUMNS):
        for row in (0, 1):
            assert tuple(tile_of(sheet, row, column)[middle, middle]) == RED
            assert tuple(tile_of(sheet, row, column)[1, 1]) == (round(255 * BACKDROP),) * 3
        # The middle of a ball looks at the camera: the blue of normal maps.
        assert tile_of(sheet, 2, column)[middle, middle] == pytest.approx([127, 127, 255], abs=12)


def test_refinement_adds_a_row(views: Views, ball: Mesh) -> None:
    before = ball.with_colors(torch.full_like(ball.colors, 0.5))
    plain, compared = draw_result(views, ball), draw_result(views, ball, before)
    assert compared.width == plain.width
    assert compared.height > plain.height + TILE
    middle = TILE // 2
    for column in (0, 3):
        assert tuple(tile_of(compared, 3, column)[middle, middle]) == RED
        assert tuple(tile_of(compared, 3, column + 1)[middle, middle]) == (128, 128, 128)
        assert tuple(tile_of(compared, 3, column + 2)[middle, middle]) == RED


def test_comparison_looks_where_the_texture_changed(views: Views, ball: Mesh) -> None:
    spot = (ball.vertices - torch.tensor([0.0, 0.0, 0.8])).norm(dim=-1) < 0.25
    before = ball.with_colors(torch.where(spot[:, None], torch.zeros(3), ball.colors))
    _, old, new = change_tiles(views, before, ball)[:3]
    assert (old < 0.05).all(-1).float().mean() > 0.3
    assert ((new - torch.tensor(RED) / 255).abs().amax(-1) < 0.01).float().mean() > 0.95


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_new_views_show_all_of_the_mesh(ball: Mesh, scale: float) -> None:
    mesh = Mesh(ball.vertices * scale, ball.faces)
    mask = render_mesh(mesh, novel_cameras(mesh)).mask
    border = torch.cat([mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]], 1)
    assert border.max() == 0
    assert mask.mean() > 0.3


def test_normals_are_seen_from_the_camera(ball: Mesh) -> None:
    cameras = orbit([70], [30], height=TILE, width=TILE)
    output = render_mesh(ball, cameras)
    colors = normal_colors(output, cameras)[0]
    rows, columns = (output.mask[0] > 0.5).nonzero(as_tuple=True)
    left, right = columns.argmin(), columns.argmax()
    top, bottom = rows.argmin(), rows.argmax()
    assert colors[rows[left], columns[left], 0] < 0.2
    assert colors[rows[right], columns[right], 0] > 0.8
    assert colors[rows[top], columns[top], 1] > 0.8
    assert colors[rows[bottom], columns[bottom], 1] < 0.2


@pytest.mark.parametrize("count", [1, 2, 6, 7, 14])
def test_shown_inputs_are_spread_without_repeats(views: Views, count: int) -> None:
    shown = shown_views(views[:count])
    assert len(set(shown)) == len(shown) == min(count, COLUMNS)
    assert max(shown) < count


def test_wide_inputs_keep_their_proportions(ball: Mesh) -> None:
    wide = render_views(ball, orbit([0, 90], [0, 0], height=40, width=80), supersample=1)
    tile = input_tiles(wide)[0]
    assert tile.shape == (TILE, TILE, 3)
    assert (tile[: TILE // 4 - 2] == BACKDROP).all()


def test_comparison_shows_the_object_even_when_nothing_changed(views: Views, ball: Mesh) -> None:
    for tile in change_tiles(views, ball, ball):
        assert ((tile - torch.tensor(RED) / 255).abs().amax(-1) < 0.01).float().mean() > 0.95
