"""The family of random objects: reproducible, normalised, diverse, never empty; and their views."""

import hashlib
from collections import Counter

import numpy as np
import pytest
import torch

from gtr_core.data.procedural import ProceduralObjects, Scene, contact_sheet, render, shapes
from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.font import GLYPH_ROWS, glyph_pixels
from gtr_core.data.procedural.layout import MAX_PARTS, Fold, Kind, Layout, Pattern, Profile, Wave
from gtr_core.data.procedural.light import PURE_ALBEDO
from gtr_core.data.procedural.objects import normalize, random_table
from gtr_core.data.procedural.recipes import RECIPES, SHARES
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import camera_set, orbit
from gtr_core.geometry.depth import backproject

SEED = 0
COUNT = 400
# sha256 over the tables of objects 0 to 7 of seed 0: the same on every computer. A change of the recipes changes it.
TABLES_HASH = "0da701fc0c3ef2a5f99d5fd72d521f25b90506f5a79ae50f0eed88778f6c3a84"


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    """Records of objects, without the work of normalising them."""
    return np.concatenate([random_table(Draw(SEED, index)) for index in range(COUNT)])


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    objects = ProceduralObjects(SEED)
    return [objects.scene(index) for index in range(40)]


def test_an_object_is_the_same_everywhere() -> None:
    objects = ProceduralObjects(SEED)
    digest = hashlib.sha256(b"".join(objects.table(index).tobytes() for index in range(8))).hexdigest()
    assert digest == TABLES_HASH


def test_an_object_does_not_depend_on_what_was_drawn_before() -> None:
    first, second = ProceduralObjects(3), ProceduralObjects(3)
    np.random.seed(1)
    torch.manual_seed(1)
    backwards = {index: second.table(index).tobytes() for index in (5, 2, 0)}
    assert {index: first.table(index).tobytes() for index in (0, 2, 5)} == backwards


def test_seeds_and_indices_give_different_objects() -> None:
    tables = {ProceduralObjects(seed).table(index).tobytes() for seed in (0, 1, 2**40) for index in range(4)}
    assert len(tables) == 12


def test_random_numbers_are_uniform() -> None:
    draw = Draw(1, 2)
    numbers = np.array([draw.unit() for _ in range(20_000)])
    assert 0 <= numbers.min() < 1e-3
    assert 1 - 1e-3 < numbers.max() < 1
    assert np.histogram(numbers, 10, (0, 1))[0] == pytest.approx(2000, abs=200)
    picks = Counter(draw.choice("abc", (1, 2, 0)) for _ in range(3000))
    assert picks["b"] / picks["a"] == pytest.approx(2, rel=0.15)
    assert "c" not in picks
    assert {draw.integer(2, 4) for _ in range(100)} == {2, 3, 4}


def test_the_longest_side_is_normalised(scenes: list[Scene]) -> None:
    axis = torch.linspace(-1.05, 1.05, 120)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
    cell = float(axis[1] - axis[0])
    for scene in scenes[:15]:
        assert float(scene.half_extents.max()) == pytest.approx(0.95, abs=1e-5)
        inside = grid[scene.sdf(grid) <= 0]
        low, high = inside.amin(0), inside.amax(0)
        assert ((high - scene.half_extents).abs() < cell + 0.015).all()
        assert ((low + scene.half_extents).abs() < cell + 0.015).all()
        assert (high - scene.half_extents < 0.02).all()


def test_nothing_lies_outside_the_world(scenes: list[Scene]) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=-1, p=float("inf"))
    for scene in scenes:
        assert scene.sdf(points).min() > 0


def test_every_object_is_seen_from_every_side(scenes: list[Scene]) -> None:
    cameras = camera_set("sphere6", height=32, width=32)
    for scene in scenes:
        assert (render(scene, cameras).mask.mean((1, 2)) > 0.004).all()
        assert render(scene, cameras).mask.mean() > 0.01


def test_layouts_come_as_often_as_they_should(many: np.ndarray) -> None:
    counts = Counter(Layout(value) for value in many["layout"])
    for layout, share in SHARES.items():
        assert counts[layout] / COUNT == pytest.approx(share, abs=0.07)
    assert counts[Layout.CLUMP] / COUNT < 0.12
    assert sum(SHARES.values()) == pytest.approx(1)


def test_everything_there_is_turns_up(many: np.ndarray) -> None:
    parts = np.concatenate([scene["parts"][: scene["part_count"]] for scene in many])
    layers = parts["layers"][:, 0]
    over = parts["layers"][:, 1]
    for name, enum in (("kind", Kind), ("profile", Profile), ("fold", Fold), ("wave", Wave)):
        assert {enum(value) for value in parts[name]} >= set(enum) - {Kind.NONE}
    assert {Pattern(value) for value in layers["pattern"]} == set(Pattern)
    assert len({Pattern(value) for value in over["pattern"][over["opacity"] > 0]}) >= 7
    assert 0.2 < (layers["pattern"] == Pattern.SOLID).mean() < 0.5
    assert (over["opacity"] > 0).mean() > 0.25
    assert (parts["label"]["half"][:, 0] > 0).mean() > 0.03
    for used in (parts["taper"] != 0, parts["twist"] != 0, parts["pipe"] > 0, parts["cup"] > 0, parts["blend"] > 0):
        assert used.mean() > 0.01
    assert many["part_count"].min() == 1
    assert many["part_count"].max() == MAX_PARTS
    assert len(set(many["part_count"].tolist())) == MAX_PARTS


