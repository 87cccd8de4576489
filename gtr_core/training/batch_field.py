"""The fields of B objects at once, differentiable: what the losses of both stages ask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gtr_core.data.dataset import PosedPictures
from gtr_core.fields.decoder import color_from_raw
from gtr_core.fields.density_head import DensityHead
from gtr_core.fields.triplane import sample_plane_batch
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.rays import pixel_rays, plucker
from gtr_core.model.gtr import GTR


@dataclass(frozen=True)
class BatchField:
    """Planes of B objects and the decoders they share.

    Args:
        planes: (B, 3, C, R, R) float32.
        density_mlp: (..., 3C) -> (..., 1) raw density.
        color_mlp: (..., 3C) -> (..., 3) raw colour.
        head: raw density to density.
    """

    planes: Tensor
    density_mlp: nn.Module
    color_mlp: nn.Module
    head: DensityHead

    def __len__(self) -> int:
        return len(self.planes)

    def raw_density(self, points: Tensor) -> Tensor:
        """(B, N, 3) -> (B, N) raw density, before the head."""
        raw: Tensor = self.density_mlp(sample_plane_batch(self.planes, points))
        return raw.squeeze(-1)

    def density(self, points: Tensor) -> Tensor:
        """(B, N, 3) -> (B, N) density >= 0."""
        return self.head.density(self.raw_density(points))

    def radiance(self, points: Tensor) -> Tensor:
        """(B, N, 3) -> (B, N, 3) sRGB as the decoder gives it, not clamped."""
        return color_from_raw(self.color_mlp(sample_plane_batch(self.planes, points)))

    def density_and_radiance(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Both, reading the planes once."""
        features = sample_plane_batch(self.planes, points)
        density = self.head.density(self.density_mlp(features).squeeze(-1))
        return density, color_from_raw(self.color_mlp(features))

    def one(self, index: int) -> TriplaneField:
        """The field of one object."""
        return TriplaneField(self.planes[index], self.density_mlp, self.color_mlp, density_head=self.head)


def conditioning_of(pictures: PosedPictures) -> Tensor:
    """(B, V, 10, H, W) what the network takes; the same as :func:`gtr_core.model.conditioning.conditioning`.

    The pictures have the size that the network shall see; as there, colour and mask are cut to whole 8-bit values.
    """
    seen = torch.cat([pictures.composite(), pictures.mask[..., None]], dim=-1)
    seen = (seen * 255).clamp(0, 255).to(torch.uint8).float() / 255
    rays = pixel_rays(pictures.cameras())
    origins, directions = (part.view(*seen.shape[:-1], 3) for part in rays)
    channels = [seen[..., :3], directions, plucker(origins, directions), seen[..., 3:]]
    return torch.cat(channels, dim=-1).permute(0, 1, 4, 2, 3).contiguous()


def field_of(model: GTR, inputs: PosedPictures, head: DensityHead, *, bfloat16: bool) -> BatchField:
    """Let the network reconstruct B objects.

    Args:
        model: the network.
        inputs: B objects with V pictures each.
        head: to read its raw density with; training sharpens it.
        bfloat16: whether the transformer computes in it (autocast; the weights stay float32). Planes and decoders are
            float32 always.
    """
    device = inputs.rgba.device
    conditioning = conditioning_of(inputs)  # never in bfloat16: rays need all their digits
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        planes = model.planes_from(conditioning)
    return BatchField(planes.float(), model.density_mlp, model.color_mlp, head)
