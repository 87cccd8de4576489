"""The rasteriser against a float64 reference that tries every face at every pixel, and against nvdiffrast."""

from importlib.util import find_spec

import pytest
import torch

from gtr_core.fields.render_mesh import clip_positions
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.marching_cubes import marching_cubes
from gtr_core.geometry.rasterize import get_rasterizer


def reference_ids(position, faces, size):
    """(H, W) face id + 1 by homogeneous barycentrics in float64; needs no clipping, has no boxes."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = ((2 * x + 1) / width - 1).double().view(-1, 1), ((2 * y + 1) / height - 1).double().view(-1, 1)
    nearest = torch.full((height * width,), torch.inf, dtype=torch.double)
    ids = torch.zeros(height * width)
    for start in range(0, len(faces), 256):
        corner = position.double()[faces[start : start + 256]]
        px = [corner[None, :, k, 0] - x * corner[None, :, k, 3] for k in range(3)]
        py = [corner[None, :, k, 1] - y * corner[None, :, k, 3] for k in range(3)]
        area = torch.stack([px[i] * py[j] - px[j] * py[i] for i, j in ((1, 2), (2, 0), (0, 1))], dim=-1)
        weight = area / area.sum(-1, keepdim=True)
        w = (weight * corner[None, :, :, 3]).sum(-1)
        depth = (weight * corner[None, :, :, 2]).sum(-1) / w
        inside = (weight >= 0).all(-1) & (w > 0) & (depth.abs() <= 1)
        value, index = torch.where(inside, depth, torch.inf).min(1)
        closer = value < nearest
        nearest = torch.where(closer, value, nearest)
        ids = torch.where(closer, start + index + 1.0, ids)
    return ids.view(size)


def bumpy_ball(resolution):
    line = torch.linspace(-1, 1, resolution)
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    return marching_cubes((x * x + y * y + z * z).sqrt() - 0.7 + 0.05 * torch.sin(9 * x) * torch.sin(9 * y))


def soup(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(300, 3, generator=generator) * 2 - 1, torch.randint(300, (200, 3), generator=generator)


@pytest.mark.parametrize("scene", ["ball", "soup", "inside"])
def test_ids_match_the_reference(scene):
    vertices, faces = bumpy_ball(18) if scene == "ball" else soup(3)
    distance = 0.4 if scene == "inside" else 4.0
    size = (56, 72)
    cameras = orbit([10, 80, 200], [0, 35, -50], height=size[0], width=size[1], distance=distance)
    positions = clip_positions(vertices, cameras)
    raster = get_rasterizer().rasterize(positions, faces, size)
    truth = torch.stack([reference_ids(view, faces, size) for view in positions])
    assert (truth > 0).float().mean() > 0.2
    assert (raster[..., 3] == truth).float().mean() >= 0.9999


@pytest.mark.skipif(
    not torch.cuda.is_available() or find_spec("nvdiffrast") is None, reason="needs CUDA and nvdiffrast"
)
def test_nvdiffrast_agrees_in_values_and_gradients():
    vertices, faces = (x.cuda() for x in bumpy_ball(48))
    cameras = orbit([10, 80], [0, 35], height=128, width=128).to("cuda")
    results = []
    for backend in ("torch", "nvdiffrast"):
        rasterizer = get_rasterizer("cuda", backend=backend)
        probe = vertices.clone().requires_grad_()
        positions = clip_positions(probe, cameras)
        raster = rasterizer.rasterize(positions, faces, (128, 128))
        image = rasterizer.interpolate(probe, raster, faces)
        smooth = rasterizer.antialias(image.contiguous(), raster, positions, faces)
        (gradient,) = torch.autograd.grad(smooth.square().mean(), probe)
        results.append((raster, image, gradient))
    same = results[0][0][..., 3] == results[1][0][..., 3]
    assert same.float().mean() > 0.99
    assert (results[0][1] - results[1][1]).abs()[same].max() < 1e-3
    cosine = torch.nn.functional.cosine_similarity(results[0][2].flatten(), results[1][2].flatten(), dim=0)
    assert cosine > 0.9
