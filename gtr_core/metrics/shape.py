"""Surface samples, and the figures of the benchmarks on them: Chamfer distance and F-score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.chamfer import chamfer, f_score, nearest_distances

SAMPLES = 60_000
"""Surface points per mesh."""
SCALE = 0.9
"""Half the edge of the cube that the objects fill; coordinates are divided by it before distances are taken."""
F_THRESHOLD = 0.05
"""Distance below which a point counts as found, after the division."""


@dataclass(frozen=True)
class ShapeScore:
    """How far two surfaces lie apart.

    Args:
        chamfer: mean of both directions' mean nearest distance, times 100, after division by :data:`SCALE`.
        f_score: harmonic mean in percent of the shares of points within :data:`F_THRESHOLD` of the other surface.
    """

    chamfer: float
    f_score: float


@dataclass(frozen=True)
class SurfaceSamples:
    """Random points on a surface, and where on it they lie.

    Args:
        points: (N, 3) float32.
        faces: (N,) int64, the face of each.
        weights: (N, 3) float64, of its corners; they add up to 1.
    """

    points: Tensor
    faces: Tensor
    weights: Tensor


def draw_surface_samples(mesh: Mesh, count: int = SAMPLES, *, seed: int = 0) -> SurfaceSamples:
    """Uniform random points on the triangles."""
    generator = torch.Generator().manual_seed(seed)
    a, b, c = mesh.vertices[mesh.faces].double().unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1)
    cumulative = area.cumsum(0)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64) * cumulative[-1]
    face = torch.searchsorted(cumulative, drawn).clamp(max=len(area) - 1)
    root = torch.rand(count, 1, generator=generator, dtype=torch.float64).sqrt()
    along = torch.rand(count, 1, generator=generator, dtype=torch.float64)
    weights = torch.cat([1 - root, root * (1 - along), root * along], dim=1)
    points = weights[:, :1] * a[face] + weights[:, 1:2] * b[face] + weights[:, 2:] * c[face]
    return SurfaceSamples(points.float(), face, weights)


def sample_surface(mesh: Mesh, count: int = SAMPLES, *, seed: int = 0) -> Tensor:
    """Uniform random points (count, 3) on the triangles."""
    return draw_surface_samples(mesh, count, seed=seed).points


def compare_points(points: Tensor, truth: Tensor) -> ShapeScore:
    """Score surface samples (N, 3) against samples of the truth (M, 3), both in world units."""
    near = nearest_distances(points.double() / SCALE, truth.double() / SCALE)
    return ShapeScore(chamfer(near, kind="two_sided_mean", squared=False), f_score(near, threshold=F_THRESHOLD))


def compare_meshes(mesh: Mesh, truth: Mesh, *, count: int = SAMPLES, seed: int = 0) -> ShapeScore:
    """Score a mesh against the true one. The two are sampled with different seeds, so a mesh against itself gives
    the floor of this number of samples, not 0."""
    return compare_points(sample_surface(mesh, count, seed=seed), sample_surface(truth, count, seed=seed + 1))
