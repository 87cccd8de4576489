"""Kept captures: what the add-on writes is what the core and the add-on read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_addon import camera_sets
from blender_addon.errors import ClientError
from blender_addon.formats import camera_files, view_folder
from blender_addon.formats.picture_files import encode_png
from blender_addon.values import CapturedView
from gtr_core.io.views_files import read_views

HEIGHT, WIDTH = 36, 52


def npy(array: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def array(data: bytes) -> NDArray[np.float32]:
    loaded: NDArray[np.float32] = np.load(io.BytesIO(data))
    return loaded


@pytest.fixture
def views() -> list[CapturedView]:
    """Fourteen pictures that are not square, with a principal point beside the centre."""
    rng = np.random.default_rng(0)
    found = []
    for index, camera in enumerate(camera_sets.cameras(14, HEIGHT, WIDTH)):
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
        pixels[..., 3] = 0
        pixels[4:-4, 4:-4, 3] = 255
        depth = (rng.random((HEIGHT, WIDTH)) + 3).astype(np.float32) * (pixels[..., 3] > 0)
        normal = rng.normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        normal *= pixels[..., 3:] > 0
        K = [[50.0 + index, 0.0, 19.25], [0.0, 60.0, 13.5], [0.0, 0.0, 1.0]]
        found.append(CapturedView(camera.name, encode_png(pixels), K, camera.world_to_camera, npy(depth), npy(normal)))
    return found


def test_the_core_reads_the_same_views(views: list[CapturedView], tmp_path: Path) -> None:
    view_folder.write_views(views, tmp_path / "a" / "b")
    read = read_views(tmp_path / "a" / "b")
    assert (len(read), read.cameras.width, read.cameras.height) == (14, WIDTH, HEIGHT)
    assert read.depth is not None
    assert read.normal is not None
    for index, view in enumerate(views):
        w2c = np.linalg.inv(read.cameras.c2w[index].double().numpy())
        assert np.abs(w2c - view.world_to_camera).max() <= 2e-6
        K = np.array(view.K)
        np.testing.assert_allclose(read.cameras.intrinsics[index], [K[0, 0], K[1, 1], K[0, 2], K[1, 2]], rtol=1e-6)
        assert view.depth_npy is not None
        assert view.normal_npy is not None
        np.testing.assert_array_equal(read.depth[index], array(view.depth_npy))
        np.testing.assert_allclose(read.normal[index], array(view.normal_npy), atol=1e-6)


def test_the_add_on_reads_the_same_views(views: list[CapturedView], tmp_path: Path) -> None:
    view_folder.write_views(views, tmp_path)
    for index, (camera, view) in enumerate(zip(camera_files.read_cameras(tmp_path), views, strict=True)):
        assert camera.picture == tmp_path / f"view_{index:02d}.png"
        assert camera.picture.read_bytes() == view.png
        assert np.abs(np.subtract(camera.world_to_camera, view.world_to_camera)).max() < 1e-12
        assert camera.intrinsics_for(WIDTH, HEIGHT) == view.K
        assert (camera.depth_npy(), camera.normal_npy()) == (view.depth_npy, view.normal_npy)


def test_views_without_depth_name_none(views: list[CapturedView], tmp_path: Path) -> None:
    for view in views:
        view.depth_npy = view.normal_npy = None
    view_folder.write_views(views, tmp_path)
    assert all(camera.depth is camera.normal is None for camera in camera_files.read_cameras(tmp_path))
    assert not list(tmp_path.glob("*.npy"))


def test_a_folder_that_cannot_be_made_is_said(views: list[CapturedView], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ClientError) as caught:
        view_folder.write_views(views, tmp_path / "file" / "views")
    assert caught.value.code == "folder_denied"
