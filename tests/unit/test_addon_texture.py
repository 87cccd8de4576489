"""Textures: no two places on one texel, the same density everywhere, and the colours that the surface has."""

import io

import numpy as np
import pytest
import trimesh
from PIL import Image

from blender_addon.errors import ClientError, Interrupted
from blender_addon.formats.export_check import inspect_file
from blender_addon.formats.export_mesh import ExportMesh, MeshTexture
from blender_addon.formats.glb import glb_bytes
from blender_addon.formats.obj import obj_files
from blender_addon.formats.ply import ply_bytes
from blender_addon.job.bake import POINTS_AT_ONCE, bake_texture
from blender_addon.texture import charts as uv_charts
from blender_addon.texture.atlas import Atlas, unwrap
from blender_addon.texture.raster import barycentric, covered_texels
from blender_addon.texture.texels import fill_texture, texel_positions
from blender_addon.texture.values import BakeSurface

ORANGE = (200, 100, 50)


def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(4)


def knot() -> trimesh.Trimesh:
    """A tube that runs over and under itself: seen from any side, parts of it hide others."""
    t = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    center = np.stack([np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)], -1) / 3
    along = np.roll(center, -1, 0) - np.roll(center, 1, 0)
    one = np.cross(along, [0.3, 0.2, 1.0])
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    two = np.cross(along, one)
    two /= np.linalg.norm(two, axis=1, keepdims=True)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None, None]
    rings = center + 0.15 * (np.cos(turn) * one + np.sin(turn) * two)
    i, j = np.meshgrid(np.arange(24), np.arange(240), indexing="ij")
    a, b = i * 240 + j, (i + 1) % 24 * 240 + j
    c, d = (i + 1) % 24 * 240 + (j + 1) % 240, i * 240 + (j + 1) % 240
    return trimesh.Trimesh(rings.reshape(-1, 3), np.stack([a, b, c, a, c, d], -1).reshape(-1, 3), process=False)


def ramp() -> trimesh.Trimesh:
    """A spiral stair without steps, three storeys over each other in one connected piece that looks upwards."""
    angle = np.linspace(0, 6 * np.pi, 300)
    inner, outer = (np.stack([r * np.cos(angle), r * np.sin(angle), angle / 8], -1) for r in (0.3, 1.0))
    k = np.arange(299)
    faces = np.concatenate([np.stack([k, k + 300, k + 1], -1), np.stack([k + 1, k + 300, k + 301], -1)])
    return trimesh.Trimesh(np.concatenate([inner, outer]), faces, process=False)


def bumpy() -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(5)
    mesh.vertices *= 1 + np.random.default_rng(1).normal(0, 0.006, (len(mesh.vertices), 1))
    return mesh


SHAPES = {"ball": ball, "box": trimesh.creation.box, "knot": knot, "ramp": ramp, "bumpy": bumpy}


@pytest.fixture(params=SHAPES, scope="module")
def shape(request: pytest.FixtureRequest) -> tuple[trimesh.Trimesh, Atlas]:
    mesh = SHAPES[request.param]()
    return mesh, unwrap(mesh.vertices, mesh.faces, 512)


def uv_area(atlas: Atlas) -> np.ndarray:
    """(M,) signed area of each face in texels."""
    corner = atlas.texels[atlas.faces]
    one, two = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    return (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]) / 2


def checks(points: np.ndarray) -> np.ndarray:
    """A colour that every point of space has: smooth, so that a texel's colour says where it is."""
    return np.rint(127.5 + 120 * np.sin(points * (3, 4, 5) + (0, 1, 2))).astype(np.uint8)


def painted(mesh: trimesh.Trimesh, size: int = 512) -> ExportMesh:
    surface = BakeSurface(mesh.vertices.astype(np.float32), mesh.faces, size)
    texture = bake_texture(surface, lambda points, _part, _parts: checks(points), lambda _stage, _done: None)
    return ExportMesh("Thing", mesh.vertices, mesh.faces, None, texture)


