"""What rendering gives, whether from a volume or from a mesh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gtr_core.geometry.cameras import Cameras


@dataclass(frozen=True)
class RenderOutput:
    """Pictures of V views.

    Args:
        rgb: (V, H, W, 3) sRGB in [0, 1] over the background.
        mask: (V, H, W) coverage in [0, 1].
        depth: (V, H, W) camera z in world units, 0 = background.
        normal: (V, H, W, 3) unit normals in the world frame, 0 = background.
    """

    rgb: Tensor
    mask: Tensor
    depth: Tensor
    normal: Tensor

    def normal_colors(self, cameras: Cameras, background: float) -> Tensor:
        """(V, H, W, 3) the usual colours of normals as the camera sees them: x right, y up, z towards it."""
        right, down, forward = (cameras.c2w[:, None, None, :3, k] for k in range(3))
        axes = torch.stack([right, -down, -forward], dim=-2)
        seen = (axes @ self.normal[..., None]).squeeze(-1)
        mask = self.mask[..., None]
        return (seen * 0.5 + 0.5) * mask + background * (1 - mask)
