"""Fields to refine where no trained network is at hand: as a network would hand them over, and untrained ones.

GTR's network makes planes of 256 x 256 texels out of 32 x 32 tokens; its colours are right on the whole object but
blurred. The start ``blurred`` imitates that: planes of 32 x 32 texels with a colour network of the released size learn
the object from 14 sides at a quarter of the resolution, and are then enlarged to 256 x 256. The start ``untrained``
has random planes and a random network. The geometry of both is the preset ``fit`` with depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from object_views import input_views, novel_views
from torch import Tensor
from torch.nn import functional

from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.fit.reconstruct import reconstruct_fit
from gtr_core.geometry.mesh import Mesh
from gtr_core.stages.texture import refine_texture
from gtr_core.stages.texture_config import TextureConfig
from gtr_core.views import Views

CHANNELS, RESOLUTION, HIDDEN, TOKENS = 40, 256, 32, 32
_LEARNING = TextureConfig(
    loss="l2", planes_lr=0.03, planes_weight_decay=0.0, color_mlp_lr=5e-3, color_mlp_weight_decay=0.0,
    pixels_per_step=1 << 14,
)  # fmt: skip
_LEARNING_STEPS = 120
_SMALLER = 4
_NOVEL_STEP = 4
"""Every fourth of the twenty novel views: azimuths 72 degrees apart at elevations -30, 0 and 30."""


@dataclass(frozen=True)
class Start:
    """An object before refinement.

    Args:
        field: of the released size.
        mesh: its surface.
        views: the six pictures to follow, 512 px.
        novel: pictures from other sides, 256 px.
    """

    field: TriplaneField
    mesh: Mesh
    views: Views
    novel: Views


def make_starts(name: str, kinds: Sequence[str] = ("blurred", "untrained")) -> dict[str, Start]:
    """The starts of an object."""
    around = input_views(name, "sphere14")
    mesh = reconstruct_fit(around)[1]
    views, novel = input_views(name, "zero123plus"), novel_views(name)[::_NOVEL_STEP]
    starts = {}
    for kind in kinds:
        field = _blurred(mesh, around) if kind == "blurred" else _untrained(RESOLUTION)
        starts[kind] = Start(field, mesh, Views(views.rgba, views.cameras), novel)
    return starts


def _untrained(resolution: int) -> TriplaneField:
    generator = torch.Generator().manual_seed(0)
    planes = 0.1 * torch.randn(3, CHANNELS, resolution, resolution, generator=generator)
    density = DensityMlp(3 * CHANNELS, HIDDEN, generator=generator)
    return TriplaneField(planes, density, ColorMlp(3 * CHANNELS, HIDDEN, generator=generator))


def _blurred(mesh: Mesh, around: Views) -> TriplaneField:
    field, _, _ = refine_texture(_untrained(TOKENS), mesh, _smaller(around), _LEARNING, steps=_LEARNING_STEPS)
    planes = functional.interpolate(field.planes, scale_factor=RESOLUTION / TOKENS, mode="bicubic", align_corners=False)
    return TriplaneField(planes, field.density_mlp, field.color_mlp)


def _smaller(views: Views) -> Views:
    """The views at a quarter of their size, averaged with alpha."""

    def mean(images: Tensor) -> Tensor:
        return functional.avg_pool2d(images.permute(0, 3, 1, 2), _SMALLER).permute(0, 2, 3, 1)

    alpha = mean(views.rgba[..., 3:])
    rgb = mean(views.rgba[..., :3] * views.rgba[..., 3:]) / alpha.clamp(min=1e-6)
    height, width = alpha.shape[1:3]
    return Views(torch.cat([rgb, alpha], dim=-1).clamp(0, 1), views.cameras.resized(height, width))