# --- triangles to texels ----------------------------------------------------------------------------------------------


def test_a_torn_square_is_covered_once_and_whole() -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(21), np.arange(21), indexing="ij"), -1).astype(float) * 2
    grid[1:-1, 1:-1] += rng.uniform(-0.6, 0.6, (19, 19, 2))  # some corners fall on texel centres, most do not
    grid[5, 5] = (10.5, 10.5)
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    triangles = np.concatenate([np.stack(t, -2).reshape(-1, 3, 2) for t in ((a, b, c), (c, d, a))])
    hits = np.zeros((40, 40), int)
    for _, column, row in covered_texels(triangles):
        np.add.at(hits, (row, column), 1)
    assert (hits == 1).all()


def test_texels_and_weights_agree_with_half_planes() -> None:
    triangles = np.random.default_rng(2).uniform(0, 30, (200, 3, 2))
    centres = np.stack(np.meshgrid(np.arange(30), np.arange(30), indexing="xy"), -1) + 0.5
    for number, triangle in enumerate(triangles):
        found = {(c, r) for _, cs, rs in covered_texels(triangle[None]) for c, r in zip(cs, rs, strict=True)}
        edges = np.roll(triangle, -1, 0) - triangle
        to = centres[:, :, None] - triangle
        side = edges[:, 0] * to[..., 1] - edges[:, 1] * to[..., 0]
        inside = (side > 0).all(-1) | (side < 0).all(-1)
        assert found == {(c, r) for r, c in zip(*np.nonzero(inside), strict=True)}, number
        points = np.array(sorted(found)) + 0.5 if found else np.zeros((0, 2))
        weights = barycentric(triangle[None], np.zeros(len(points), int), points)
        np.testing.assert_allclose(weights @ triangle, points, atol=1e-9)


# --- the layout -------------------------------------------------------------------------------------------------------


def test_layout_is_that_of_the_mesh(shape: tuple[trimesh.Trimesh, Atlas]) -> None:
    mesh, atlas = shape
    np.testing.assert_array_equal(atlas.vertex[atlas.faces], mesh.faces)
    assert len(np.unique(atlas.faces)) == len(atlas.texels), "a place that no face uses"
    assert atlas.texels.min() >= 1
    assert atlas.texels.max() <= 511
    assert atlas.uv.min() > 0
    assert atlas.uv.max() < 1


def test_no_two_faces_far_apart_share_a_texel(shape: tuple[trimesh.Trimesh, Atlas]) -> None:
    mesh, atlas = shape
    corners, flat = mesh.vertices[mesh.faces], atlas.texels[atlas.faces]
    density = np.sqrt(np.abs(uv_area(atlas)).sum() / mesh.area)
    face, column, row = (np.concatenate(part) for part in zip(*covered_texels(flat), strict=True))
    weights = barycentric(flat, face, np.stack([column, row], -1) + 0.5)
    points = np.einsum("pk,pkc->pc", weights, corners[face])
    order = np.argsort(row * 512 + column, kind="stable")
    index, points = (row * 512 + column)[order], points[order]
    shared = np.flatnonzero(index[1:] == index[:-1])
    apart = np.linalg.norm(points[shared + 1] - points[shared], axis=1) * density
    assert (apart < 4 * uv_charts.FOLD).all(), "two pieces of surface on one texel"
    assert len(shared) < 2e-4 * 512 * 512
    assert len(np.unique(index)) > 0.35 * 512 * 512


def test_density_is_even_and_nothing_is_mirrored(shape: tuple[trimesh.Trimesh, Atlas]) -> None:
    mesh, atlas = shape
    area = uv_area(atlas)
    assert (area > 0).all() or (area < 0).all()
    density = np.abs(area) / mesh.area_faces
    assert density.max() / density.min() < 1 / uv_charts.LEAST_SLOPE_OF_SMALL + 1
    # By area nearly all of the surface has at least half of the best density.
    assert mesh.area_faces[density < 0.5 * density.max()].sum() < 0.12 * mesh.area


