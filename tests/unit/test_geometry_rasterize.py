"""The torch rasteriser: coverage rules, barycentrics, gradients, clipping, antialiasing, the choice of a backend."""

from importlib.util import find_spec

import pytest
import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.render_mesh import clip_positions
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.rasterize import MAX_FACES, get_rasterizer
from gtr_core.geometry.rasterize.nvdiffrast_backend import _pad_frame
from gtr_core.geometry.rasterize.silhouettes import opposite_corners

RASTERIZER = get_rasterizer()
QUAD = torch.tensor([[0, 1, 2], [0, 2, 3]])


def screen_positions(xy, size, depth=0.0):
    """Clip positions with w = 1 of pixel coordinates (pixel centres at .5)."""
    height, width = size
    xy = torch.as_tensor(xy, dtype=torch.float32)
    z = torch.full_like(xy[:, :1], depth)
    ndc = torch.cat([2 * xy[:, :1] / width - 1, 2 * xy[:, 1:] / height - 1, z, torch.ones_like(z)], dim=1)
    return ndc[None]


def test_id_u_v_of_one_triangle():
    size = (8, 16)
    position = screen_positions([[0.0, 0.0], [16.0, 0.0], [0.0, 8.0]], size, depth=0.25)
    raster = RASTERIZER.rasterize(position, torch.tensor([[0, 1, 2]]), size)[0]
    u, v, depth, face = raster[1, 2]  # centre at (2.5, 1.5)
    assert face == 1
    assert depth == pytest.approx(0.25)
    assert v == pytest.approx(2.5 / 16, abs=1e-6)
    assert u == pytest.approx(1 - 2.5 / 16 - 1.5 / 8, abs=1e-6)
    assert raster[7, 15].tolist() == [0, 0, 0, 0]


def test_row_zero_is_the_top_of_the_picture():
    camera = orbit([0], [0], height=32, width=32)
    upper = torch.tensor([[-0.2, 0.5, 0.0], [0.2, 0.5, 0.0], [0.0, 0.9, 0.0]])
    raster = RASTERIZER.rasterize(clip_positions(upper, camera), torch.tensor([[0, 1, 2]]), (32, 32))[0]
    rows = raster[..., 3].nonzero()[:, 0]
    assert rows.max() < 16


def test_nearest_surface_wins_whatever_the_order():
    size = (4, 4)
    corners = [[-9.0, -9.0], [30.0, -9.0], [-9.0, 30.0]]
    near, far = screen_positions(corners, size, -0.5), screen_positions(corners, size, 0.5)
    for positions, expected in ((torch.cat([near, far], 1), 1), (torch.cat([far, near], 1), 2)):
        raster = RASTERIZER.rasterize(positions, torch.tensor([[0, 1, 2], [3, 4, 5]]), size)
        assert (raster[..., 3] == expected).all()


@pytest.mark.parametrize("seed", range(4))
def test_shared_edges_through_pixel_centres_have_no_holes_and_no_double_hits(seed):
    # A triangulated grid whose vertices lie exactly on pixel centres, so that most edges pass through centres.
    generator = torch.Generator().manual_seed(seed)
    count, size = 6, (24, 24)
    line = torch.arange(count) * 4 + 2.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    xy = torch.stack([x, y], dim=-1)
    xy[1:-1, 1:-1] += torch.randint(-1, 2, (count - 2, count - 2, 2), generator=generator)
    index = torch.arange(count * count).view(count, count)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = torch.cat([torch.stack(t, -1).view(-1, 3) for t in ((a, b, c), (c, d, a))])
    flip = torch.rand(len(faces), generator=generator) < 0.5
    faces[flip] = faces[flip].flip(1)
    position = screen_positions(xy.view(-1, 2), size)
    hits = sum((RASTERIZER.rasterize(position, face[None], size)[0, ..., 3] > 0).int() for face in faces)
    assert hits.max() == 1
    assert (hits[3:22, 3:22] == 1).all()


def test_a_face_without_area_covers_nothing():
    size = (8, 8)
    position = screen_positions([[0.5, 0.5], [4.5, 4.5], [7.5, 7.5]], size)
    assert (RASTERIZER.rasterize(position, torch.tensor([[0, 1, 2]]), size) == 0).all()


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_face_with_a_corner_that_is_no_number_disturbs_no_other(axis, value):
    size = (8, 8)
    position = screen_positions([[0.0, 0.0], [16.0, 0.0], [0.0, 16.0], [3.0, 3.0]], size)
    faces = torch.tensor([[0, 1, 2]])
    alone = RASTERIZER.rasterize(position, faces, size)
    position[0, 3, axis] = value
    for broken in ([0, 1, 3], [3, 1, 2], [0, 3, 2]):
        raster = RASTERIZER.rasterize(position, torch.cat([faces, torch.tensor([broken])]), size)
        assert torch.equal(raster, alone)


