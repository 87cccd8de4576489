"""The fit makes all it needs where the views are: whatever forgets to say so lands on a device without numbers here."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from gtr_core.fit.depth_fusion import fuse_depth
from gtr_core.fit.selection import reconstruct_from_masks
from gtr_core.fit.volume_fit import FitConfig, FitStage
from gtr_core.geometry.cameras import camera_set
from gtr_core.views import Views

SIZE, RADIUS = 48, 0.6
BRIEF = FitConfig(stages=(FitStage(24, 2, 32, 0.05), FitStage(32, 2, 32, 0.03)))


def ball(count: str) -> Views:
    """Coloured masks of a ball, with its depth."""
    cameras = camera_set(count, height=SIZE, width=SIZE)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    focal, centre = cameras.intrinsics[0, 0], SIZE / 2
    x, y = (columns + 0.5 - centre) / focal, (rows + 0.5 - centre) / focal
    length = (x**2 + y**2 + 1).sqrt()
    distance = float(cameras.positions[0].norm())
    along = distance / length
    room = RADIUS**2 - (distance**2 - along**2)
    depth = torch.where(room > 0, (along - room.clamp(min=0).sqrt()) / length, 0.0)
    color = torch.stack([x, y, x * y], -1) + 0.5
    rgba = torch.cat([color, (room > 0).float()[..., None]], -1)
    return Views(rgba.expand(len(cameras), -1, -1, -1), cameras, depth=depth.expand(len(cameras), -1, -1))


@contextmanager
def nowhere() -> Iterator[None]:
    """Tensors that are made without naming a device have no numbers."""
    with torch.device("meta"):
        yield


@pytest.fixture(scope="module")
def views() -> Views:
    return ball("zero123plus")


def test_masks(views: Views) -> None:
    expected, _ = reconstruct_from_masks(views, resolution=48, config=BRIEF)  # tables are made, and kept, here
    with nowhere():
        grid, _ = reconstruct_from_masks(views, resolution=48, config=BRIEF)
    assert torch.equal(grid.values, expected.values)


def test_depth(views: Views) -> None:
    assert views.depth is not None
    expected = fuse_depth(views.cameras, views.depth, None, views.mask, 48)
    with nowhere():
        grid = fuse_depth(views.cameras, views.depth, None, views.mask, 48)
    assert torch.equal(grid.values, expected.values)
