"""Ground-truth views of the measured objects, rendered once and kept on disk as 8-bit pictures with exact depth."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gtr_core.data.meshes import load_textured_mesh
from gtr_core.data.render_dataset import render_views
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fit.visual_hull import HullDistance
from gtr_core.geometry.cameras import CAMERA_SETS, Cameras, camera_set, orbit
from gtr_core.geometry.depth import backproject
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.shape import SAMPLES, sample_surface
from gtr_core.views import Views

ROOT = Path(__file__).resolve().parent.parent
INPUT_SIZE = 512
NOVEL_SIZE = 256
VISIBLE_SIZE = 256
HOLLOW_DEPTH = 0.1
"""World units below the visual hull from which on a surface counts as hollow."""
_INPUT_SAMPLES, _NOVEL_SAMPLES = 2, 4


def objects_folder() -> Path:
    """Folder of the measured objects: ``GTR_OBJECTS``, or the one beside the project."""
    return Path(os.environ.get("GTR_OBJECTS", ROOT.parent / "shared" / "objects"))


def cache_folder() -> Path:
    """Where rendered views are kept: ``GTR_BENCH_CACHE``, or a folder in the temporary directory."""
    folder = Path(os.environ.get("GTR_BENCH_CACHE", Path(tempfile.gettempdir()) / "gtr_bench_views"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def true_mesh(name: str) -> Mesh:
    """The object as it is."""
    return load_textured_mesh(objects_folder() / f"{name}.glb")


def input_views(name: str, cameras: str) -> Views:
    """The object seen by a named camera set at 512 px."""
    return _cached(name, cameras, camera_set(cameras, height=INPUT_SIZE, width=INPUT_SIZE), _INPUT_SAMPLES)


def novel_views(name: str) -> Views:
    """20 views of the paper's orbit at 256 px: azimuths all around, elevations -30, 0 and 30 in turn."""
    azimuths = [18.0 * k + 9 for k in range(20)]
    elevations = [(-30.0, 0.0, 30.0)[k % 3] for k in range(20)]
    return _cached(name, "novel", orbit(azimuths, elevations, height=NOVEL_SIZE, width=NOVEL_SIZE), _NOVEL_SAMPLES)


def visible_points(name: str) -> Tensor:
    """Samples (N, 3) of the part of the true surface that can be seen from outside at all.

    Many objects hide surface inside (parts that overlap, inner walls), which no view can show.
    """
    path = cache_folder() / f"{name}_visible.npy"
    if not path.exists():
        mesh = true_mesh(name)
        points = sample_surface(mesh, 2 * SAMPLES, seed=1)
        cameras = _all_around(32)
        seen = torch.zeros(len(points), dtype=torch.bool)
        bare = Mesh(mesh.vertices, mesh.faces)
        for k in range(len(cameras)):
            camera = cameras[[k]]
            u, v, z = camera.project(points)[0].unbind(-1)
            depth = render_mesh(bare, camera).depth[0]
            seen |= z < depth[v.long().clamp(0, VISIBLE_SIZE - 1), u.long().clamp(0, VISIBLE_SIZE - 1)] + 0.02
        np.save(path, points[seen][:SAMPLES].numpy())
    return torch.from_numpy(np.load(path))


def hollow_share(name: str) -> float:
    """Share of the surface that can be seen from outside but lies deeper than 0.1 inside the hull of 34 outlines.

    No outline shows it, so masks alone cannot find it.
    """
    points = visible_points(name)[::10]
    hulls = [HullDistance(views)(points) for views in (input_views(name, "sphere14"), novel_views(name))]
    return float((torch.maximum(*hulls) < -HOLLOW_DEPTH).float().mean())


def _all_around(count: int) -> Cameras:
    """Cameras spread evenly over the sphere (a Fibonacci lattice)."""
    elevations = [math.degrees(math.asin(1 - (2 * k + 1) / count)) for k in range(count)]
    azimuths = [math.degrees(k * math.pi * (3 - math.sqrt(5))) % 360 for k in range(count)]
    return orbit(azimuths, elevations, height=VISIBLE_SIZE, width=VISIBLE_SIZE)


def _cached(name: str, kind: str, cameras: Cameras, samples: int) -> Views:
    path = cache_folder() / f"{name}_{kind}.npz"
    if not path.exists():
        views = render_views(true_mesh(name), cameras, supersample=samples)
        part = path.with_suffix(f".{os.getpid()}.npz")
        assert views.normal is not None
        assert views.depth is not None
        normal = (views.normal * 32767).round().to(torch.int16)
        rgba = (views.rgba * 255).round().to(torch.uint8)
        np.savez_compressed(part, rgba=rgba, depth=views.depth, normal=normal)
        part.replace(path)
    with np.load(path) as stored:
        rgba, depth, normal = (torch.from_numpy(stored[key]) for key in ("rgba", "depth", "normal"))
    normal = torch.nn.functional.normalize(normal.float(), dim=-1)
    towards = cameras.positions[:, None, None] - backproject(cameras, depth)
    normal = normal * (normal * towards).sum(-1, keepdim=True).sign()
    return Views(rgba.float() / 255, cameras, depth, normal)


def prepare(names: list[str]) -> None:
    """Render whatever is not on disk yet."""
    for name in names:
        for kind in ("sphere14", "zero123plus", "orthogonal"):
            assert kind in CAMERA_SETS
            input_views(name, kind)
        novel_views(name)
        visible_points(name)
