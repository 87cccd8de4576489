"""Pictures from volumes and from meshes, and the surface in between."""

from dataclasses import dataclass, field

import pytest
import torch
import trimesh

from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.nerf import render_volume
from gtr_core.fields.render_mesh import render_mesh, sample_texture
from gtr_core.fields.surface import ISO_LEVEL, density_grid, extract_mesh
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import camera_set, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rays import pixel_rays
from gtr_core.geometry.volume import intersect_box
from gtr_core.progress import Cancelled


@dataclass(frozen=True)
class Ball:
    """A dense ball whose colour is its position."""

    radius: float = 0.6
    steepness: float = 400.0
    planes: torch.Tensor = field(default_factory=lambda: torch.zeros(3, 1, 1, 1))

    def density(self, points):
        distance = self.radius - points.norm(dim=-1, keepdim=True)
        return (ISO_LEVEL + self.steepness * distance).clamp(min=0)

    def color(self, points):
        return (points / 2 + 0.5).clamp(0, 1)


def analytic_ball(cameras, radius=0.6):
    """Depth (V, H, W), 0 outside, and first hits (V, H, W, 3)."""
    origins, directions = pixel_rays(cameras)
    b = (origins * directions).sum(-1)
    root = b.square() - (origins.square().sum(-1) - radius**2)
    distance = -b - root.clamp(min=0).sqrt()
    points = origins + distance[..., None] * directions
    forward = cameras.c2w[:, None, None, :3, 2]
    return torch.where(root > 0, distance * (directions * forward).sum(-1), 0.0), points


def test_extracted_ball():
    mesh = extract_mesh(Ball(), 48)
    solid = trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)
    assert solid.is_watertight
    assert solid.euler_number == 2
    assert torch.allclose(mesh.vertices.norm(dim=1), torch.tensor(0.6), atol=2e-3)
    assert torch.allclose(mesh.colors, mesh.vertices / 2 + 0.5)
    assert extract_mesh(Ball(), 16, colors=False).colors is None


def test_density_grid_index_order_and_ends():
    class Ramp(Ball):
        def density(self, points):
            return points @ torch.tensor([[1.0], [10.0], [100.0]])

    values = density_grid(Ramp(), 3)
    assert values[2, 0, 1] == 1 - 10
    assert values[0, 1, 2] == -1 + 100


def test_cancel_while_extracting():
    def stop(stage, done, total):
        assert stage == "extract"
        if done == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        extract_mesh(Ball(), 16, progress=stop)


def test_volume_and_mesh_and_formula_agree_on_a_ball():
    cameras = orbit([0, 70, 200], [0, 40, -30], height=40, width=40)
    depth, points = analytic_ball(cameras)
    inner = depth > 0
    normal = torch.nn.functional.normalize(points, dim=-1)
    edge = torch.nn.functional.max_pool2d((~inner).float(), 5, stride=1, padding=2) > 0
    core = inner & ~edge
    volume = render_volume(Ball(), cameras, num_samples=512)
    mesh = render_mesh(extract_mesh(Ball(), 96), cameras)
    for picture, slack in ((volume, 0.045), (mesh, 0.004)):
        assert (picture.depth - depth)[core].abs().max() < slack
        assert ((picture.normal * normal).sum(-1)[core] > 0.995).all()
        assert (picture.rgb - (points / 2 + 0.5))[core].abs().max() < 0.025
        assert picture.mask[core].min() > 0.99
        outside = ~(torch.nn.functional.max_pool2d(inner.float(), 5, stride=1, padding=2) > 0)
        assert (picture.rgb[outside] == 1).all()
        assert picture.depth[outside].abs().max() < 1e-6


def test_volume_is_deterministic_without_and_varies_with_a_generator():
    cameras = orbit([30], [10], height=12, width=12)
    draws = [render_volume(Ball(), cameras, num_samples=32).rgb for _ in range(2)]
    assert torch.equal(*draws)
    generator = torch.Generator().manual_seed(0)
    jittered = [render_volume(Ball(), cameras, num_samples=32, generator=generator).rgb for _ in range(2)]
    assert not torch.equal(*jittered)
    assert (jittered[0] - draws[0]).abs().mean() < 0.05


def triplane_field(seed=0):
    generator = torch.Generator().manual_seed(seed)
    density, color = DensityMlp(12, 8, generator=generator), ColorMlp(12, 8, generator=generator)
    return TriplaneField(torch.randn(3, 4, 8, 8, generator=generator), density, color)


def slow_render(field, camera, num_samples):
    """Ray by ray, sample by sample: colour (H, W, 3) over white and opacity (H, W), neither clamped."""
    origins, directions = (x[0] for x in pixel_rays(camera))
    near, far, hit = (
        x.view(origins.shape[:2]) for x in intersect_box(origins.reshape(-1, 3), directions.reshape(-1, 3))
    )
    rgb, opacity = torch.ones_like(origins), torch.zeros(origins.shape[:2])
    for row, column in hit.nonzero().tolist():
        light, color = 1.0, torch.zeros(3)
        width = (far[row, column] - near[row, column]) / num_samples
        for sample in range(num_samples):
            at = near[row, column] + (sample + 0.5) * width
            point = (origins[row, column] + at * directions[row, column])[None]
            alpha = 1 - torch.exp(-field.density(point)[0, 0] * width)
            color = color + light * alpha * field.radiance(point)[0]
            light = light * (1 - alpha)
        rgb[row, column], opacity[row, column] = color + light, 1 - light
    return rgb, opacity


