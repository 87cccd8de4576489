"""Learned perceptual image patch similarity (Zhang et al. 2018), version 0.1, with the published weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtr_core.metrics.lpips_backbones import BACKBONES, Net
from gtr_core.metrics.lpips_files import SCALE, SHIFT, linear_name, read_weights

_SHORTEST = 1e-4
"""Length below which a feature vector is not stretched to 1, so that gradients stay finite where features vanish."""


class Lpips(nn.Module):
    """The metric; there is none without the published weights, see :meth:`load`.

    Both pictures go through the backbone; at each of its taps the features of a pixel are scaled to length 1, their
    squared differences are weighed per channel by a linear layer and averaged over the pixels; the taps add up.

    Args:
        net: the backbone.
        tensors: its weights and those of the linear layers, from :func:`gtr_core.metrics.lpips_files.read_weights`.
        resize: side in pixels that pictures are brought to before: means over areas when they shrink, bilinear when
            they grow; the released GTR's loss takes 256. None leaves them as they are, which is what evaluations do.
    """

    def __init__(self, net: Net, tensors: dict[str, Tensor], *, resize: int | None = None) -> None:
        super().__init__()
        self.net: Net = net
        self.resize = resize
        self._backbone = BACKBONES[net]
        self._names = {name: name.replace(".", "_") for name in tensors}
        for name, tensor in tensors.items():
            self.register_buffer(self._names[name], tensor, persistent=False)

    @classmethod
    def load(cls, net: Net, backbone: Path, linear: Path | None = None, *, resize: int | None = None) -> Lpips:
        """Read the published weights.

        Args:
            net: ``vgg``, ``alex`` or ``squeeze``.
            backbone: torchvision's ImageNet weights; or one file with the linear layers in it.
            linear: the linear layers, as the packages lpips and torchmetrics ship them.
            resize: see :class:`Lpips`.

        Raises:
            GtrError: ``model_unavailable`` when a file is missing or is not what it should be.
        """
        return cls(net, read_weights(net, backbone, linear), resize=resize)

    def forward(self, image: Tensor, truth: Tensor) -> Tensor:
        """Distance of pictures in [0, 1]; differentiable in ``image``.

        Args:
            image: (V, H, W, 3) sRGB on the metric's device.
            truth: (V, H, W, 3).

        Returns:
            (V,) at least 0; 0 for equal pictures.

        Raises:
            ValueError: for shapes that differ or are too small for the backbone.
        """
        smallest = self._backbone.smallest
        if image.shape != truth.shape or image.ndim != 4 or image.shape[-1] != 3:
            raise ValueError(f"pictures of {tuple(image.shape)} and {tuple(truth.shape)} cannot be compared by LPIPS")
        if min(image.shape[1:3]) < smallest and self.resize is None:
            raise ValueError(f"LPIPS with {self.net} needs pictures of at least {smallest} px")
        if image.requires_grad:
            return self._distance(image, truth)
        return torch.cat([self._distance(a[None], b[None]) for a, b in zip(image, truth, strict=True)])

    def _distance(self, image: Tensor, truth: Tensor) -> Tensor:
        tensors = {name: self.get_buffer(buffer) for name, buffer in self._names.items()}
        pairs = zip(self._features(image, tensors), self._features(truth, tensors), strict=True)
        parts = []
        for index, (a, b) in enumerate(pairs):
            weighed = functional.conv2d((a - b).square(), tensors[linear_name(index)])
            parts.append(weighed.mean(dim=(1, 2, 3)))
        return torch.stack(parts).sum(0)

    def _features(self, pictures: Tensor, tensors: dict[str, Tensor]) -> list[Tensor]:
        images = pictures.permute(0, 3, 1, 2)
        if self.resize is not None:
            images = _resized(images, self.resize)
        shift, scale = (images.new_tensor(values)[:, None, None] for values in (SHIFT, SCALE))
        features = self._backbone.features((2 * images - 1 - shift) / scale, tensors)
        return [functional.normalize(part, dim=1, eps=_SHORTEST) for part in features]


def _resized(images: Tensor, side: int) -> Tensor:
    if min(images.shape[2:]) > side:
        return functional.interpolate(images, (side, side), mode="area")
    return functional.interpolate(images, (side, side), mode="bilinear", align_corners=False)
