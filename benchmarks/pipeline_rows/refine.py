"""Texture refinement: one full-batch step, and the time to the quality that 20 such steps reach."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import torch
import trimesh
from torch import Tensor, nn

from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import Cameras, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.stages.pixel_source import PixelSource
from gtr_core.stages.straightforward import refine_straightforward, texture_loss
from gtr_core.stages.surface_samples import SurfaceSamples, sample_surface
from gtr_core.stages.texel_rows import ActiveTexels
from gtr_core.stages.texture_config import PAPER_EXACT
from gtr_core.stages.texture_gradient import TextureGradient
from gtr_core.stages.texture_learner import TextureLearner
from gtr_core.stages.texture_pixels import TexturedSurface
from gtr_core.stages.texture_state import TextureOptimizer
from gtr_core.views import Views
from pipeline_rows.row import Row, Scale, row, timed

FULL_STEPS = 20
"""Steps of the paper."""
_SHARE = 24
"""One part in so many of the pixels is learned from in a stochastic step."""
_LONGEST = 400
_EXACT = replace(PAPER_EXACT, supersample=1)


@dataclass(frozen=True)
class _Scene:
    """A painted ball that covers 46 % of four pictures (479k pixels of 512 px), and a field that does not know it.

    Args:
        field: of the released size, untrained.
        samples: where the pixels meet the ball.
        novel: the same for pictures from eight other sides.
    """

    field: TriplaneField
    samples: SurfaceSamples
    novel: SurfaceSamples


def _learner(scene: _Scene, pixels_per_step: int) -> TextureLearner:
    config = replace(_EXACT, pixels_per_step=pixels_per_step)
    return TextureLearner(scene.field, TexturedSurface(scene.field, scene.samples, config), config)


def measure_step(scale: Scale) -> Row:
    """``refine_step``: loss, gradient and optimiser step on all pixels."""
    scene = _scene(scale)
    learner = _learner(scene, 0)
    learner.step()  # fills in what stays the same from step to step
    fast = timed(learner.step, scale.device, scale.repeats)
    slow = timed(lambda: _straightforward(scene, 1), scale.device, scale.repeats)
    difference = _gradient_difference(scene)
    note = f"{len(scene.samples) / 1000:.0f}k points; gradients differ by {difference:.0e}"
    return row("refine_step", fast, slow, note=note)


def measure_to_psnr(scale: Scale) -> Row:
    """``refine_to_psnr``: random subsets of the pixels until novel views are as good as after 20 full steps.

    Both sides have the same learning rates, and leave out drawing the mesh into the views. The straightforward version
    takes 2 of its 20 steps; what the 20 would reach is known from the exact fast version, which computes the same.
    """
    scene = _scene(scale)
    exact = _learner(scene, 0)
    for _ in range(FULL_STEPS):
        exact.step()
    goal = _psnr(scene, scene.novel, *exact.optimizer.snapshot())
    part = len(scene.samples) // _SHARE
    steps = _steps_to(goal, scene, part)

    def stochastic() -> None:
        learner = _learner(scene, part)
        for _ in range(steps):
            learner.step()

    del exact
    fast = timed(stochastic, scale.device, scale.repeats)
    measured = 2
    slow = timed(lambda: _straightforward(scene, measured), scale.device)
    note = (
        f"{steps} steps on 1/{_SHARE} of the pixels against {FULL_STEPS} full ones, novel views at {goal:.1f} dB; "
        f"straightforward: {measured} of {FULL_STEPS} steps"
    )
    return row("refine_to_psnr", fast, slow, share=measured / FULL_STEPS, note=note)


def _steps_to(goal: float, scene: _Scene, part: int) -> int:
    """How many steps on subsets of ``part`` pixels bring the novel views to ``goal`` dB."""
    learner = _learner(scene, part)
    for steps in range(1, _LONGEST + 1):
        learner.step()
        if _psnr(scene, scene.novel, *learner.optimizer.snapshot()) >= goal:
            return steps
    raise RuntimeError(f"{goal:.2f} dB are not reached in {_LONGEST} steps")


def _straightforward(scene: _Scene, steps: int) -> tuple[Tensor, nn.Module, list[float]]:
    surface = TexturedSurface(scene.field, scene.samples, _EXACT)
    source = PixelSource(scene.samples, _EXACT, seed=0)
    return refine_straightforward(surface, scene.field.planes, scene.field.color_mlp, source.draw, _EXACT, steps)


def _gradient_difference(scene: _Scene) -> float:
    """Relative difference of the planes' gradients in the norm."""
    surface = TexturedSurface(scene.field, scene.samples, _EXACT)
    batch = PixelSource(scene.samples, _EXACT, seed=0).draw(0)
    active = ActiveTexels.read_at(surface.all_points(), scene.field.planes.shape[-1])
    optimizer = TextureOptimizer(scene.field.planes, scene.field.color_mlp, _EXACT, active)
    TextureGradient(surface, optimizer, _EXACT).accumulate(batch)
    planes = scene.field.planes.clone().requires_grad_()
    network = copy.deepcopy(scene.field.color_mlp).requires_grad_()
    torch.autograd.backward(texture_loss(surface, planes, network, batch, _EXACT))
    assert optimizer.texels.grad is not None
    assert planes.grad is not None
    ours = active.scatter(optimizer.texels.grad, torch.zeros_like(planes))
    return float((ours - planes.grad).norm() / planes.grad.norm())


