"""A stored triplane field back in memory, with its two decoders but without the network that made its planes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.density_head import DensityHead
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.model.shared_decoder import shared_decoders

_SHARED = "shared."
"""Beginning of the names in a decoder that gives density and colour together."""


def triplane_from_state(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> TriplaneField:
    """Read what :meth:`TriplaneField.state` gave.

    Raises:
        KeyError, RuntimeError: a tensor is missing or has the wrong shape.
    """
    planes, geometry = tensors["planes"], tensors["geometry_planes"]
    density, color = (_without_prefix(f"{part}.", tensors) for part in ("density_mlp", "color_mlp"))
    features, shared = 3 * planes.shape[1], any(name.startswith(_SHARED) for name in color)
    hidden = len(color[f"{_SHARED if shared else ''}layers.0.bias"])
    density_mlp: nn.Module
    color_mlp: nn.Module
    if shared:
        # Two copies of the one network: refinement changes that of the colour only.
        density_mlp, color_mlp = shared_decoders(features, hidden)[0], shared_decoders(features, hidden)[1]
    else:
        density_mlp, color_mlp = DensityMlp(features, hidden), ColorMlp(features, hidden)
    density_mlp.load_state_dict(density)
    color_mlp.load_state_dict(color)
    head = DensityHead(float(config["head"]["scale"]), float(config["head"]["shift"]))
    return TriplaneField(
        planes,
        density_mlp.requires_grad_(False),
        color_mlp.requires_grad_(False),
        None if geometry is planes else geometry,
        head,
    )


def _without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
