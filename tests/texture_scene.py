"""A painted ball seen by six cameras, and small fields to refine on it."""

import torch

from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import camera_set
from gtr_core.geometry.marching_cubes import marching_cubes
from gtr_core.geometry.mesh import Mesh
from gtr_core.views import Views

CHANNELS, RESOLUTION = 6, 32


def painted_ball(nodes=24, size=48):
    """Mesh and views."""
    line = torch.linspace(-1, 1, nodes)
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    vertices, faces = marching_cubes((x * x + y * y + z * z).sqrt() - 0.7)
    mesh = Mesh(vertices, faces, colors=(vertices * 7).sin() / 2 + 0.5)
    return mesh, views_of(mesh, size)


def views_of(mesh, size):
    """The mesh from the cameras of Zero123++."""
    cameras = camera_set("zero123plus", height=size, width=size)
    picture = render_mesh(mesh, cameras, background=0.0, supersample=2)
    alpha = picture.mask[..., None]
    return Views(torch.cat([picture.rgb / alpha.clamp(min=1e-6), alpha], dim=-1).clamp(0, 1), cameras)


def make_field(kind=TriplaneField, seed=0, hidden=8):
    """Random planes and networks; narrow ones are read summed over the planes."""
    generator = torch.Generator().manual_seed(seed)
    planes = torch.randn(3, CHANNELS, RESOLUTION, RESOLUTION, generator=generator) * 0.1
    return kind(
        planes,
        DensityMlp(3 * CHANNELS, hidden, generator=generator),
        ColorMlp(3 * CHANNELS, hidden, generator=generator),
    )