def _psnr(scene: _Scene, samples: SurfaceSamples, planes: Tensor, color_mlp: nn.Module) -> float:
    """Of all pixels of the pictures, dB."""
    surface = TexturedSurface(scene.field, samples, _EXACT)
    total = samples.missed("l2")
    with torch.no_grad():
        for chosen in torch.split(torch.arange(len(samples), device=planes.device), 1 << 15):
            colors = surface.pixel_colors(planes, color_mlp, surface.sites(chosen)).clamp(0, 1)
            total += float((colors - samples.target[chosen]).square().sum())
    return -10 * math.log10(total / (3 * samples.num_pixels))


def _scene(scale: Scale) -> _Scene:
    ball = trimesh.creation.icosphere(5, radius=0.8)
    mesh = Mesh(torch.tensor(ball.vertices).float(), torch.tensor(ball.faces)).to(scale.device)
    size = scale.image_size
    four = [30.0 + 360 * k / scale.num_views for k in range(scale.num_views)]
    given = orbit(four, [20.0, -10.0] * (scale.num_views // 2), height=size, width=size)
    others = orbit([45.0 * k + 5 for k in range(8)], [-20.0, 0.0, 20.0, 35.0] * 2, height=size // 2, width=size // 2)
    generator = torch.Generator().manual_seed(0)
    features = 3 * scale.plane_channels
    planes = torch.randn(
        3, scale.plane_channels, scale.plane_resolution, scale.plane_resolution, generator=generator
    ).mul(0.1)
    field = TriplaneField(
        planes.to(scale.device),
        DensityMlp(features, scale.hidden, generator=generator).to(scale.device),
        ColorMlp(features, scale.hidden, generator=generator).to(scale.device),
    )
    samples = [sample_surface(mesh, _painted(mesh, cameras.to(scale.device)), _EXACT) for cameras in (given, others)]
    return _Scene(field, *samples)


def _painted(mesh: Mesh, cameras: Cameras) -> Views:
    """Pictures of the ball under stripes, checks and dots."""
    picture = render_mesh(mesh, cameras, field=_Paint(), background=0.0)
    return Views(torch.cat([picture.rgb, picture.mask[..., None]], dim=-1).clamp(0, 1), cameras)


class _Paint(TriplaneField):
    """A colour for every point; nothing else of a field."""

    def __init__(self) -> None:
        super().__init__(torch.empty(0), nn.Identity(), nn.Identity())

    def color(self, points: Tensor) -> Tensor:
        x, y, z = points.unbind(1)
        stripes = (torch.sin(25 * x + 4 * torch.sin(6 * y)) > 0).float()
        checks = (torch.sin(18 * y) * torch.sin(18 * z) > 0).float()
        return torch.stack([0.2 + 0.6 * stripes, 0.3 + 0.4 * checks, 0.5 + 0.4 * torch.sin(11 * z)], dim=1)