@pytest.mark.parametrize("behind", [1, 2, 3])
def test_faces_that_reach_behind_the_camera_are_cut_at_the_near_plane(behind):
    camera = orbit([0], [0], height=33, width=33)
    points = torch.tensor([[-3.0, -0.5, -2.0], [3.0, -0.5, -2.0], [0.0, -0.5, -3.0]])
    points[:behind, 2] = 9.0
    raster = RASTERIZER.rasterize(clip_positions(points, camera), torch.tensor([[0, 1, 2]]), (33, 33))[0]
    covered = raster[..., 3] > 0
    if behind == 3:
        assert not covered.any()
        return
    assert covered.any()
    surface = RASTERIZER.interpolate(points, raster[None], torch.tensor([[0, 1, 2]]))[0][covered]
    assert torch.allclose(surface[:, 1], torch.tensor(-0.5), atol=1e-4)
    assert (surface[:, 2] < 4.0 - 0.099).all()


def test_interpolated_positions_project_back_to_the_pixel_centres():
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(60, 3, generator=generator) * 1.6 - 0.8
    faces = torch.randint(60, (40, 3), generator=generator)
    cameras = orbit([20, 130], [10, -40], height=48, width=64)
    raster = RASTERIZER.rasterize(clip_positions(points, cameras), faces, (48, 64))
    surface = RASTERIZER.interpolate(points, raster, faces)
    for view in range(2):
        covered = raster[view, ..., 3] > 0
        pixels = cameras.project(surface[view][covered])[view]
        centres = covered.nonzero().flip(1) + 0.5
        assert covered.sum() > 300
        assert (pixels[:, :2] - centres).abs().max() < 1e-3
        assert torch.allclose(
            RASTERIZER.interpolate(points.expand(2, -1, -1), raster, faces)[view], surface[view], atol=1e-6
        )


def test_gradients_of_u_and_v_match_finite_differences():
    generator = torch.Generator().manual_seed(2)
    camera = orbit([15], [25], height=12, width=12)
    points = torch.tensor([[-0.8, -0.7, 0.1], [0.9, -0.6, -0.3], [0.1, 0.9, 0.4]])
    position = clip_positions(points, camera).double()
    faces = torch.tensor([[0, 1, 2]])
    inner = RASTERIZER.rasterize(position, faces, (12, 12))[..., 3] > 0
    weight = torch.randn(1, 12, 12, 2, generator=generator, dtype=torch.double) * inner[..., None]

    def value(position):
        return (RASTERIZER.rasterize(position, faces, (12, 12))[..., :2].double() * weight).sum()

    probe = position.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(probe), probe)
    assert gradient[..., 2].abs().max() == 0
    step = 2e-3  # the values leave as float32
    for vertex, axis in ((0, 0), (1, 1), (2, 0), (2, 3)):
        moved = torch.zeros_like(position)
        moved[0, vertex, axis] = step
        numeric = (value(position + moved) - value(position - moved)) / (2 * step)
        assert float(gradient[0, vertex, axis]) == pytest.approx(float(numeric), rel=2e-2, abs=2e-2)


def test_interpolation_gradient_is_the_barycentric_weight():
    size = (8, 8)
    position = screen_positions([[0.0, 0.0], [16.0, 0.0], [0.0, 16.0]], size)
    faces = torch.tensor([[0, 1, 2]])
    raster = RASTERIZER.rasterize(position, faces, size)
    attributes = torch.zeros(3, 1, requires_grad=True)
    RASTERIZER.interpolate(attributes, raster, faces)[0, 3, 2].backward()
    u, v = raster[0, 3, 2, :2]
    assert torch.allclose(attributes.grad[:, 0], torch.stack([u, v, 1 - u - v]))


