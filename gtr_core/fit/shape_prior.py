"""What is likely inside the visual hull, learned from procedural objects.

Outlines alone do not say where inside their hull the surface runs, and between views that stand far apart colours
hardly do. A small network, which has seen many hulls and the objects inside them, guesses: what every view shows at the
nodes of a coarse grid is pooled over the views, and a 3-D U-Net turns that into the signed distance of a likely shape.
The fit starts from it and corrects it wherever the pictures say otherwise.

The weights are part of the package: ``gtr train-prior`` makes them, without any downloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, silu

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fit.mask_rays import reduced
from gtr_core.fit.masks import sample_images
from gtr_core.fit.sdf_grid import SdfGrid, node_positions
from gtr_core.fit.visual_hull import HullDistance
from gtr_core.io.atomic import write_atomic
from gtr_core.views import Views

RESOLUTION = 48
"""Nodes along an edge of the grid."""
PIXELS_PER_UNIT = 60.0
"""Scale at which pictures are looked at: pixels for a world unit at the origin."""
WEIGHTS = Path(__file__).with_name("shape_prior.safetensors")

_SIZES = (16, 512)
"""Smallest and largest side of a picture that is looked at, pixels."""
_NEAR = 0.1
"""Nodes farther outside the hull than this are not looked up in the pictures, world units."""
_DEEPEST = 0.25
"""Distance at which the hull's distance is cut off, world units."""
_OUTPUT_UNIT = 0.1
_IMAGE_FEATURES = 8
_WIDTHS = (16, 32, 48, 64, 64)
_FACING = 6.0
"""How much more a view counts that stands on a node's side of the object, per world unit."""