def test_charts_keep_their_distance(shape: tuple[trimesh.Trimesh, Atlas]) -> None:
    _, atlas = shape
    graph = trimesh.graph.connected_components(atlas.faces[:, ((0, 1), (1, 2))].reshape(-1, 2))
    of_place = np.empty(len(atlas.texels), int)
    for number, places in enumerate(graph):
        of_place[places] = number
    picture = np.full((512, 512), -1)
    for face, column, row in covered_texels(atlas.texels[atlas.faces]):
        picture[row, column] = of_place[atlas.faces[face, 0]]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)):
        other = np.roll(picture, shift, (0, 1))
        assert ((picture == other) | (picture < 0) | (other < 0)).all(), shift


def test_layout_is_the_same_every_time() -> None:
    mesh = knot()
    first, second = (unwrap(mesh.vertices, mesh.faces, 256) for _ in range(2))
    np.testing.assert_array_equal(first.texels, second.texels)
    np.testing.assert_array_equal(first.faces, second.faces)


def test_storeys_of_a_ramp_lie_beside_each_other() -> None:
    mesh = ramp()
    chart, _ = uv_charts.cut_into_charts(mesh.vertices, mesh.faces, 1e5)
    assert 3 <= chart.max() + 1 <= 8


@pytest.mark.parametrize("size", [64, 256, 1000])
def test_a_long_stick_fills_the_width(size: int) -> None:
    stick = trimesh.creation.cylinder(0.01, 3.0, sections=12)
    atlas = unwrap(stick.vertices, stick.faces, size)
    low, high = atlas.texels.min(axis=0), atlas.texels.max(axis=0)
    assert low.min() >= 1
    assert high.max() <= size - 1
    assert (high - low).max() > 0.85 * size


def test_degenerate_and_doubled_faces_are_laid_out() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], float)
    faces = np.array([[0, 1, 2], [0, 0, 1], [0, 3, 1], [0, 1, 2], [2, 1, 0]])
    atlas = unwrap(points, faces, 64)
    np.testing.assert_array_equal(atlas.vertex[atlas.faces], faces)
    assert np.isfinite(atlas.texels).all()


def test_too_many_pieces_are_refused() -> None:
    rng = np.random.default_rng(3)
    points = (rng.uniform(-1, 1, (9000, 1, 3)) + rng.normal(0, 0.01, (9000, 3, 3))).reshape(-1, 3)
    faces = np.arange(27000).reshape(-1, 3)
    with pytest.raises(ValueError, match="9000 pieces of surface do not fit on 128"):
        unwrap(points, faces, 128)
    surface = BakeSurface(points.astype(np.float32), faces, 128)
    with pytest.raises(ClientError) as caught:
        bake_texture(surface, lambda points, *_: checks(points), lambda *_: None)
    assert caught.value.code == "export_failed"


# --- the points -------------------------------------------------------------------------------------------------------


def test_texels_lie_on_the_surface(shape: tuple[trimesh.Trimesh, Atlas]) -> None:
    mesh, atlas = shape
    texels = texel_positions(atlas, mesh.vertices, mesh.faces)
    assert (np.diff(texels.index) > 0).all()
    flat, corners = atlas.texels[atlas.faces], mesh.vertices[mesh.faces]
    known = np.zeros(512 * 512, bool)
    known[texels.index] = True
    place = np.zeros((512 * 512, 3))
    place[texels.index] = texels.points
    owners = np.zeros(512 * 512, int)
    for _, column, row in covered_texels(flat):
        np.add.at(owners, row * 512 + column, 1)
    assert known[owners > 0].all(), "a texel of the surface has no point"
    for face, column, row in covered_texels(flat):
        index = row * 512 + column
        alone = owners[index] == 1
        weights = barycentric(flat, face, np.stack([column, row], -1) + 0.5)
        expected = np.einsum("pk,pkc->pc", weights, corners[face])
        np.testing.assert_allclose(place[index][alone], expected[alone], atol=1e-6)
    outside = texels.index[owners[texels.index] == 0][::37]
    _, distance, _ = trimesh.proximity.closest_point_naive(mesh, place[outside][:40])
    assert distance.max() < 1e-6