def test_volume_rendering_matches_a_loop_and_rays_that_miss_see_white():
    field, camera = triplane_field(), orbit([30], [10], height=6, width=8, fov_degrees=60)
    with torch.no_grad():
        rgb, opacity = slow_render(field, camera, 8)
        picture = render_volume(field, camera, num_samples=8, rays_at_once=5)
    assert (opacity == 0).any()
    assert (opacity > 0).any()
    assert torch.allclose(picture.mask[0], opacity, atol=1e-5)
    assert torch.allclose(picture.rgb[0], rgb.clamp(0, 1), atol=1e-5)
    assert (picture.rgb[0][opacity == 0] == 1).all()


def test_training_neither_clamps_nor_hides_nan_and_evaluation_does_both():
    field, camera = triplane_field(), orbit([30], [10], height=6, width=6)
    with torch.no_grad():
        field.color_mlp.layers[-1].bias[:] = torch.tensor([60.0, -60.0, 0.0])
        field.color_mlp.layers[-1].weight.zero_()
        field.density_mlp.layers[-1].bias[:] = 60.0
        trained = render_volume(field, camera, num_samples=8, generator=torch.Generator().manual_seed(0)).rgb
        final = render_volume(field, camera, num_samples=8).rgb
        assert trained[0, 3, 3].tolist() == pytest.approx([1.001, -0.001, 0.5])
        assert final[0, 3, 3].tolist() == pytest.approx([1.0, 0.0, 0.5])
        field.color_mlp.layers[-1].bias[0] = float("nan")
        broken = render_volume(field, camera, num_samples=8, generator=torch.Generator().manual_seed(0)).rgb
        assert broken[0, 3, 3, 0].isnan()
        assert render_volume(field, camera, num_samples=8).rgb[0, 3, 3, 0] == 0


def test_gradients_reach_planes_and_both_decoders_through_the_rays():
    field = triplane_field()
    field.planes.requires_grad_()
    picture = render_volume(
        field, orbit([30], [10], height=5, width=5), num_samples=16, generator=torch.Generator().manual_seed(0)
    )
    ((picture.rgb - 0.3).square().mean() + picture.mask.mean() + 0.1 * picture.depth.mean()).backward()
    for tensor in (field.planes, *field.density_mlp.parameters(), *field.color_mlp.parameters()):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().max() > 0


def test_supersampling_gives_the_covered_share():
    half = Mesh(torch.tensor([[-5.0, -5.0, 0.0], [0.02, -5.0, 0.0], [0.02, 5.0, 0.0], [-5.0, 5.0, 0.0]]),
                torch.tensor([[0, 1, 2], [0, 2, 3]]), colors=torch.zeros(4, 3))  # fmt: skip
    camera = orbit([0], [0], height=16, width=16)
    picture = render_mesh(half, camera, supersample=8)
    edge = 0.02 / 4 * float(camera.intrinsics[0, 0]) + 8
    expected = (edge - torch.arange(16)).clamp(0, 1)
    assert torch.allclose(picture.mask[0], expected.expand(16, 16), atol=1 / 8)
    assert torch.allclose(picture.rgb[0, ..., 0], 1 - picture.mask[0], atol=1e-6)
    assert picture.depth[picture.mask > 0].min() == pytest.approx(4.0, abs=1e-4)
    assert (picture.normal[picture.mask > 0] == torch.tensor([0.0, 0.0, 1.0])).all()


def test_field_colours_every_pixel_and_the_default_is_grey():
    mesh = extract_mesh(Ball(), 32, colors=False)
    cameras = camera_set("orthogonal", height=24, width=24)
    _, points = analytic_ball(cameras)
    grey = render_mesh(mesh, cameras, background=0.0)
    colored = render_mesh(mesh, cameras, field=Ball())
    inner = grey.mask > 0
    assert torch.allclose(grey.rgb[inner], torch.tensor(0.8))
    assert (grey.rgb[~inner] == 0).all()
    assert (colored.rgb - (points / 2 + 0.5))[inner].abs().median() < 2e-3


def test_texture_lookup_against_hand_values():
    texture = torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]]])  # row 0 is the top: v near 1
    uv = torch.tensor([[0.25, 0.75], [0.75, 0.25], [0.5, 0.5], [1.25, -0.25], [0.0, 0.75]])
    assert sample_texture(texture, uv)[:, 0].tolist() == pytest.approx([0.0, 3.0, 1.5, 0.0, 0.5])


def test_textured_quad_stands_upright():
    corners = torch.tensor([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    texture = torch.zeros(2, 2, 3)
    texture[0, 1] = 1.0  # upper right
    quad = Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), uv=corners[:, :2] / 2 + 0.5, texture=texture)
    picture = render_mesh(quad, orbit([0], [0], height=20, width=20))
    assert picture.rgb[0, 5, 14, 0] > 0.9
    assert picture.rgb[0, 14, 5, 0] < 0.1
    assert picture.rgb[0, 5, 5, 0] < 0.1
