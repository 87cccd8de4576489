"""Chamfer distance and F-score of two sets of surface points, in every convention that is in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

ChamferKind = Literal["two_sided_sum", "two_sided_mean", "result_to_truth", "truth_to_result"]
"""How the means of the two directions become one figure: their sum, their mean, or one of them alone."""

PERCENT = 100.0
"""The Chamfer distance is multiplied by this, as in the paper's tables."""


@dataclass(frozen=True)
class NearestDistances:
    """Distance from every point to the nearest one of the other set, in the units of the points.

    Args:
        to_truth: (N,) from the points of the result.
        from_truth: (M,) from the points of the truth.
    """

    to_truth: NDArray[np.float64]
    from_truth: NDArray[np.float64]


def nearest_distances(points: Tensor, truth: Tensor) -> NearestDistances:
    """Nearest distances between the points (N, 3) of a result and those (M, 3) of the truth."""
    a, b = _array(points), _array(truth)
    return NearestDistances(cKDTree(b).query(a)[0], cKDTree(a).query(b)[0])


def chamfer(
    points: Tensor | NearestDistances,
    truth: Tensor | None = None,
    *,
    kind: ChamferKind = "two_sided_sum",
    squared: bool = True,
) -> float:
    """Chamfer distance times 100.

    Args:
        points: (N, 3) of the result; or the distances, when they are known already.
        truth: (M, 3) of the truth; None with distances.
        kind: which directions count, and how they are put together.
        squared: mean of the squared distances instead of the distances.
    """
    near = points if isinstance(points, NearestDistances) else nearest_distances(points, _given(truth))
    power = 2 if squared else 1
    there, back = float((near.to_truth**power).mean()), float((near.from_truth**power).mean())
    values = {
        "two_sided_sum": there + back,
        "two_sided_mean": (there + back) / 2,
        "result_to_truth": there,
        "truth_to_result": back,
    }
    return PERCENT * values[kind]


def f_score(points: Tensor | NearestDistances, truth: Tensor | None = None, *, threshold: float) -> float:
    """Harmonic mean in percent of the two shares of points that lie closer than ``threshold`` to the other set."""
    near = points if isinstance(points, NearestDistances) else nearest_distances(points, _given(truth))
    precision = float((near.to_truth < threshold).mean())
    recall = float((near.from_truth < threshold).mean())
    return PERCENT * 2 * precision * recall / max(precision + recall, 1e-12)


def _given(truth: Tensor | None) -> Tensor:
    if truth is None:
        raise TypeError("points need the truth to be compared with")
    return truth


def _array(points: Tensor) -> NDArray[Any]:
    return np.asarray(points.detach().cpu().double())