@pytest.mark.parametrize("edge", [4.5, 4.7, 5.0, 5.3, 5.5])
def test_antialiasing_gives_the_exact_coverage_of_a_vertical_edge(edge):
    size = (6, 10)
    position = screen_positions([[-5, -50], [edge, -50], [edge, 50], [-5, 50]], size)
    raster = RASTERIZER.rasterize(position, QUAD, size)
    mask = (raster[..., 3:] > 0).float()
    smooth = RASTERIZER.antialias(mask, raster, position, QUAD)[0, ..., 0]
    expected = (edge - torch.arange(10)).clamp(0, 1)
    assert torch.allclose(smooth, expected.expand(6, 10), atol=1e-5)


def test_antialiasing_carries_the_gradient_of_the_covered_area():
    size = (16, 16)
    corners = torch.tensor([[3.3, 2.6], [12.2, 4.1], [11.4, 13.2], [4.2, 11.7]])

    def area(corners):
        position = screen_positions(corners, size)
        raster = RASTERIZER.rasterize(position, QUAD, size)
        return RASTERIZER.antialias((raster[..., 3:] > 0).float(), raster, position, QUAD).sum()

    probe = corners.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(area(probe), probe)
    x, y = corners.unbind(1)
    true_gradient = torch.stack([(y.roll(-1) - y.roll(1)) / 2, (x.roll(1) - x.roll(-1)) / 2], dim=1)
    # pixels at the four corners have two edges, of which one is blended
    cosine = torch.nn.functional.cosine_similarity(gradient.flatten(), true_gradient.flatten(), dim=0)
    assert cosine > 0.98
    moved = torch.zeros_like(corners)
    moved[1, 0] = 4e-3
    numeric = (area(corners + moved) - area(corners - moved)) / 8e-3
    assert float(gradient[1, 0]) == pytest.approx(float(numeric), rel=0.02)
    true_area = 0.5 * (x * y.roll(-1) - y * x.roll(-1)).sum()
    assert float(area(corners)) == pytest.approx(float(true_area), rel=0.02)


def test_antialiasing_leaves_inner_edges_alone():
    size = (16, 16)
    position = screen_positions([[-5, -5], [40, -5], [40, 40], [-5, 40]], size)
    raster = RASTERIZER.rasterize(position, QUAD, size)
    image = raster[..., 3:].clone()
    assert set(image.unique().tolist()) == {1.0, 2.0}
    assert torch.equal(RASTERIZER.antialias(image, raster, position, QUAD), image)


def test_opposite_corners():
    faces = torch.tensor([[0, 1, 2], [2, 1, 3], [1, 2, 4], [0, 2, 5]])
    assert opposite_corners(faces).tolist() == [[-1, 5, -1], [-1, -1, -1], [-1, -1, -1], [-1, -1, 1]]


def test_more_faces_than_ids_are_refused():
    with pytest.raises(ValueError, match="faces"):
        RASTERIZER.rasterize(torch.zeros(1, 3, 4), torch.zeros(1, 3).expand(MAX_FACES + 1, 3), (4, 4))


def test_nvdiffrast_by_name_on_the_cpu_is_an_error_with_a_remedy():
    with pytest.raises(GtrError) as caught:
        get_rasterizer("cpu", backend="nvdiffrast")
    assert caught.value.code is ErrorCode.BACKEND_UNAVAILABLE
    assert "torch" in caught.value.hint


@pytest.mark.skipif(find_spec("nvdiffrast") is not None, reason="nvdiffrast is installed")
def test_nvdiffrast_by_name_when_absent_is_an_error_with_a_remedy():
    with pytest.raises(GtrError) as caught:
        get_rasterizer("cuda", backend="nvdiffrast")
    assert caught.value.code is ErrorCode.BACKEND_UNAVAILABLE
    assert "nvdiffrast" in caught.value.message


def test_unknown_backend():
    with pytest.raises(ValueError, match="opengl"):
        get_rasterizer(backend="opengl")


def test_frames_padded_for_nvdiffrast_show_the_same_picture():
    generator = torch.Generator().manual_seed(5)
    points = torch.rand(30, 3, generator=generator) * 1.6 - 0.8
    faces = torch.randint(30, (20, 3), generator=generator)
    position = clip_positions(points, orbit([20], [10], height=37, width=51))
    plain = RASTERIZER.rasterize(position, faces, (37, 51))
    padded = RASTERIZER.rasterize(_pad_frame(position, (37, 51), (40, 56)), faces, (40, 56))[:, :37, :51]
    same = plain[..., 3] == padded[..., 3]
    assert same.float().mean() > 0.999
    assert torch.allclose(plain[same], padded[same], atol=1e-3)
