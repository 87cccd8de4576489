"""Inputs as the official GTR takes them: a folder of pictures with camera files, and a Zero123++ grid."""

from __future__ import annotations

from pathlib import Path

import torch
import trimesh
from PIL import Image

from gtr_core.data.render_dataset import render_views
from gtr_core.geometry.cameras import camera_set
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.images import to_pil
from gtr_core.views import Views

TILE = 96
"""Side of a view in pixels."""


def egg_views() -> Views:
    """Six views of a coloured egg, as Zero123++ places them, without depth."""
    shape = trimesh.creation.icosphere(3)
    vertices = torch.tensor(shape.vertices).float() * torch.tensor([0.8, 0.6, 0.4])
    mesh = Mesh(vertices, torch.tensor(shape.faces), vertices.abs())
    seen = render_views(mesh, camera_set("zero123plus", height=TILE, width=TILE), supersample=2)
    return Views(seen.rgba, seen.cameras)


def write_official(views: Views, folder: Path) -> Path:
    """``rgb_000.png`` with alpha beside ``cam_000.txt``, as the official preparation writes them."""
    folder.mkdir()
    w2c = torch.linalg.inv(views.cameras.c2w.double())
    for index, rgba in enumerate(views.rgba):
        to_pil(rgba).save(folder / f"rgb_{index:03d}.png")
        rows = "\n".join("".join(f"{value:f} " for value in row) for row in w2c[index, :3].tolist())
        fx, fy, cx, cy = views.cameras.intrinsics[index].tolist()
        (folder / f"cam_{index:03d}.txt").write_bytes(
            f"extrinsic\n{rows}\n0 0 0 1\n\nintrinsic fx, fy, cx, cy, height, width \n"
            f"{fx:f} {fy:f} {cx:f} {cy:f} {TILE} {TILE}".encode()
        )
    return folder


def write_grid(views: Views, path: Path) -> Path:
    """Six views over grey in three rows and two columns, as Zero123++ gives them."""
    sheet = Image.new("RGB", (2 * TILE, 3 * TILE))
    for index, image in enumerate(views.composite(0.5)):
        sheet.paste(to_pil(image), (index % 2 * TILE, index // 2 * TILE))
    sheet.save(path)
    return path
