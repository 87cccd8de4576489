"""Meshes of procedural objects that no training shows, for ``gtr evaluate``: surface and colour at every vertex."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from gtr_core.data.procedural import ProceduralObjects, Scene
from gtr_core.data.procedural_source import VALIDATION
from gtr_core.geometry.marching_cubes import marching_cubes
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.mesh_files import write_mesh

_STEPS = 3
"""Of Newton's method, which bring the vertices of marching cubes onto the surface."""


def mesh_of(scene: Scene, resolution: int) -> Mesh:
    """The surface of an object in a grid of so many nodes a side, with the object's colour at every vertex."""
    line = torch.linspace(-1, 1, resolution)
    slices = [scene.sdf(torch.cartesian_prod(line[k : k + 1], line, line)) for k in range(resolution)]
    vertices, faces = marching_cubes(torch.cat(slices).view(resolution, resolution, resolution))
    reach = 2 / (resolution - 1)
    for _ in range(_STEPS):
        vertices = vertices - scene.distance(vertices).clamp(-reach, reach)[:, None] * scene.normal(vertices)
    return Mesh(vertices, faces, colors=scene.color(vertices))


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--resolution", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    objects = ProceduralObjects(VALIDATION)
    for index in range(options.count):
        write_mesh(mesh_of(objects.scene(index), options.resolution), options.out / f"procedural_{index:03d}.ply")
    print(f"{options.count} objects")


if __name__ == "__main__":
    main()
