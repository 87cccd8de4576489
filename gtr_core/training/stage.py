"""What the two stages of training share: the network, its field, and the loss of a batch as one module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from gtr_core.data.dataset import Batch
from gtr_core.fields.density_head import DensityHead
from gtr_core.model.gtr import GTR
from gtr_core.training.batch_field import BatchField, field_of
from gtr_core.training.losses import LossTerms
from gtr_core.training.perceptual import Perceptual
from gtr_core.training.point_supervision import PointWeights, supervise_points


@dataclass(frozen=True)
class FieldConfig:
    """How the network's field is read and supervised in space.

    Args:
        points: weights of direct supervision in space.
        sharpness: factor of the density head's scale at the start and at the end of the run: a soft density learns
            from afar, a sharp one is a surface.
        bfloat16: whether the transformer computes in it on a GPU.
    """

    points: PointWeights = field(default_factory=PointWeights)
    sharpness: tuple[float, float] = (1.0, 1.0)
    bfloat16: bool = False

    def head(self, base: DensityHead, share: float) -> DensityHead:
        """The density head at a share of the run."""
        first, last = self.sharpness
        return replace(base, scale=base.scale * (first + (last - first) * share))


class Stage(nn.Module, ABC):
    """The loss of a batch as a function of the network's weights.

    Args:
        model: the network; its weights are this module's only ones.
        field_config: how its field is read.
        perceptual: how alike pictures look.
        seed: of the run.
    """

    def __init__(self, model: GTR, field_config: FieldConfig, perceptual: Perceptual, seed: int) -> None:
        super().__init__()
        self.model = model
        self.field_config = field_config
        self.perceptual = perceptual
        self.seed = seed

    def forward(self, batch: Batch, share: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of B objects.

        Args:
            batch: on the network's device.
            share: of the run that is over, in [0, 1].

        Returns:
            The loss, a mean over the objects, and its terms without their weights, detached.
        """
        config = self.field_config
        head = config.head(self.model.config.density_head, share)
        bfloat16 = config.bfloat16 and _gains_by_bfloat16(batch.inputs.rgba.device)
        field = field_of(self.model, batch.inputs, head, bfloat16=bfloat16)
        terms = LossTerms(field.planes)
        if batch.points is not None and config.points.used:
            supervise_points(field, batch.points, config.points, terms, share)
        if batch.targets is not None:
            self.compare(field, batch, terms, share)
        return terms.total + self._nothing(), terms.values

    def _nothing(self) -> Tensor:
        """0, and a gradient of 0 for each weight of the decoders.

        A batch without any surface asks the colour network nothing; but processes have to agree on which weights have
        a gradient.
        """
        decoders = nn.ModuleList([self.model.density_mlp, self.model.color_mlp])
        return 0.0 * torch.stack([parameter.sum() for parameter in decoders.parameters()]).sum()

    @abstractmethod
    def compare(self, field: BatchField, batch: Batch, terms: LossTerms, share: float) -> None:
        """Add the terms that compare renderings of the field with the target pictures."""


def _gains_by_bfloat16(device: torch.device) -> bool:
    """On a CPU it seldom pays, and what is learned would depend on the processor."""
    return device.type != "cpu"
