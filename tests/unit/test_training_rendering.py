"""Rays and surfaces of training fields: against the evaluation's way to draw them, and their gradients."""

from dataclasses import replace

import pytest
import torch
from ball_source import BallSource
from torch import nn

from gtr_core.data.dataset import BatchRequest
from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.density_head import DensityHead
from gtr_core.fields.nerf import render_volume
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fields.surface import extract_mesh
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.rasterize import get_rasterizer
from gtr_core.training.batch_field import BatchField
from gtr_core.training.ray_rendering import Rays, Sampling, bin_borders, render_rays
from gtr_core.training.surface import differentiable_surface
from gtr_core.training.surface_pictures import draw_nothing, draw_surface
from gtr_core.training.target_rays import points_behind, points_in_front, rays_of

HEAD = DensityHead(20.0, 10.0)


class BallDensity(nn.Module):
    """Raw density of a ball out of planes that hold the coordinates: 5 (radius - norm)."""

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = nn.Parameter(torch.tensor(radius))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        points = torch.stack([features[..., 0], features[..., 3], features[..., 5]], dim=-1)
        return 5 * (self.radius - points.norm(dim=-1, keepdim=True))


def coordinate_planes(resolution: int = 256) -> torch.Tensor:
    """(3, 2, R, R) planes whose channels are their own two coordinates."""
    line = (torch.arange(resolution) + 0.5) * 2 / resolution - 1
    v, u = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([u, v]).expand(3, 2, -1, -1).clone()


def ball_field(radius: float = 0.6, count: int = 1) -> BatchField:
    color = ColorMlp(6, 8, generator=torch.Generator().manual_seed(0))
    return BatchField(coordinate_planes().expand(count, -1, -1, -1, -1), BallDensity(radius), color, HEAD)


def random_field(count: int = 2, scale: float = 1.0) -> BatchField:
    generator = torch.Generator().manual_seed(1)
    planes = scale * torch.randn((count, 3, 4, 16, 16), generator=generator)
    mlps = DensityMlp(12, 16, generator=generator), ColorMlp(12, 16, generator=generator)
    return BatchField(planes.requires_grad_(True), *mlps, HEAD)


def test_many_fields_at_once_are_the_fields_one_by_one() -> None:
    field = random_field()
    points = torch.rand((2, 50, 3)) * 2 - 1
    density, color = field.density_and_radiance(points)
    for index in range(2):
        one = field.one(index)
        assert torch.allclose(density[index], one.density(points[index]).squeeze(1), atol=1e-6)
        assert torch.allclose(color[index], one.radiance(points[index]), atol=1e-6)
    assert torch.equal(field.density(points), density)
    assert torch.equal(field.radiance(points), color)


def test_training_rays_see_what_evaluation_sees() -> None:
    field = ball_field()
    cameras = orbit([20, 130], [15, -40], height=12, width=12)
    batch = BallSource().batch(0, [0], BatchRequest(2, 12, 0)).inputs
    pictures = replace(batch, c2w=cameras.c2w[None], intrinsics=cameras.intrinsics[None])
    rays = rays_of(pictures)
    with torch.no_grad():
        expected = render_volume(field.one(0), cameras, num_samples=256)
        color, opacity, along = render_rays(field, rays, Sampling(256), seed=0, indices=torch.tensor([3]))
    assert float((color.view(2, 12, 12, 3) - expected.rgb).abs().max()) < 0.03
    assert float((opacity.view(2, 12, 12) - expected.mask).abs().max()) < 0.03
    seen = opacity > 0.9
    assert float(along[seen].min()) == pytest.approx(4 - 0.6, abs=0.05)


def test_portions_of_rays_give_the_same_values_and_gradients() -> None:
    batch = BallSource().batch(0, [0, 1], BatchRequest(1, 12, 1, 12))
    assert batch.targets is not None
    rays = rays_of(batch.targets)
    results = []
    for at_once in (1 << 16, 64):
        field = random_field()
        parts = render_rays(field, rays, Sampling(16), seed=0, indices=batch.indices, rays_at_once=at_once)
        sum(part.square().sum() for part in parts).backward()  # type: ignore[union-attr]
        results.append([*(part.detach() for part in parts), field.planes.grad, field.density_mlp.layers[0].weight.grad])
    for whole, portions in zip(*results, strict=True):
        assert torch.allclose(whole, portions, rtol=1e-4, atol=1e-4)


def test_samples_near_the_true_surface_find_it_with_few() -> None:
    batch = BallSource().batch(0, [4], BatchRequest(1, 16, 1, 32))
    assert batch.targets is not None
    rays = rays_of(batch.targets)
    sampling = Sampling(8, near_surface=16, reach=0.1)
    borders, hit = bin_borders(rays, sampling, 0, batch.indices)
    assert borders.shape[-1] == 8 + 1 + 16
    assert bool((borders.diff(dim=-1) >= 0).all())
    known = (rays.surface > 0) & hit
    near = ((borders - rays.surface[..., None]).abs() <= 0.1 + 1e-5).sum(-1)
    assert int(near[known].min()) >= 16


def test_jitter_belongs_to_the_sample() -> None:
    batch = BallSource().batch(0, [4, 9], BatchRequest(1, 16, 1, 8))
    assert batch.targets is not None
    rays = rays_of(batch.targets)
    together, _ = bin_borders(rays, Sampling(16), 0, batch.indices)
    alone = Rays(rays.origins[1:], rays.directions[1:], rays.surface[1:])
    single, _ = bin_borders(alone, Sampling(16), 0, batch.indices[1:])
    hit = rays.surface[1] > 0
    assert torch.equal(together[1, hit], single[0, hit])
    other, _ = bin_borders(rays, Sampling(16), 1, batch.indices)
    assert not torch.equal(together, other)


