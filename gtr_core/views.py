"""Posed pictures of one object: what every reconstructor starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import Cameras


@dataclass(frozen=True)
class Views:
    """V posed RGBA images, optionally with depth and normals.

    Args:
        rgba: (V, H, W, 4) float32 in [0, 1], sRGB with straight alpha, row 0 at the top.
        cameras: the V cameras, of the same height and width.
        depth: (V, H, W) float32 camera z in world units, 0 = background; None when unknown.
        normal: (V, H, W, 3) float32 unit world normals, 0 = background; None when unknown.

    Raises:
        GtrError: ``empty_mask`` when an image shows nothing.
    """

    rgba: Tensor
    cameras: Cameras
    depth: Tensor | None = None
    normal: Tensor | None = None

    def __post_init__(self) -> None:
        size = (len(self.cameras), self.cameras.height, self.cameras.width)
        if self.rgba.shape != (*size, 4):
            raise ValueError(f"rgba is {tuple(self.rgba.shape)}, the cameras ask for {(*size, 4)}")
        if self.depth is not None and self.depth.shape != size:
            raise ValueError(f"depth is {tuple(self.depth.shape)}, expected {size}")
        if self.normal is not None and self.normal.shape != (*size, 3):
            raise ValueError(f"normal is {tuple(self.normal.shape)}, expected {(*size, 3)}")
        empty = (self.mask.flatten(1).amax(1) <= 0.5).nonzero()
        if len(empty):
            view = int(empty[0])
            raise GtrError(
                ErrorCode.EMPTY_MASK,
                f"Nothing is visible in image {view + 1}: its mask is empty.",
                "Check its transparency or its background colour.",
                view=view,
            )

    def __len__(self) -> int:
        return len(self.cameras)

    def __getitem__(self, index: slice | Sequence[int]) -> Views:
        """A subset of the views, by slice or by a list of indices."""
        depth = None if self.depth is None else self.depth[index]
        normal = None if self.normal is None else self.normal[index]
        return Views(self.rgba[index], self.cameras[index], depth, normal)

    @property
    def mask(self) -> Tensor:
        """(V, H, W) soft foreground mask: the alpha channel."""
        return self.rgba[..., 3]

    def composite(self, background: float = 1.0) -> Tensor:
        """(V, H, W, 3) colours over a grey of this value (1 = white)."""
        alpha = self.rgba[..., 3:]
        return self.rgba[..., :3] * alpha + background * (1 - alpha)

    def to(self, device: torch.device | str) -> Views:
        """The same views on another device."""
        depth = None if self.depth is None else self.depth.to(device)
        normal = None if self.normal is None else self.normal.to(device)
        return Views(self.rgba.to(device), self.cameras.to(device), depth, normal)

    def require(self, count: int) -> None:
        """Check that there are at least ``count`` views.

        Raises:
            GtrError: ``too_few_views``.
        """
        if len(self) < count:
            raise GtrError(
                ErrorCode.TOO_FEW_VIEWS, f"{count} views are needed, {len(self)} loaded.", "Add more images."
            )
