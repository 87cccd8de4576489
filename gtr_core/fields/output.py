"""What rendering gives, whether from a volume or from a mesh."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
