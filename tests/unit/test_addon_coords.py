"""Axes and camera sets of the add-on agree with the core's."""

import math

import numpy as np
import pytest

from blender_addon import camera_sets, coords
from gtr_core.geometry import cameras as core


def test_axes_both_ways() -> None:
    assert coords.gtr_from_blender((1, 2, 3)) == (1, 3, -2)
    assert coords.blender_from_gtr((1, 2, 3)) == (1, -3, 2)
    points = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    there = coords.gtr_from_blender(points)
    assert there.dtype == np.float32
    assert there.flags.c_contiguous
    np.testing.assert_array_equal(coords.blender_from_gtr(there), points)
    np.testing.assert_array_equal(there[2, 3], coords.gtr_from_blender(points[2, 3].tolist()))
    assert np.linalg.det(coords.gtr_from_blender(np.eye(3))) == 1.0


def test_up_and_front() -> None:
    assert coords.blender_from_gtr((0, 1, 0)) == (0, 0, 1)
    assert coords.blender_from_gtr((0, 0, 1)) == (0, -1, 0), "azimuth 0 is Blender's Front view, on -Y"


def test_sets_are_the_cores() -> None:
    assert camera_sets.CAMERA_SETS == core.CAMERA_SETS


@pytest.mark.parametrize("name", core.CAMERA_SETS)
def test_named_cameras_are_the_cores(name: str) -> None:
    wanted = core.camera_set(name, height=300, width=512)
    found = camera_sets.named_cameras(name, 300, 512)
    w2c = np.array([camera.world_to_camera for camera in found])
    assert np.abs(w2c - wanted.w2c.numpy()).max() < 2e-6
    k = np.array([camera.K for camera in found])
    intrinsics = np.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], axis=-1)
    np.testing.assert_allclose(intrinsics, wanted.intrinsics.numpy(), rtol=1e-6)
    assert [camera.name for camera in found] == [name for name, _, _ in core.CAMERA_SETS[name]]


def test_the_sets_that_have_a_name() -> None:
    assert camera_sets.places(4) == core.CAMERA_SETS["orthogonal"]
    assert camera_sets.places(6) == core.CAMERA_SETS["sphere6"]
    assert camera_sets.places(6, learned=True) == core.CAMERA_SETS["zero123plus"]
    assert camera_sets.places(14) == core.CAMERA_SETS["sphere14"]


@pytest.mark.parametrize("views", range(4, 33))
def test_any_number_of_views_is_well_spread(views: int) -> None:
    found = camera_sets.cameras(views, 64, 64)
    assert len({camera.name for camera in found}) == len(found) == views
    w2c = np.array([camera.world_to_camera for camera in found])
    rotation = w2c[:, :3, :3]
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (views, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-12)
    positions = -(rotation.transpose(0, 2, 1) @ w2c[:, :3, 3:])[..., 0]
    np.testing.assert_allclose(np.linalg.norm(positions, axis=-1), 4.0)
    # The best possible smallest angle tends to 3.81 / sqrt(n); sets with fixed poles come near it.
    cosines = positions @ positions.T / 16 - 3 * np.eye(views)
    assert math.acos(cosines.max()) > 0.84 * 3.81 / math.sqrt(views) or views == 4
    if views >= 6:
        assert np.abs(positions[:, 1]).round(6).tolist().count(4.0) == 2, "Top and Bottom"
    assert sum(camera.name == "Front" for camera in found) <= 1


@pytest.mark.parametrize("views", [3, 33])
def test_other_numbers_are_refused(views: int) -> None:
    with pytest.raises(ValueError, match="4 to 32"):
        camera_sets.cameras(views, 64, 64)