def test_cuts_shells_waves_and_light_have_their_shares(many: np.ndarray) -> None:
    waves = np.array([(scene["parts"]["wave"][: scene["part_count"]] > 0).any() for scene in many])
    assert 0.3 < waves.mean() < 0.7
    assert 0.12 < (many["cutter_count"] > 0).mean() < 0.5
    assert 0.05 < (many["shell"] > 0).mean() < 0.3
    assert 1 - many["lit"].mean() == pytest.approx(PURE_ALBEDO, abs=0.07)
    steps = np.concatenate([scene["parts"]["step"][: scene["part_count"]] for scene in many])
    assert steps.max() <= 1
    assert np.quantile(steps, 0.02) > 0.35


def test_every_recipe_makes_objects_that_stay() -> None:
    for recipes in RECIPES.values():
        for recipe in recipes:
            parts = [recipe.build(Draw(1, index)) for index in range(8)]
            assert all(len(one) >= 1 for one in parts)
            assert len({str(one) for one in parts}) == 8
            assert recipe.build.__doc__


def test_empty_objects_needles_and_pieces_are_refused() -> None:
    from procedural_parts import table_of

    ball = shapes.ball((0.3, 0.3, 0.3))
    assert normalize(table_of(ball))
    assert not normalize(table_of(ball, cutters=(shapes.ball((0.5, 0.5, 0.5)),)))
    assert not normalize(table_of(shapes.capsule(0.02, 0.9)))
    assert not normalize(table_of(ball.moved(-0.6, 0, 0), ball.moved(0.6, 0, 0)))
    assert normalize(table_of(ball.moved(-0.2, 0, 0), ball.moved(0.2, 0, 0)))


def test_views_agree_between_cameras(scenes: list[Scene]) -> None:
    cameras = orbit([10, 35, 200], [15, 30, -20], height=96, width=96)
    for scene in scenes[:12]:
        views = render(scene, cameras)
        assert views.depth is not None
        assert views.normal is not None
        assert set(views.mask.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(views.depth > 0, views.mask > 0)
        points = backproject(cameras, views.depth)
        seen = points[views.depth > 0]
        assert scene.sdf(seen).abs().max() < 9e-4
        towards = cameras.positions[:, None, None] - points
        assert ((views.normal * towards).sum(-1)[views.depth > 0] > -0.05).float().mean() > 0.99
        colors = (views.rgba[..., :3][views.mask > 0] - scene.color(seen)).abs()
        assert (colors < 5e-3).float().mean() > 0.999  # a point at the edge of a pattern may fall on either side
        # A ray from the second camera towards what the first one sees ends there, or earlier.
        first = points[0][views.depth[0] > 0]
        reach = (first - cameras.positions[1]).norm(dim=-1)
        hits = scene.trace(cameras.positions[1].expand_as(first), (first - cameras.positions[1]) / reach[:, None])
        assert (hits.mask[0] & (hits.distance[0] < reach + 3e-3)).float().mean() > 0.995
        same = (hits.distance[0] - reach).abs() < 3e-3
        assert same.float().mean() > 0.2


def test_supersampling_averages_color_and_mask_alone(scenes: list[Scene]) -> None:
    cameras = orbit([40], [20], height=32, width=32)
    plain, soft = render(scenes[0], cameras), render(scenes[0], cameras, supersample=4)
    assert plain.depth is not None
    assert soft.depth is not None
    assert torch.equal(plain.depth, soft.depth)
    assert ((soft.mask > 0) & (soft.mask < 1)).any()
    fine = render(scenes[0], cameras.resized(128, 128))
    means = torch.nn.functional.avg_pool2d(fine.composite(0.0).movedim(-1, 1), 4).movedim(1, -1)
    torch.testing.assert_close(soft.composite(0.0), means)


def test_a_camera_that_looks_away_is_an_error(scenes: list[Scene]) -> None:
    camera = orbit([0], [0], height=8, width=8)
    away = camera.c2w.clone()
    away[:, :3, 0] *= -1
    away[:, :3, 2] *= -1
    with pytest.raises(GtrError) as caught:
        render(scenes[0], type(camera)(away, camera.intrinsics, 8, 8))
    assert caught.value.code == ErrorCode.EMPTY_MASK


def test_contact_sheet() -> None:
    sheet = contact_sheet(SEED, 5, tile=40, first=2, supersample=1)
    assert sheet.size == (120, 80)
    pixels = np.asarray(sheet)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert (pixels[40:, 80:] == pixels[-1, -1]).all()


def test_the_font_has_distinct_letters() -> None:
    pixels = glyph_pixels()
    assert pixels.shape == (len(GLYPH_ROWS), 7, 5) == (36, 7, 5)
    assert len({glyph.tobytes() for glyph in pixels}) == 36
    assert (pixels.any(2)[:, [0, 6]]).all()
