"""From planes and views to refined vertex colours: everything after the network, both ways."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from gtr_core.fields.grid_decode import surface_cells
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fields.surface import ISO_LEVEL, extract_mesh
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.active_cells import ActiveCells
from gtr_core.geometry.cameras import Cameras, orbit
from gtr_core.geometry.marching_cubes import triangulate
from gtr_core.geometry.mesh import Mesh
from gtr_core.stages.pixel_source import PixelSource
from gtr_core.stages.straightforward import refine_straightforward
from gtr_core.stages.surface_samples import sample_surface
from gtr_core.stages.texture import refine_texture
from gtr_core.stages.texture_config import PAPER_EXACT, TextureConfig
from gtr_core.stages.texture_pixels import TexturedSurface
from gtr_core.views import Views
from pipeline_rows.bench_field import bench_field
from pipeline_rows.grid import layer_cells, sampled_layers
from pipeline_rows.row import Row, Scale, Timing, row, timed

FULL_STEPS = 20
"""Steps of the paper."""
_SHARE = 24
"""One part in so many of the pixels on the surface is learned from in a stochastic step."""
_TOGETHER = 4
"""Steps between two looks at the novel views."""
_LONGEST = 400
_EXACT = replace(PAPER_EXACT, supersample=1)


@dataclass(frozen=True)
class _Scene:
    """A field with its painted surface seen from around; the field's colours know nothing of the paint."""

    field: TriplaneField
    views: Views
    novel: Views
    resolution: int
    device: torch.device


def measure(scale: Scale) -> Row:
    """``end_to_end``: surface, samples of it in the views, refinement, colours at the vertices.

    The fast version refines on random subsets of the pixels until novel views are as good as after 20 full steps;
    what 20 full, exact steps cost the fast way stands in the note. Of the straightforward version some slices of the
    grid and two of the steps are measured and scaled up.
    """
    scene = _scene(scale)
    refined: list[tuple[TriplaneField, Mesh]] = []
    exact = timed(lambda: refined.append(_fast(scene, _EXACT, FULL_STEPS)), scale.device)
    goal = _psnr(scene, *refined.pop())
    mesh = extract_mesh(scene.field, scene.resolution, colors=False)
    share = len(sample_surface(mesh, scene.views, _EXACT)) // _SHARE
    config = replace(_EXACT, pixels_per_step=share)
    steps = _steps_to(goal, scene, mesh, config)
    fast = timed(lambda: _fast(scene, config, steps), scale.device, scale.repeats)
    slow = _straightforward(scene, mesh)
    note = (
        f"without the network; {steps} steps on 1/{_SHARE} of the pixels, novel views at {goal:.1f} dB; "
        f"{FULL_STEPS} exact steps: {slow.cpu_s / exact.cpu_s:.1f}x ({exact.cpu_s:.2f} s); straightforward: 2 of "
        f"{FULL_STEPS} steps and 16 slices measured and scaled up"
    )
    return row("end_to_end", fast, slow, note=note)


def _fast(scene: _Scene, config: TextureConfig, steps: int) -> tuple[TriplaneField, Mesh]:
    """As the pipeline does it after the network."""
    mesh = extract_mesh(scene.field, scene.resolution, colors=False)
    field, _, _ = refine_texture(scene.field, mesh, scene.views, config, steps=steps)
    with torch.no_grad():
        return field, mesh.with_colors(field.color(mesh.vertices))


def _straightforward(scene: _Scene, mesh: Mesh) -> Timing:
    """Seconds of all parts, each asked of every node, texel and pixel."""
    device = scene.device
    layers = sampled_layers(scene.resolution)
    grid = timed(lambda: layer_cells(scene.field, scene.resolution, layers), device)
    cells = surface_cells(scene.field, scene.resolution, ISO_LEVEL)
    samples = sample_surface(mesh, scene.views, _EXACT)
    surface = TexturedSurface(scene.field, samples, _EXACT)
    draw = PixelSource(samples, _EXACT, 0).draw
    field = scene.field
    two = timed(lambda: refine_straightforward(surface, field.planes, field.color_mlp, draw, _EXACT, 2), device)
    rest = timed(lambda: _alike(scene, mesh, cells), device)
    shares = ((grid, scene.resolution / (2 * len(layers))), (two, FULL_STEPS / 2), (rest, 1.0))
    cpu, wall = (sum(getattr(part, name) * factor for part, factor in shares) for name in ("cpu_s", "wall_s"))
    return Timing(cpu, wall, max(part.peak_mb for part, _ in shares))


@torch.no_grad()
def _alike(scene: _Scene, mesh: Mesh, cells: ActiveCells) -> None:
    """What both versions do alike: triangles, the mesh in the views, colours at its vertices."""
    triangulate(cells)
    sample_surface(mesh, scene.views, _EXACT)
    scene.field.color(mesh.vertices)


def _steps_to(goal: float, scene: _Scene, mesh: Mesh, config: TextureConfig) -> int:
    """How many steps bring the novel views to ``goal`` dB."""
    field, state = scene.field, None
    for steps in range(_TOGETHER, _LONGEST + 1, _TOGETHER):
        field, state, _ = refine_texture(field, mesh, scene.views, config, steps=_TOGETHER, state=state)
        if _psnr(scene, field, mesh) >= goal:
            return steps
    raise RuntimeError(f"{goal:.2f} dB are not reached in {_LONGEST} steps")


@torch.no_grad()
def _psnr(scene: _Scene, field: TriplaneField, mesh: Mesh) -> float:
    """Of all pixels of the novel views, dB."""
    drawn = render_mesh(mesh, scene.novel.cameras, field=field).rgb
    return -10 * math.log10(float((drawn - scene.novel.composite()).square().mean()))


def _scene(scale: Scale) -> _Scene:
    field = bench_field(scale)
    mesh = extract_mesh(field, scale.grid, colors=False)
    x, y, z = mesh.vertices.unbind(1)
    stripes = (torch.sin(25 * x + 4 * torch.sin(6 * y)) > 0).float()
    checks = (torch.sin(18 * y) * torch.sin(18 * z) > 0).float()
    mesh = mesh.with_colors(torch.stack([0.2 + 0.6 * stripes, 0.3 + 0.4 * checks, 0.5 + 0.4 * torch.sin(11 * z)], 1))
    size, count = scale.image_size, scale.num_views
    given = orbit([30.0 + 360 * k / count for k in range(count)], [20.0, -10.0] * (count // 2), height=size, width=size)
    novel = orbit([45.0 * k + 5 for k in range(8)], [-20.0, 0.0, 20.0, 35.0] * 2, height=size // 2, width=size // 2)
    views, others = (_pictures(mesh, cameras.to(scale.device)) for cameras in (given, novel))
    return _Scene(field, views, others, scale.grid, scale.device)


def _pictures(mesh: Mesh, cameras: Cameras) -> Views:
    drawn = render_mesh(mesh, cameras, background=0.0)
    return Views(torch.cat([drawn.rgb, drawn.mask[..., None]], dim=-1).clamp(0, 1), cameras)
