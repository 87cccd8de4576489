"""Iterative closest points between two sampled surfaces: both directions, one scale, never a mirror image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]

_LEAST_GAIN = 1e-5
"""Share of the distance that a round has to win for the next one to follow."""
_LEAST_SPREAD = 1e-9
"""Matches that lie closer together than this give no direction."""


@dataclass(frozen=True)
class PointPair:
    """Samples of two surfaces, ready to be compared under any similarity.

    Args:
        source: (N, 3) samples of the surface that is moved.
        target: (M, 3) samples of the one that stays.
        source_tree: of all ``source`` samples.
        target_tree: of all ``target`` samples.
        source_asked: (A, 3) samples that look for their nearest; all or a part.
        target_asked: (B, 3) likewise.
    """

    source: Points
    target: Points
    source_tree: Any
    target_tree: Any
    source_asked: Points
    target_asked: Points

    @classmethod
    def of(cls, source: Points, target: Points) -> PointPair:
        """Every sample looks for its nearest."""
        return cls(source, target, cKDTree(source), cKDTree(target), source, target)

    def thinned(self, count: int) -> PointPair:
        """The same surfaces, but only the first ``count`` samples look for their nearest (samples come at random)."""
        asked = (self.source_asked[:count], self.target_asked[:count])
        return PointPair(self.source, self.target, self.source_tree, self.target_tree, *asked)

    def rms(self, matrix: Matrix) -> float:
        """Root mean square of the nearest distances of both directions, in units of the target."""
        return self.nearest(matrix)[0]

    def matches(self, matrix: Matrix) -> tuple[float, Points, Points]:
        """:meth:`rms`, and the pairs of nearest points: (A + B, 3) on the source, unmoved, and on the target."""
        rms, there, back = self.nearest(matrix)
        on_source = np.concatenate([self.source_asked, self.source[back]])
        return rms, on_source, np.concatenate([self.target[there], self.target_asked])

    def nearest(self, matrix: Matrix) -> tuple[float, NDArray[np.int64], NDArray[np.int64]]:
        """:meth:`rms`, the nearest ``target`` of every ``source_asked`` and the nearest ``source`` of every
        ``target_asked``."""
        # Nearest stays nearest under a similarity, so the tree of the source is asked in its own frame.
        forward, there = self.target_tree.query(_moved(self.source_asked, matrix))
        backward, back = self.source_tree.query(_moved(self.target_asked, np.linalg.inv(matrix)))
        scale = abs(np.linalg.det(matrix[:3, :3])) ** (1 / 3)
        return float(np.sqrt(((forward**2).mean() + ((scale * backward) ** 2).mean()) / 2)), there, back


def register(pair: PointPair, start: Matrix, *, rounds: int, scale: bool) -> Matrix:
    """Move the source onto the target.

    Both directions are matched: with one alone, a change of scale would shrink the source into a part of the target.

    Args:
        pair: the surfaces.
        start: (4, 4) target_from_source, roughly right.
        rounds: at most so many.
        scale: whether the scale may change as well.

    Returns:
        (4, 4) the best similarity that was met, ``start`` among them.
    """
    best, least, matrix = start, np.inf, start
    for _ in range(rounds):
        rms, source, target = pair.matches(matrix)
        if rms < least:
            gain, best, least = 1 - rms / least if np.isfinite(least) else 1.0, matrix, rms
        else:
            gain = 0.0
        if gain < _LEAST_GAIN or min(np.ptp(source, axis=0).max(), np.ptp(target, axis=0).max()) < _LEAST_SPREAD:
            break
        matrix = _fitted(source, target, start, scale=scale)
    return best


def _fitted(source: Points, target: Points, start: Matrix, *, scale: bool) -> Matrix:
    """The similarity that takes one end of the pairs to the other; its scale is that of ``start`` when it is fixed."""
    sized = np.eye(4)
    if not scale:
        sized[:3, :3] *= abs(np.linalg.det(start[:3, :3])) ** (1 / 3)
    moved = trimesh.registration.procrustes(
        _moved(source, sized), target, reflection=False, scale=scale, return_cost=False
    )
    return np.asarray(moved @ sized, dtype=np.float64)


def _moved(points: Points, matrix: Matrix) -> Points:
    moved: Points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return moved