class ShapePrior(nn.Module):
    """Pictures of an object -> the signed distance of a likely shape."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = nn.Sequential(
            nn.Conv2d(4, 16, 3, stride=2, padding=1), nn.SiLU(), nn.Conv2d(16, 16, 3, padding=1), nn.SiLU(),
            nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.SiLU(), nn.Conv2d(24, 24, 3, padding=1), nn.SiLU(),
            nn.Conv2d(24, _IMAGE_FEATURES, 3, padding=1),
        )  # fmt: skip
        pooled, outlines = 2 * (_IMAGE_FEATURES + 3), 5
        self.stem = nn.Conv3d(pooled + outlines, _WIDTHS[0], 1)
        pairs = list(pairwise(_WIDTHS))
        self.down = nn.ModuleList([_convolutions(_WIDTHS[0]), *(_convolutions(a, b, stride=2) for a, b in pairs)])
        self.lateral = nn.ModuleList([nn.Conv3d(b, a, 1) for a, b in pairs])
        self.up = nn.ModuleList([_convolutions(_WIDTHS[0]), *(_convolutions(a, a) for a, _ in pairs[1:])])
        self.output = nn.Conv3d(_WIDTHS[0], 1, 1)
        nn.init.zeros_(self.output.weight)
        assert self.output.bias is not None
        nn.init.zeros_(self.output.bias)

    def forward(self, objects: Sequence[Views]) -> tuple[Tensor, Tensor]:
        """Guess the shapes of B objects.

        Args:
            objects: masked views of each, any number of them.

        Returns:
            (B, R, R, R) signed distances at the nodes of a grid of :data:`RESOLUTION`, in world units, and those of
            the visual hulls there.
        """
        evidence, hull = (torch.stack(part) for part in zip(*map(self._evidence, objects), strict=True))
        x, skips = silu(self.stem(evidence)), []
        for level in self.down:
            x = level(x)
            skips.append(x)
        x = skips.pop()
        for lateral, level, skip in zip(reversed(self.lateral), reversed(self.up), reversed(skips), strict=True):
            x = level(interpolate(lateral(x), size=skip.shape[2:], mode="trilinear", align_corners=False) + skip)
        return hull.clamp(-_DEEPEST, _DEEPEST) + _OUTPUT_UNIT * self.output(x)[:, 0], hull

    def _evidence(self, views: Views) -> tuple[Tensor, Tensor]:
        """(C, R, R, R) what the views say at each node, and (R, R, R) distance of their visual hull."""
        device = views.rgba.device
        nodes = node_positions(torch.arange(RESOLUTION**3, device=device), RESOLUTION)
        distances = HullDistance(views).per_view(nodes)
        largest = distances.topk(2, dim=0).values
        hull = largest[0]
        near = (hull < _NEAR).nonzero().squeeze(-1)
        pooled = torch.zeros(len(nodes), 2 * (_IMAGE_FEATURES + 3), device=device)
        pooled = pooled.index_copy(0, near, self._pooled(views, nodes[near]))
        outlines = torch.stack(
            [
                (largest[0] / 0.1).clamp(-2, 2),
                (largest[0] / 0.5).clamp(-1, 1),
                (largest[1] / 0.1).clamp(-2, 2),
                (distances.mean(0) / 0.2).clamp(-2, 2),
                (distances.amin(0) / 0.4).clamp(-2, 2),
            ],
            dim=-1,
        )
        shape = (RESOLUTION,) * 3
        return torch.cat([pooled, outlines], dim=-1).T.reshape(-1, *shape), hull.reshape(shape)

    def _pooled(self, views: Views, nodes: Tensor) -> Tensor:
        """(N, 2C) weighted mean and deviation, over the views, of colours and learned features at nodes (N, 3)."""
        cameras, colors, alpha = reduced(views, _size_at_scale(views))
        pictures = torch.cat([colors * alpha[:, None] * 2 - 1, alpha[:, None]], dim=1)
        features = self.pictures(pictures)
        pixels = cameras.project(nodes)[..., :2]
        ratio = pixels.new_tensor([features.shape[3] / cameras.width, features.shape[2] / cameras.height])
        seen = torch.cat([sample_images(features, pixels * ratio), sample_images(pictures[:, :3], pixels)], dim=-1)
        side = nodes @ normalize(cameras.positions, dim=-1).T
        weight = torch.sigmoid(_FACING * side).T[..., None]
        weight = weight / weight.sum(0)
        mean = (seen * weight).sum(0)
        variance = ((seen - mean).square() * weight).sum(0)
        return torch.cat([mean, (variance + 1e-4).sqrt()], dim=-1)


@torch.no_grad()
def guess_shape(views: Views) -> SdfGrid:
    """The shape that was learned to be likely, on a coarse grid; to be cut by the visual hull."""
    distance, _ = _prior(views.rgba.device)([views])
    return SdfGrid(distance[0])


def save_prior(prior: ShapePrior, path: Path) -> None:
    """Write weights in half precision, as the package holds them.

    Raises:
        GtrError: when the file cannot be written.
    """
    write_atomic(path, save({name: value.half().contiguous() for name, value in prior.state_dict().items()}))


def load_prior(path: Path) -> ShapePrior:
    """Read weights; the network is frozen.

    Raises:
        GtrError: ``model_unavailable`` when the file is missing or is none of these.
    """
    prior = ShapePrior()
    try:
        prior.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"The shape prior {path} cannot be read.",
            "Install the package again, or make the file with gtr train-prior.",
        ) from error
    return prior.eval().requires_grad_(False)


@lru_cache(maxsize=2)
def _prior(device: torch.device) -> ShapePrior:
    return load_prior(WEIGHTS).to(device)


def _size_at_scale(views: Views) -> int:
    """Longer side of the pictures at which they show the origin with :data:`PIXELS_PER_UNIT`."""
    cameras = views.cameras
    scale = float((cameras.intrinsics[:, 0] / cameras.positions.norm(dim=-1).clamp(min=1e-6)).median())
    longer = max(cameras.height, cameras.width)
    return min(max(round(longer * PIXELS_PER_UNIT / scale), _SIZES[0]), _SIZES[1])


def _convolutions(inputs: int, outputs: int | None = None, *, stride: int = 1) -> nn.Sequential:
    """One convolution, or two when the number of channels after it is given."""
    layers: list[nn.Module] = [nn.Conv3d(inputs, outputs or inputs, 3, stride=stride, padding=1), nn.SiLU()]
    if outputs is not None:
        layers += [nn.Conv3d(outputs, outputs, 3, padding=1), nn.SiLU()]
    return nn.Sequential(*layers)
