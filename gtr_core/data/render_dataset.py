"""Ground-truth views of a known mesh: what a perfect capture would give."""

from __future__ import annotations

import torch

from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.depth import backproject
from gtr_core.geometry.mesh import Mesh
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views


def render_views(mesh: Mesh, cameras: Cameras, *, supersample: int = 3, progress: Progress = no_progress) -> Views:
    """Render unlit views with depth and normals.

    Colour and alpha are averaged over the pixel, as a picture has them; depth and normal are those of the pixel
    centre, so that no depth lies between a near and a far surface. Normals face the camera, on both sides of a sheet.

    Args:
        mesh: textured or with vertex colours.
        cameras: from where, and the size of the pictures.
        supersample: side of the square of colour samples per pixel.
        progress: called once per view as stage "render".

    Raises:
        GtrError: ``empty_mask`` when a camera does not see the mesh.
    """
    images, depths, normals = [], [], []
    for view in range(len(cameras)):
        progress("render", view, len(cameras))
        camera = cameras[[view]]
        fine = render_mesh(mesh, camera, background=0.0, supersample=supersample)
        centre = fine if supersample == 1 else render_mesh(Mesh(mesh.vertices, mesh.faces), camera)
        alpha = fine.mask[..., None]
        images.append(torch.cat([fine.rgb / alpha.clamp(min=1e-6), alpha], dim=-1))
        depths.append(centre.depth)
        towards = camera.positions[:, None, None] - backproject(camera, centre.depth)
        normals.append(centre.normal * (centre.normal * towards).sum(-1, keepdim=True).sign())
    progress("render", len(cameras), len(cameras))
    return Views(torch.cat(images).clamp(0, 1), cameras, torch.cat(depths), torch.cat(normals))
