"""The ten channels that the network is given."""

import numpy as np
import pytest
import torch
from PIL import Image

from gtr_core.geometry.cameras import camera_set, orbit
from gtr_core.model.conditioning import conditioning
from gtr_core.views import Views


def make_views(size=24, seed=0, cameras=None):
    cameras = orbit([30, 90], [20, -10], height=size, width=size) if cameras is None else cameras
    levels = torch.randint(
        0, 256, (len(cameras), size, size, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )
    return Views(levels.float() / 255, cameras)


def test_shape_and_order_of_the_channels():
    views = make_views()
    channels = conditioning(views, 24)
    assert channels.shape == (2, 10, 24, 24)
    assert channels.dtype == torch.float32
    direction, moment = channels[:, 3:6], channels[:, 6:9]
    assert torch.allclose(direction.norm(dim=1), torch.ones(2, 24, 24), atol=1e-6)
    assert torch.allclose(channels[:, 9], views.mask)
    eye = views.cameras.positions[:, :, None, None].expand_as(direction)
    assert torch.allclose(moment, torch.linalg.cross(direction, eye, dim=1), atol=1e-5)


def test_released_view_0_at_512_pixels():
    """Numbers of the reference: pose, focal length, and d x o (not o x d) of one ray."""
    cameras = camera_set("zero123plus", height=512, width=512)[[0]]
    assert cameras.intrinsics[0].tolist() == pytest.approx([955.405007, 955.405007, 256, 256], abs=1e-4)
    channels = conditioning(Views(torch.ones(1, 512, 512, 4), cameras), 512)[0]
    c2w = np.array(
        [
            [0.866025, 0.171010, -0.469846, 1.879385],
            [0, -0.939693, -0.342020, 1.368081],
            [-0.5, 0.296198, -0.813798, 3.255191],
        ]
    )
    row, column = 100, 400
    ray = c2w[:, :3] @ np.array([(column + 0.5 - 256) / 955.405007, (row + 0.5 - 256) / 955.405007, 1])
    ray /= np.linalg.norm(ray)
    assert channels[3:6, row, column].tolist() == pytest.approx(ray.tolist(), abs=2e-6)
    assert channels[6:9, row, column].tolist() == pytest.approx(np.cross(ray, c2w[:, 3]).tolist(), abs=1e-5)
    assert channels[:3].min() == 1
    assert channels[9].min() == 1


def test_whole_8_bit_values_pass_unchanged_over_an_opaque_mask():
    views = make_views()
    views.rgba[..., 3] = 1
    assert torch.equal(conditioning(views, 24)[:, :3], views.rgba[..., :3].permute(0, 3, 1, 2))


def test_colour_goes_over_white_and_is_cut_not_rounded():
    rgba = torch.ones(1, 8, 8, 4)
    rgba[..., :3] = torch.tensor([0.5, 0.999, 0.0])  # 127.5, 254.745, 0 of 255
    rgba[:, :, 4:, 3] = 0.25
    channels = conditioning(Views(rgba, orbit([0], [0], height=8, width=8)), 8)[0] * 255
    assert channels[:3, 0, 0].tolist() == pytest.approx([127, 254, 0], abs=1e-3)
    # 255 (0.25 c + 0.75) = 223.125, 254.94, 191.25
    assert channels[:3, 0, 7].tolist() == pytest.approx([223, 254, 191], abs=1e-3)
    assert channels[9, 0, 7].item() == pytest.approx(63, abs=1e-3)  # 63.75: soft and cut, not a threshold


def test_resizing_is_bicubic_on_8_bit_values():
    views = make_views(24)
    channels = conditioning(views, 40) * 255
    opaque = (views.composite() * 255).to(torch.uint8).numpy()
    masks = (views.mask * 255).to(torch.uint8).numpy()
    for view in range(2):
        for kind, same in ((Image.Resampling.BICUBIC, True), (Image.Resampling.BILINEAR, False)):
            color = torch.from_numpy(np.array(Image.fromarray(opaque[view]).resize((40, 40), kind))).float()
            mask = torch.from_numpy(np.array(Image.fromarray(masks[view]).resize((40, 40), kind))).float()
            assert torch.allclose(channels[view, :3].permute(1, 2, 0), color, atol=1e-3) is same
            assert torch.allclose(channels[view, 9], mask, atol=1e-3) is same


def test_rays_pass_through_the_pixels_of_the_resized_picture():
    views = make_views(24)
    same_view = Views(torch.ones(2, 40, 40, 4), views.cameras.resized(40, 40))
    assert torch.allclose(conditioning(views, 40)[:, 3:9], conditioning(same_view, 40)[:, 3:9], atol=1e-6)


def test_pictures_that_are_not_square_are_squeezed_together_with_their_rays():
    cameras = orbit([30], [20], height=20, width=30)
    direction = conditioning(Views(torch.ones(1, 20, 30, 4), cameras), 16)[0, 3:6].permute(1, 2, 0)
    pixels = cameras.project((cameras.positions[0] + 3 * direction).view(-1, 3))[0, :, :2].view(16, 16, 2)
    rows, columns = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(16) + 0.5, indexing="ij")
    expected = torch.stack([columns * 30 / 16, rows * 20 / 16], -1)
    assert torch.allclose(pixels, expected, atol=1e-4)


def test_given_views_stay_as_they_are():
    views = make_views()
    before = views.rgba.clone()
    conditioning(views, 16)
    assert torch.equal(views.rgba, before)
