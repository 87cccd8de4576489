"""Making the frames of a result and the truth agree before their shapes are compared."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtr_core.data.meshes import HALF_EXTENT
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.registration import PointPair, register
from gtr_core.evaluation.surface_colors import surface_colors
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.shape import draw_surface_samples

COARSE_POINTS = 500
"""Points that judge each of the 24 turned starts."""
FINE_POINTS = 4_000
"""Points that are matched in the registration proper."""
_WORTH_TRYING = 1.5
"""Turned starts whose distance is at most this many times the least one are registered."""
_LEAST_STARTS = 8
"""At least so many are, whatever their distance."""
_ALIKE = 1.1
"""Turns whose distances differ by less than this factor are told apart by their colours."""
_ROUGH_ROUNDS, _FINE_ROUNDS = 20, 100

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """A similarity and how well it fits.

    Args:
        matrix: (4, 4) float64, truth_from_result: a rotation without mirroring, one scale, a translation.
        rms: root mean square of the two-sided nearest distances of surface samples after it, in units of [-1, 1]^3.
        method: what was done, in words.
    """

    matrix: Tensor
    rms: float
    method: str


def align(result: Mesh, truth: Mesh, protocol: Protocol, *, axes: bool = False) -> Alignment:
    """Find the similarity that takes the result into the frame of the truth.

    ``none`` leaves the result where it is. ``bounds`` puts the centre of its box on that of the truth's and makes the
    longest sides equal (paper section 4.1: re-centre, rescale into [-1, 1]^3). ``icp`` starts from there and from
    where the result is, and registers the surfaces from whichever start is closer. The registration never mirrors and
    never ends farther from the truth than it began.

    Where several turns fit a symmetric shape equally well (a box, a can), the one with the likest colours is taken. A
    result that is a single point stays where it is.

    Args:
        result: any mesh with faces; its colours are used with ``axes`` only, and may be missing.
        truth: the true mesh.
        protocol: the way, and the seed and number of surface samples.
        axes: the result comes from another program, whose axes may be turned: the 24 right-angle rotations are tried.
    """
    surfaces = _Surfaces.of(result, truth, protocol, with_colors=axes)
    pair, here = surfaces.pair, np.eye(4)
    if protocol.alignment == "none" or not np.ptp(pair.source, axis=0).any():
        return _alignment(pair, here, "as it came")
    boxed = [_box_to_box(result, truth, turn) for turn in (right_angle_turns() if axes else [np.eye(3)])]
    if protocol.alignment == "bounds":
        best, by_color = surfaces.best(boxed)
        return _alignment(pair, best, "box to box" + _said(axes, by_color))
    starts = [*_promising(boxed, pair.thinned(COARSE_POINTS)), here]
    rough, fine = pair.thinned(COARSE_POINTS), pair.thinned(FINE_POINTS)
    scale = protocol.icp_scale
    found = [register(rough, start, rounds=_ROUGH_ROUNDS, scale=scale) for start in starts]
    best, by_color = surfaces.best([*starts, *found])
    # The few points of the search may like what all points do not: the starts stay in the contest to the end, unless
    # colours have decided against them.
    contest = [best] if by_color else [best, *starts]
    contest.append(register(fine, best, rounds=_FINE_ROUNDS, scale=scale))
    return _alignment(pair, min(contest, key=pair.rms), "closest points" + _said(axes, by_color))


def transformed(mesh: Mesh, matrix: Tensor) -> Mesh:
    """The mesh after a similarity (4, 4); its colours and texture stay."""
    moved = mesh.vertices.double() @ matrix[:3, :3].T.to(mesh.vertices.device) + matrix[:3, 3].to(mesh.vertices.device)
    return replace(mesh, vertices=moved.to(mesh.vertices.dtype))


def right_angle_turns() -> list[Matrix]:
    """The 24 rotations (3, 3) that take the axes to the axes; the first one turns nothing."""
    turns = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[range(3), order] = signs
            if np.linalg.det(turn) > 0:
                turns.append(turn)
    return turns


def _box_to_box(result: Mesh, truth: Mesh, turn: Matrix) -> Matrix:
    """Centre on centre and longest side on longest side, after a turn (3, 3) about the centre of the result."""
    (low, high), (true_low, true_high) = (_bounds(mesh) for mesh in (result, truth))
    matrix = np.eye(4)
    matrix[:3, :3] = turn * ((true_high - true_low).max() / max((high - low).max(), 1e-12))
    matrix[:3, 3] = (true_low + true_high) / 2 - matrix[:3, :3] @ ((low + high) / 2)
    return matrix


def _bounds(mesh: Mesh) -> Matrix:
    used = mesh.vertices[mesh.faces.flatten()]
    return np.asarray(torch.stack([used.amin(0), used.amax(0)]).detach().cpu().double())


def _promising(starts: list[Matrix], pair: PointPair) -> list[Matrix]:
    """The starts that are near enough to be worth a registration, nearest first."""
    distances = [pair.rms(start) for start in starts]
    limit = _WORTH_TRYING * min(distances)
    order = np.argsort(distances, kind="stable")
    return [starts[k] for place, k in enumerate(order) if place < _LEAST_STARTS or distances[k] <= limit]


@dataclass(frozen=True)
class _Surfaces:
    """Samples of result and truth, with their colours when both have any."""

    pair: PointPair
    colors: NDArray[np.float64] | None
    true_colors: NDArray[np.float64] | None

    @classmethod
    def of(cls, result: Mesh, truth: Mesh, protocol: Protocol, *, with_colors: bool) -> _Surfaces:
        count, seed = protocol.surface_samples, protocol.seed
        meshes = (result.to("cpu"), truth.to("cpu"))
        drawn = [draw_surface_samples(mesh, count, seed=seed + k) for k, mesh in enumerate(meshes)]
        pair = PointPair.of(*(np.asarray(samples.points.detach().double()) for samples in drawn))
        colors = [surface_colors(mesh, samples) for mesh, samples in zip(meshes, drawn, strict=True)]
        if not with_colors or colors[0] is None or colors[1] is None:
            return cls(pair, None, None)
        return cls(pair, *colors)

    def best(self, matrices: list[Matrix]) -> tuple[Matrix, bool]:
        """The matrix that brings the surfaces closest, and whether it was chosen among equals by colour."""
        fine = self.pair.thinned(FINE_POINTS)
        distances = [fine.rms(matrix) for matrix in matrices]
        alike = [k for k, distance in enumerate(distances) if distance <= _ALIKE * min(distances)]
        if self.colors is None or len(alike) == 1:
            return matrices[int(np.argmin(distances))], False
        return matrices[min(alike, key=lambda k: self._color_error(fine, matrices[k]))], True

    def _color_error(self, pair: PointPair, matrix: Matrix) -> float:
        assert self.colors is not None
        assert self.true_colors is not None
        _, there, back = pair.nearest(matrix)
        errors = (
            self.colors[: len(there)] - self.true_colors[there],
            self.colors[back] - self.true_colors[: len(back)],
        )
        return float(sum(np.abs(error).mean() for error in errors))


def _alignment(pair: PointPair, matrix: Matrix, method: str) -> Alignment:
    return Alignment(torch.from_numpy(matrix), pair.rms(matrix) / HALF_EXTENT, method)


def _said(axes: bool, by_color: bool) -> str:
    if not axes:
        return ""
    return ", best of 24 turns" + (" by shape and colour" if by_color else "")