def test_every_lookup_on_the_surface_meets_known_texels(shape: tuple[trimesh.Trimesh, Atlas]) -> None:
    mesh, atlas = shape
    texels = texel_positions(atlas, mesh.vertices, mesh.faces)
    known = np.zeros((512, 512), bool)
    known.flat[texels.index] = True
    rng = np.random.default_rng(5)
    weights = rng.dirichlet((0.5, 0.5, 0.5), len(mesh.faces))
    spots = np.einsum("mk,mkc->mc", weights, atlas.texels[atlas.faces])
    corner = np.floor(spots - 0.5).astype(int)
    met = np.stack([known[corner[:, 1] + y, corner[:, 0] + x] for x in (0, 1) for y in (0, 1)])
    assert met[:, :].mean() > 0.9995


def test_filling_continues_the_border() -> None:
    mesh = ball()
    atlas = unwrap(mesh.vertices, mesh.faces, 256)
    texels = texel_positions(atlas, mesh.vertices, mesh.faces)
    picture = fill_texture(texels, np.full((len(texels.index), 3), ORANGE, np.uint8))
    assert (picture == ORANGE).all(), "every mip level is orange too"
    picture = fill_texture(texels, checks(texels.points))
    np.testing.assert_array_equal(picture.reshape(-1, 3)[texels.index], checks(texels.points))


def test_points_are_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert POINTS_AT_ONCE * 12 + 4096 < 64 * 1024 * 1024
    whole = painted(ball(), 128).texture
    monkeypatch.setattr("blender_addon.job.bake.POINTS_AT_ONCE", 1000)
    asked = []

    def colors_at(points: np.ndarray, part: int, parts: int) -> np.ndarray:
        asked.append((part, parts, len(points)))
        return checks(points)

    mesh = ball()
    told = []
    surface = BakeSurface(mesh.vertices.astype(np.float32), mesh.faces, 128)
    assert bake_texture(surface, colors_at, lambda *done: told.append(done)).png == whole.png
    assert [part for part, _, _ in asked] == list(range(asked[0][1]))
    assert max(count for _, _, count in asked) <= 1000
    assert {stage for stage, _ in told} == {"unwrap", "picture"}


def test_whoever_reports_can_stop() -> None:
    def stop(stage: str, done: float) -> None:
        if done > 0.5:
            raise Interrupted

    mesh = ball()
    with pytest.raises(Interrupted):
        bake_texture(BakeSurface(mesh.vertices.astype(np.float32), mesh.faces, 128), checks, stop)


# --- the files --------------------------------------------------------------------------------------------------------


