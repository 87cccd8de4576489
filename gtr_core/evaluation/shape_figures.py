"""The shape figures of a result under a protocol: Chamfer distance, F-score, IoU."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gtr_core.data.meshes import HALF_EXTENT
from gtr_core.evaluation.alignment import Alignment, transformed
from gtr_core.evaluation.protocol import Protocol
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.chamfer import chamfer, f_score, nearest_distances
from gtr_core.metrics.iou import Figure, surface_iou, volume_iou
from gtr_core.metrics.shape import F_THRESHOLD, sample_surface


@dataclass(frozen=True)
class ShapeFigures:
    """How close a shape comes to the truth.

    Args:
        chamfer: times 100, as the protocol defines it, in units of [-1, 1]^3.
        f_score: percent of points within 0.05 of the other surface, both directions together.
        iou: in [0, 1]; a sentence when there is none.
    """

    chamfer: float
    f_score: float
    iou: Figure


def shape_figures(result: Mesh, truth: Mesh, alignment: Alignment, protocol: Protocol) -> ShapeFigures:
    """Compare a result with the truth after its alignment.

    The two surfaces are sampled with different seeds, so the truth against itself has the figures of the sampling
    floor: a Chamfer distance above 0 and, of surfaces, an IoU below 1.
    """
    unit_result = _in_unit_cube(transformed(result, alignment.matrix))
    unit_truth = _in_unit_cube(truth)
    count, seed = protocol.surface_samples, protocol.seed
    points = sample_surface(unit_result, count, seed=seed)
    true_points = sample_surface(unit_truth, count, seed=seed + 1)
    near = nearest_distances(points, true_points)
    if protocol.iou == "surface":
        iou: Figure = surface_iou(points, true_points, resolution=protocol.iou_voxels)
    else:
        iou = volume_iou(unit_result, unit_truth, resolution=protocol.iou_voxels)
    return ShapeFigures(
        chamfer(near, kind=protocol.chamfer, squared=protocol.chamfer_squared),
        f_score(near, threshold=F_THRESHOLD),
        iou,
    )


def _in_unit_cube(mesh: Mesh) -> Mesh:
    """The mesh scaled so that a true object's longest side is 2."""
    return replace(mesh, vertices=mesh.vertices.detach().cpu() / HALF_EXTENT, faces=mesh.faces.cpu())
