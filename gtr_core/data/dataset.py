"""What a training batch is, and what every source of batches can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gtr_core.geometry.cameras import Cameras


@dataclass(frozen=True)
class BatchRequest:
    """What a stage of training wants to know of each object.

    Args:
        input_views: pictures that the network sees (paper section 4.1: 4).
        input_size: their side in pixels.
        target_views: pictures from other cameras that supervise (4 in the first stage, 8 in the second); may be 0.
        target_size: side of the whole supervising picture, pixels.
        patch: side of the square cut out of each supervising picture, at a random place; 0 takes the whole picture.
        near_points: points around the surface with their signed distance.
        uniform_points: points anywhere in [-1, 1]^3 with their signed distance.
        surface_points: points on the surface with their colour.
        lifted_points: points lifted a little off the surface, with the colour of the surface below.
    """

    input_views: int = 4
    input_size: int = 512
    target_views: int = 4
    target_size: int = 512
    patch: int = 0
    near_points: int = 0
    uniform_points: int = 0
    surface_points: int = 0
    lifted_points: int = 0

    @property
    def target_side(self) -> int:
        """Side of the supervising pictures as they come, pixels."""
        return self.patch or self.target_size


@dataclass(frozen=True)
class PosedPictures:
    """V pictures of each of B objects, with their cameras.

    A patch of a larger picture is a picture whose principal point lies elsewhere, perhaps outside it.

    Args:
        rgba: (B, V, H, W, 4) float32 in [0, 1], sRGB with straight alpha, row 0 at the top.
        c2w: (B, V, 4, 4) camera to world, as :class:`gtr_core.geometry.cameras.Cameras`.
        intrinsics: (B, V, 4) fx, fy, cx, cy in pixels.
        depth: (B, V, H, W) camera z in world units, 0 = background; None when unknown.
        normal: (B, V, H, W, 3) unit world normals, 0 = background; None when unknown.
    """

    rgba: Tensor
    c2w: Tensor
    intrinsics: Tensor
    depth: Tensor | None = None
    normal: Tensor | None = None

    def __post_init__(self) -> None:
        objects, views, height, width, channels = self.rgba.shape
        expected = {
            "c2w": (self.c2w, (objects, views, 4, 4)),
            "intrinsics": (self.intrinsics, (objects, views, 4)),
            "depth": (self.depth, (objects, views, height, width)),
            "normal": (self.normal, (objects, views, height, width, 3)),
        }
        if channels != 4:
            raise ValueError(f"rgba has {channels} channels, expected 4")
        for name, (tensor, shape) in expected.items():
            if tensor is not None and tensor.shape != shape:
                raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {shape}")

    def composite(self, background: float = 1.0) -> Tensor:
        """(B, V, H, W, 3) colours over a grey of this value."""
        alpha = self.rgba[..., 3:]
        return self.rgba[..., :3] * alpha + background * (1 - alpha)

    @property
    def mask(self) -> Tensor:
        """(B, V, H, W) soft foreground mask."""
        return self.rgba[..., 3]

    def cameras(self, index: int | None = None) -> Cameras:
        """The V cameras of one object, or the B V cameras of all, object by object."""
        height, width = self.rgba.shape[2:4]
        if index is None:
            return Cameras(self.c2w.flatten(0, 1), self.intrinsics.flatten(0, 1), height, width)
        return Cameras(self.c2w[index], self.intrinsics[index], height, width)

    def to(self, device: torch.device | str) -> PosedPictures:
        """The same on another device."""
        return PosedPictures(*(_moved(part, device) for part in _parts(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Points:
    """What is known of the shape and the colour of B objects at points of the world.

    Args:
        distance_at: (B, N, 3) points in [-1, 1]^3.
        distance: (B, N) signed distance there, negative inside, world units. Far from the surface its sign and that
            it is large is all that counts.
        color_at: (B, M, 3) points on the surface or a little off it.
        color: (B, M, 3) sRGB of the surface there, in [0, 1].
    """

    distance_at: Tensor
    distance: Tensor
    color_at: Tensor
    color: Tensor

    def to(self, device: torch.device | str) -> Points:
        """The same on another device."""
        return Points(*(_moved(part, device) for part in _parts(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Batch:
    """B objects to learn from.

    Args:
        indices: (B,) int64, always on the CPU, the numbers of the samples in the source's endless sequence: all random
            choices that a stage makes for a sample come from its number.
        inputs: what the network sees.
        targets: what it shall look like from elsewhere; None when none was asked for.
        points: direct supervision in space; None when none was asked for or the source cannot give it.
    """

    indices: Tensor
    inputs: PosedPictures
    targets: PosedPictures | None = None
    points: Points | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device, except for the indices: only Python reads them, and need not wait for a GPU."""
        targets = None if self.targets is None else self.targets.to(device)
        points = None if self.points is None else self.points.to(device)
        return Batch(self.indices, self.inputs.to(device), targets, points)


class TrainingSource(Protocol):
    """An endless, numbered sequence of samples.

    A sample is a function of (seed, number, request) alone. Which numbers a process works on follows from the step,
    its rank and the number of ranks (:func:`gtr_core.training.distributed.share_of`), so a run that is resumed,
    with as many processes or with others, meets the same data.
    """

    @property
    def name(self) -> str:
        """What the samples are made from, for logs and for the file of weights."""
        ...

    @property
    def has_points(self) -> bool:
        """Whether :attr:`Batch.points` can be given."""
        ...

    def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        """The samples of these numbers, on the CPU or on the device of the training.

        May be called from several threads at once.
        """
        ...

    def validation(self, indices: Sequence[int], request: BatchRequest) -> Batch:
        """Samples to judge a network by: of objects that no batch shows, or of the same from other cameras."""
        ...


def join(samples: Sequence[Batch]) -> Batch:
    """Samples of the same request, one after the other."""
    targets = [sample.targets for sample in samples if sample.targets is not None]
    points = [sample.points for sample in samples if sample.points is not None]
    return Batch(
        torch.cat([sample.indices for sample in samples]),
        PosedPictures(*_columns([sample.inputs for sample in samples])),  # type: ignore[arg-type]
        PosedPictures(*_columns(targets)) if targets else None,  # type: ignore[arg-type]
        Points(*_columns(points)) if points else None,  # type: ignore[arg-type]
    )


def _columns(parts: Sequence[PosedPictures | Points]) -> list[Tensor | None]:
    columns = zip(*(_parts(part) for part in parts), strict=True)
    return [
        None if column[0] is None else torch.cat([part for part in column if part is not None]) for column in columns
    ]


def _parts(value: PosedPictures | Points) -> tuple[Tensor | None, ...]:
    return tuple(vars(value).values())


def _moved(tensor: Tensor | None, device: torch.device | str) -> Tensor | None:
    return None if tensor is None else tensor.to(device, non_blocking=True)
