"""Direct supervision in space: the field learns signed distances and surface colours (not in the paper).

It is what lets a small network learn from few samples: a point costs as much as one sample of one ray, and tells the
field the truth there instead of its share of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

from gtr_core.data.dataset import Points
from gtr_core.fields.surface import ISO_LEVEL
from gtr_core.training.batch_field import BatchField
from gtr_core.training.losses import LossTerms, mean_squared, tsdf_loss


@dataclass(frozen=True)
class PointWeights:
    """How much points count.

    Args:
        distance: weight of the truncated signed distance.
        color: weight of the squared error of surface colours.
        truncation: distance at which signed distances are cut off, at the start and at the end of the run, world units.
        raw_unit: raw density, above that of the surface, that stands for one truncation deep inside.
    """

    distance: float = 0.0
    color: float = 0.0
    truncation: tuple[float, float] = (0.10, 0.05)
    raw_unit: float = 1.0

    @property
    def used(self) -> bool:
        """Whether any point counts."""
        return self.distance > 0 or self.color > 0


def supervise_points(field: BatchField, points: Points, weights: PointWeights, terms: LossTerms, share: float) -> None:
    """Add the terms ``tsdf`` and ``point_color``.

    Args:
        field: of B objects.
        points: of the same objects.
        weights: of the terms.
        terms: where to.
        share: of the run that is over, in [0, 1].
    """
    if weights.distance and points.distance_at.shape[1]:
        first, last = weights.truncation
        level = field.head.raw_at(ISO_LEVEL)
        raw = (field.raw_density(points.distance_at) - level) / weights.raw_unit
        terms.add("tsdf", tsdf_loss(raw, points.distance, first + (last - first) * share), weights.distance)
        terms.note("sign", ((raw > 0) == (points.distance < 0)).float().mean())
    if weights.color and points.color_at.shape[1]:
        colors = field.radiance(points.color_at)
        terms.add("point_color", mean_squared(colors, points.color), weights.color)