def looked_up(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Points on the surface and the colours that a bilinear lookup finds there; trimesh has v up."""
    material = mesh.visual.material
    image = material.baseColorTexture if hasattr(material, "baseColorTexture") else material.image
    picture = np.asarray(image).astype(float)[..., :3]
    weights = np.random.default_rng(4).dirichlet((1, 1, 1), len(mesh.faces))
    uv = np.einsum("mk,mkc->mc", weights, np.asarray(mesh.visual.uv)[mesh.faces])
    points = np.einsum("mk,mkc->mc", weights, mesh.vertices[mesh.faces])
    x, y = uv[:, 0] * picture.shape[1] - 0.5, (1 - uv[:, 1]) * picture.shape[0] - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b = (x - left)[:, None], (y - top)[:, None]
    upper = picture[top, left] * (1 - a) + picture[top, left + 1] * a
    lower = picture[top + 1, left] * (1 - a) + picture[top + 1, left + 1] * a
    return points, upper * (1 - b) + lower * b


@pytest.mark.parametrize("name", ["ball", "knot"])
def test_glb_shows_the_colors_of_the_surface(name: str) -> None:
    mesh = SHAPES[name]()
    data = glb_bytes([painted(mesh)])
    read = trimesh.load(io.BytesIO(data), file_type="glb", process=False).geometry["Thing"]
    points, colors = looked_up(read)
    assert np.abs(colors - checks(points)).max() < 12
    assert np.abs(colors - checks(points)).mean() < 1.0
    material = read.visual.material
    assert material.metallicFactor == 0
    merged = trimesh.Trimesh(read.vertices, read.faces)
    assert merged.is_watertight
    assert merged.volume == pytest.approx(mesh.volume, rel=1e-5)
    np.testing.assert_allclose(np.linalg.norm(read.vertex_normals, axis=1), 1, atol=1e-5)


def test_obj_shows_the_same(tmp_path) -> None:
    mesh = knot()
    for name, data in obj_files(painted(mesh), "thing").items():
        (tmp_path / name).write_bytes(data)
    read = trimesh.load(tmp_path / "thing.obj", process=False)
    points, colors = looked_up(read)
    assert np.abs(colors - checks(points)).max() < 12
    summary = inspect_file(tmp_path / "thing.obj")
    assert (summary.vertices, summary.faces, summary.texture) == (len(mesh.vertices), len(mesh.faces), 512)
    assert summary.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    (tmp_path / "thing.mtl").write_text("newmtl GTR\n")
    assert inspect_file(tmp_path / "thing.obj").texture == 0


def test_orange_stays_orange() -> None:
    mesh = trimesh.creation.box()
    surface = BakeSurface(mesh.vertices.astype(np.float32), mesh.faces, 64)
    texture = bake_texture(surface, lambda p, *_: np.tile(np.uint8(ORANGE), (len(p), 1)), lambda *_: None)
    image = np.asarray(Image.open(io.BytesIO(texture.png)))
    assert image.shape == (64, 64, 3)
    assert (image == ORANGE).all()


def test_textured_and_plain_meshes_share_a_file(tmp_path) -> None:
    textured = painted(ball())
    colors = np.tile(np.uint8(ORANGE), (len(textured.vertices), 1))
    plain = ExportMesh("Plain", textured.vertices + 3, textured.faces, colors)
    path = tmp_path / "both.glb"
    path.write_bytes(glb_bytes([textured, plain, textured], unlit=True))
    summary = inspect_file(path)
    assert (summary.texture, summary.colors) == (0, len(colors)), "one of them has no texture"
    scene = trimesh.load(path)
    assert len(scene.geometry) == 3
    path.write_bytes(glb_bytes([textured]))
    summary = inspect_file(path)
    assert (summary.texture, summary.colors) == (512, 0)
    assert summary.vertices == len(textured.texture.uv)
    assert glb_bytes([textured]) == path.read_bytes(), "same bytes every time"


def test_ply_keeps_the_vertex_colors() -> None:
    textured = painted(ball())
    colors = np.tile(np.uint8(ORANGE), (len(textured.vertices), 1))
    both = ExportMesh("Thing", textured.vertices, textured.faces, colors, textured.texture)
    read = trimesh.load(io.BytesIO(ply_bytes([both])), file_type="ply", process=False)
    assert (read.visual.vertex_colors[:, :3] == ORANGE).all()


def test_a_texture_of_another_mesh_is_refused() -> None:
    textured = painted(ball())
    with pytest.raises(ValueError, match="texture of another mesh"):
        glb_bytes([ExportMesh("a", textured.vertices, textured.faces[::-1], None, textured.texture)])


def test_a_broken_picture_is_noticed(tmp_path) -> None:
    textured = painted(ball())
    broken = MeshTexture(textured.texture.uv, textured.texture.vertex, textured.texture.faces, b"no picture", 512)
    path = tmp_path / "a.glb"
    path.write_bytes(glb_bytes([ExportMesh("a", textured.vertices, textured.faces, None, broken)]))
    with pytest.raises(ValueError, match="not a whole PNG"):
        inspect_file(path)
