"""The convolutional networks whose features LPIPS compares, in plain torch (layers as in torchvision)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Net = Literal["vgg", "alex", "squeeze"]


@dataclass(frozen=True)
class Conv:
    """A convolution with bias, then a rectifier.

    Args:
        name: of its tensors, as torchvision has it: ``features.0`` and so on.
        inputs: channels.
        outputs: channels.
        kernel: side of the kernel.
        stride: of the kernel.
        padding: zeros around the input.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of its tensors."""
        weight = (self.outputs, self.inputs, self.kernel, self.kernel)
        return {f"{self.name}.weight": weight, f"{self.name}.bias": (self.outputs,)}

    def __call__(self, features: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H', W')."""
        weight, bias = tensors[f"{self.name}.weight"], tensors[f"{self.name}.bias"]
        return functional.relu(functional.conv2d(features, weight, bias, self.stride, self.padding))


@dataclass(frozen=True)
class Fire:
    """SqueezeNet's module: a 1 x 1 convolution, then a 1 x 1 and a 3 x 3 one side by side.

    Args:
        name: as torchvision has it: ``features.3`` and so on.
        inputs: channels.
        squeezed: channels after the first convolution.
        expanded: channels of each of the other two.
    """

    name: str
    inputs: int
    squeezed: int
    expanded: int

    @property
    def outputs(self) -> int:
        """Channels of both convolutions together."""
        return 2 * self.expanded

    def _parts(self) -> tuple[Conv, Conv, Conv]:
        return (
            Conv(f"{self.name}.squeeze", self.inputs, self.squeezed, 1, padding=0),
            Conv(f"{self.name}.expand1x1", self.squeezed, self.expanded, 1, padding=0),
            Conv(f"{self.name}.expand3x3", self.squeezed, self.expanded),
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of its tensors."""
        return {name: shape for part in self._parts() for name, shape in part.shapes().items()}

    def __call__(self, features: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        squeeze, one, three = self._parts()
        squeezed = squeeze(features, tensors)
        return torch.cat([one(squeezed, tensors), three(squeezed, tensors)], dim=1)


@dataclass(frozen=True)
class Pool:
    """The largest value of every window.

    Args:
        kernel: side of the window.
        ceil: whether a last window may reach over the border.
    """

    kernel: int
    ceil: bool = False

    def __call__(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W'), about half the size."""
        return functional.max_pool2d(features, self.kernel, 2, ceil_mode=self.ceil)


@dataclass(frozen=True)
class Backbone:
    """A network up to the last features that LPIPS looks at.

    Args:
        layers: one after the other.
        taps: indices of the layers whose outputs are compared.
        smallest: side in pixels of the smallest picture that passes.
        cached_as: names that ``torch.hub`` gives the file of its ImageNet weights, newest first.
    """

    layers: tuple[Conv | Fire | Pool, ...]
    taps: tuple[int, ...]
    smallest: int
    cached_as: tuple[str, ...]

    def channels(self) -> list[int]:
        """Channels of the compared features."""
        return [layer.outputs for tap in self.taps if not isinstance(layer := self.layers[tap], Pool)]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all tensors."""
        learned = (layer for layer in self.layers if not isinstance(layer, Pool))
        return {name: shape for layer in learned for name, shape in layer.shapes().items()}

    def features(self, images: Tensor, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """The compared features (B, C, H, W) of images (B, 3, H, W) that are scaled already."""
        found = []
        for index, layer in enumerate(self.layers):
            images = layer(images) if isinstance(layer, Pool) else layer(images, tensors)
            if index in self.taps:
                found.append(images)
        return found


def _conv(index: int, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> Conv:
    return Conv(f"features.{index}", inputs, outputs, kernel, stride, padding)


def _fire(index: int, inputs: int, squeezed: int, expanded: int) -> Fire:
    return Fire(f"features.{index}", inputs, squeezed, expanded)


BACKBONES: dict[Net, Backbone] = {
    "vgg": Backbone(
        layers=(
            _conv(0, 3, 64), _conv(2, 64, 64), Pool(2),
            _conv(5, 64, 128), _conv(7, 128, 128), Pool(2),
            _conv(10, 128, 256), _conv(12, 256, 256), _conv(14, 256, 256), Pool(2),
            _conv(17, 256, 512), _conv(19, 512, 512), _conv(21, 512, 512), Pool(2),
            _conv(24, 512, 512), _conv(26, 512, 512), _conv(28, 512, 512),
        ),
        taps=(1, 4, 8, 12, 16),
        smallest=16,
        cached_as=("vgg16-397923af.pth",),
    ),
    "alex": Backbone(
        layers=(
            _conv(0, 3, 64, 11, 4, 2), Pool(3), _conv(3, 64, 192, 5, 1, 2), Pool(3),
            _conv(6, 192, 384), _conv(8, 384, 256), _conv(10, 256, 256),
        ),
        taps=(0, 2, 4, 5, 6),
        smallest=31,
        cached_as=("alexnet-owt-7be5be79.pth", "alexnet-owt-4df8aa71.pth"),
    ),
    "squeeze": Backbone(
        layers=(
            _conv(0, 3, 64, 3, 2, 0), Pool(3, ceil=True),
            _fire(3, 64, 16, 64), _fire(4, 128, 16, 64), Pool(3, ceil=True),
            _fire(6, 128, 32, 128), _fire(7, 256, 32, 128), Pool(3, ceil=True),
            _fire(9, 256, 48, 192), _fire(10, 384, 48, 192), _fire(11, 384, 64, 256), _fire(12, 512, 64, 256),
        ),
        taps=(0, 3, 6, 8, 9, 10, 11),
        smallest=17,
        cached_as=("squeezenet1_1-b8a52dc0.pth", "squeezenet1_1-f364aa15.pth"),
    ),
}  # fmt: skip
"""VGG16, AlexNet and SqueezeNet 1.1."""
