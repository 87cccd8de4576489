"""Making the frames of a result and the truth agree before their shapes are compared."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtr_core.evaluation.protocol import HALF_EXTENT, Protocol
from gtr_core.evaluation.registration import PointPair, register
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.shape import sample_surface

COARSE_POINTS = 500
"""Points that judge each of the 24 turned starts."""
FINE_POINTS = 4_000
"""Points that are matched in the registration proper."""
FINE_STARTS = 6
"""As many of the turned starts are refined; the best one wins."""
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

    Args:
        result: any mesh with faces.
        truth: the true mesh.
        protocol: the way, and the seed and number of surface samples.
        axes: the result comes from another program, whose axes may be turned: the 24 right-angle rotations are tried.
    """
    pair = _pair(result, truth, protocol)
    here = np.eye(4)
    if protocol.alignment == "none":
        return _alignment(pair, here, "as it came")
    boxed = [_box_to_box(result, truth, turn) for turn in (right_angle_turns() if axes else [np.eye(3)])]
    boxed = sorted(boxed, key=pair.thinned(COARSE_POINTS).rms)[:FINE_STARTS]
    if protocol.alignment == "bounds":
        return _alignment(pair, min(boxed, key=pair.rms), "box to box" + _turned(axes))
    starts = [*boxed, here]
    rough, fine = pair.thinned(COARSE_POINTS), pair.thinned(FINE_POINTS)
    scale = protocol.icp_scale
    found = [register(rough, start, rounds=_ROUGH_ROUNDS, scale=scale) for start in starts]
    best = register(fine, min([*found, *starts], key=fine.rms), rounds=_FINE_ROUNDS, scale=scale)
    # The few points of the search may like what all points do not: the starts stay in the contest to the end.
    return _alignment(pair, min([best, *starts], key=pair.rms), "closest points" + _turned(axes))


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


def _pair(result: Mesh, truth: Mesh, protocol: Protocol) -> PointPair:
    count, seed = protocol.surface_samples, protocol.seed
    source, target = sample_surface(result, count, seed=seed), sample_surface(truth, count, seed=seed + 1)
    return PointPair.of(np.asarray(source.double()), np.asarray(target.double()))


def _alignment(pair: PointPair, matrix: Matrix, method: str) -> Alignment:
    return Alignment(torch.from_numpy(matrix), pair.rms(matrix) / HALF_EXTENT, method)


def _turned(axes: bool) -> str:
    return ", best of 24 turns" if axes else ""
