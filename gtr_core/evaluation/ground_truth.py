"""Views of the true objects, rendered once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gtr_core.evaluation.objects import TrueObject
from gtr_core.evaluation.protocol import Protocol
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views


@dataclass(frozen=True)
class GroundTruth:
    """An object and its true views.

    Args:
        object: what is seen.
        inputs: the views a system is given, with depth and normals only where the protocol gives them.
        novel: the views on which pictures are compared, with depth and normals.
    """

    object: TrueObject
    inputs: Views
    novel: Views


def ground_truth(
    true_object: TrueObject, protocol: Protocol, cache: Path, progress: Progress = no_progress
) -> GroundTruth:
    """Views of an object from the cache, rendered when they are not there."""
    raise NotImplementedError