def test_points_in_front_are_in_front_and_points_behind_inside() -> None:
    batch = BallSource(count=1).batch(0, [0, 1], BatchRequest(1, 16, 2, 24))
    assert batch.points is not None
    assert batch.targets is not None
    rays = rays_of(batch.targets)
    assert batch.targets.normal is not None
    met = rays.surface > 0
    surface = (rays.origins + rays.surface[..., None] * rays.directions)[met]
    radius = surface.norm(dim=-1)
    assert float(radius.std()) < 1e-4
    front = points_in_front(rays, 500, 0, batch.indices)
    assert front.shape == (2, 500, 3)
    assert float(front.abs().max()) <= 1 + 1e-4
    assert float(front.norm(dim=-1).min()) > float(radius.mean())
    behind = points_behind(rays, 0)
    assert float(behind.norm(dim=-1).max()) < float(radius.mean())


def test_the_learned_surface_is_the_extracted_one() -> None:
    field = random_field(1).one(0)
    level = field.density_mlp(torch.zeros(1, 12)).item()
    field.density_mlp.layers[2].bias.data -= level  # so that the surface passes the box
    mesh = extract_mesh(field, 24, colors=False)
    surface = differentiable_surface(field, 24)
    assert surface is not None
    vertices, faces = surface
    assert torch.equal(faces, mesh.faces)
    assert (vertices - mesh.vertices).abs().max().item() < 1e-4
    planes = torch.autograd.grad(vertices.square().sum(), field.planes)[0]
    assert float(planes.abs().max()) > 0


def test_the_surface_moves_with_the_network_as_finite_differences_say() -> None:
    field = ball_field(0.6).one(0)
    surface = differentiable_surface(field, 33)
    assert surface is not None
    vertices, _ = surface
    assert (vertices.norm(dim=-1) - 0.6).abs().max().item() < 5e-3
    radius = field.density_mlp.radius
    gradient = torch.autograd.grad(vertices.norm(dim=-1).mean(), radius)[0]
    with torch.no_grad():
        means = []
        for step in (-1e-3, 1e-3):
            moved = differentiable_surface(replace(field, density_mlp=BallDensity(0.6 + step)), 33)
            assert moved is not None
            means.append(float(moved[0].norm(dim=-1).mean()))
    assert float(gradient) == pytest.approx((means[1] - means[0]) / 2e-3, rel=0.1)
    assert float(gradient) == pytest.approx(1, rel=0.1)


def test_no_surface_and_noise_are_told_apart_from_surfaces() -> None:
    assert differentiable_surface(ball_field(-1.0).one(0), 17) is None
    noise = TriplaneField(
        20 * torch.randn((3, 4, 64, 64), generator=torch.Generator().manual_seed(0)),
        DensityMlp(12, 16, generator=torch.Generator().manual_seed(0)),
        ColorMlp(12, 16, generator=torch.Generator().manual_seed(0)),
        density_head=HEAD,
    )
    cells = differentiable_surface(noise, 16)
    # at this resolution noise passes nearly every cell, and there are few; at a real one it is too many
    assert cells is None or len(cells[1]) > 5 * 16**2


def test_a_moving_surface_is_drawn_as_a_result_is() -> None:
    field = ball_field(0.6).one(0)
    cameras = orbit([30, 200], [10, -20], height=32, width=32)
    surface = differentiable_surface(field, 33)
    assert surface is not None
    drawn = draw_surface(field, *surface, cameras, get_rasterizer("cpu"), normals=True)
    expected = render_mesh(extract_mesh(field, 33), cameras, field=field)
    inner = expected.mask > 0
    assert torch.equal(drawn.depth > 0, inner)
    assert torch.allclose(drawn.depth, expected.depth, atol=1e-4)
    flat = (drawn.mask == 1) & inner
    assert torch.allclose(drawn.rgb[flat], expected.rgb[flat], atol=2e-2)
    assert drawn.mask.sum().item() == pytest.approx(float(inner.float().sum()), rel=0.02)
    assert (drawn.normal - expected.normal).norm(dim=-1)[flat].mean().item() < 0.1
    assert drawn.rgb[~inner & (drawn.mask == 0)].min().item() == 1.0


@pytest.mark.parametrize("what", ["mask", "depth"])
def test_silhouettes_and_depths_pull_the_radius_the_right_way(what: str) -> None:
    # Only edges of the faces that show at pixel centres have gradients: the faces are larger than the pixels here.
    cameras = orbit([10, 130], [7, 30], height=64, width=64)
    truth = None
    for radius, pull in ((0.7, None), (0.5, -1), (0.83, 1)):
        field = ball_field(radius).one(0)
        surface = differentiable_surface(field, 12)
        assert surface is not None
        drawn = draw_surface(field, *surface, cameras, get_rasterizer("cpu"), normals=False)
        image = getattr(drawn, what)
        if truth is None:
            truth = image.detach()
            continue
        both = (drawn.depth.detach() > 0) & (truth > 0) if what == "depth" else torch.ones_like(truth)
        loss = ((image - truth).square() * both).mean()
        gradient = torch.autograd.grad(loss, field.density_mlp.radius)[0]
        assert torch.sign(gradient).item() == pull


def test_an_absent_surface_is_drawn_as_background() -> None:
    drawn = draw_nothing(orbit([0], [0], height=4, width=5))
    assert drawn.rgb.shape == (1, 4, 5, 3)
    assert float(drawn.rgb.min()) == 1
    assert float(drawn.mask.max()) == float(drawn.depth.max()) == 0
