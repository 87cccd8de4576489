"""Making the frames of a result and the truth agree before their shapes are compared."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gtr_core.evaluation.protocol import Protocol
from gtr_core.geometry.mesh import Mesh


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
    """Find the similarity that the protocol asks for."""
    raise NotImplementedError
