"""What is likely inside the visual hull: nearer to the truth than the hull, whoever took the pictures."""

from collections.abc import Callable

import pytest
import torch

from gtr_core.errors import GtrError
from gtr_core.fit.likely_shape import likely_shape
from gtr_core.fit.mask_rays import MaskRays, trace
from gtr_core.fit.sdf_grid import SdfGrid
from gtr_core.fit.shape_prior import RESOLUTION, WEIGHTS, ShapePrior, guess_shape, load_prior, save_prior
from gtr_core.fit.visual_hull import visual_hull
from gtr_core.fit.volume_fit import inside_hull
from gtr_core.geometry.cameras import Cameras, camera_set, orbit
from gtr_core.training.prior_samples import prior_sample
from gtr_core.views import Views

Shape = Callable[[torch.Tensor], torch.Tensor]
SIZE = 128


def ball(points: torch.Tensor) -> torch.Tensor:
    return points.norm(dim=-1) - 0.7


def box(points: torch.Tensor) -> torch.Tensor:
    return (points.abs() - torch.tensor([0.7, 0.8, 0.5])).amax(-1)


def grid_of(shape: Shape, resolution: int = 96) -> SdfGrid:
    axis = torch.linspace(-1, 1, resolution)
    return SdfGrid(shape(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)))


def views_of(shape: Shape, cameras: Cameras) -> Views:
    """Grey pictures of an analytic shape."""
    everything = Views(torch.ones(len(cameras), cameras.height, cameras.width, 4), cameras)
    _, hit = trace(grid_of(shape), MaskRays.of(everything, max(cameras.height, cameras.width)))
    rgba = torch.full((len(cameras), cameras.height, cameras.width, 4), 0.5)
    rgba[..., 3] = hit.reshape(rgba.shape[:3]).float()
    return Views(rgba, cameras)


def volume(grid: SdfGrid) -> float:
    return float((grid.values < 0).double().mean()) * 8


def overlap(grid: SdfGrid, shape: Shape) -> float:
    """Intersection over union with the true shape."""
    true, found = grid_of(shape, grid.resolution).values < 0, grid.values < 0
    return float((true & found).sum()) / float((true | found).sum())


@pytest.mark.parametrize("cameras", ["orthogonal", "zero123plus"])
def test_together_with_the_rounded_hull_it_makes_a_ball_of_the_hull_of_a_ball(cameras: str) -> None:
    views = views_of(ball, camera_set(cameras, height=SIZE, width=SIZE))
    hull = visual_hull(views, 96)
    likely = inside_hull(likely_shape(views, hull), hull)
    assert 1 - overlap(likely, ball) < 0.8 * (1 - overlap(hull, ball))


def test_it_errs_less_than_the_hull_on_objects_that_it_never_saw() -> None:
    errors = []
    for index in range(8):
        views, truth = prior_sample(77, index)
        guess, hull = load_prior(WEIGHTS)([views])
        weight = (hull[0] < 0.06) & (truth.abs() < 0.15)
        errors.append([float((found[0] - truth)[weight].abs().mean()) for found in (guess, hull)])
    guess_error, hull_error = torch.tensor(errors).mean(0).tolist()
    assert guess_error < 0.75 * hull_error


def test_how_far_away_and_how_large_the_pictures_are_hardly_matters() -> None:
    """Twice as far with half the angle, at three times the pixels."""
    near = camera_set("orthogonal", height=SIZE, width=SIZE)
    far = orbit([0, 90, 180, 270], [0] * 4, height=3 * SIZE, width=3 * SIZE, distance=8.0, fov_degrees=15.3)
    volumes = [volume(guess_shape(views_of(box, cameras))) for cameras in (near, far)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1)


def test_it_knows_no_order_of_the_views() -> None:
    views = views_of(box, camera_set("zero123plus", height=SIZE, width=SIZE))
    shuffled = views[[3, 0, 5, 1, 4, 2]]
    assert torch.allclose(guess_shape(views).values, guess_shape(shuffled).values, atol=1e-4)


def test_without_training_it_is_the_hull() -> None:
    views = views_of(ball, camera_set("orthogonal", height=SIZE, width=SIZE))
    distance, hull = ShapePrior()([views])
    assert distance.shape == hull.shape == (1, RESOLUTION, RESOLUTION, RESOLUTION)
    assert torch.equal(distance, hull.clamp(-0.25, 0.25))


def test_what_is_saved_can_be_loaded(tmp_path) -> None:
    prior = ShapePrior()
    path = tmp_path / "prior.safetensors"
    save_prior(prior, path)
    for name, value in load_prior(path).state_dict().items():
        assert torch.equal(value, prior.state_dict()[name].half().float()), name


def test_the_weights_of_the_package_are_small() -> None:
    assert WEIGHTS.stat().st_size < 4 << 20


@pytest.mark.parametrize("content", [None, b"not weights"])
def test_a_file_that_cannot_be_read_says_so(tmp_path, content) -> None:
    path = tmp_path / "prior.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GtrError, match="shape prior"):
        load_prior(path)
