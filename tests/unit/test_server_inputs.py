"""From requests and blobs to views, and from meshes to files."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from server_under_test import read_npz
from sphere_request import FOCAL, INTRINSICS, SIDES, SIZE, npy, png, pose, sphere_view

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.mesh import Mesh
from gtr_core.progress import no_progress
from gtr_server import results
from gtr_server.blobs import BlobStore
from gtr_server.inputs import as_background, camera_to_world, read_views


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


def stored(blobs: BlobStore, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    blobs.put(digest, io.BytesIO(data))
    return digest


def request_of(blobs: BlobStore, *, scale: dict[int, int] | None = None) -> dict[str, Any]:
    """The worker's request for the sphere; the pictures listed in ``scale`` are enlarged, with their cameras."""
    images = []
    for index, side in enumerate(SIDES):
        factor = (scale or {}).get(index, 1)
        picture, depth, normal = (
            np.kron(a, np.ones((factor, factor, *[1] * (a.ndim - 2)))) for a in sphere_view(pose(*side))
        )
        k = [[x * factor for x in row] for row in INTRINSICS[:2]] + [[0, 0, 1]]
        images.append(
            {
                "blob": stored(blobs, png(picture)),
                "camera": {"K": k, "world_to_camera": pose(*side).tolist(), "convention": "opencv"},
                "mask_blob": None,
                "depth_blob": stored(blobs, npy(depth)),
                "normal_blob": stored(blobs, npy(normal)),
            }
        )
    background = {"mode": "auto", "color": None, "tolerance": None}
    return {"images": images, "options": {"background": background}}


def test_views_are_those_of_the_request(blobs: BlobStore) -> None:
    views = read_views(request_of(blobs), blobs.root, no_progress)
    assert views.rgba.shape == (6, SIZE, SIZE, 4)
    assert views.depth is not None
    assert views.normal is not None
    for index, side in enumerate(SIDES):
        picture, depth, normal = sphere_view(pose(*side))
        assert torch.equal((views.rgba[index] * 255).round().byte(), torch.from_numpy(picture))
        assert torch.equal(views.depth[index], torch.from_numpy(depth.astype(np.float32)))
        assert torch.equal(views.normal[index], torch.from_numpy(normal.astype(np.float32)))
        product = views.cameras.c2w[index].double() @ torch.from_numpy(pose(*side))
        assert torch.allclose(product, torch.eye(4, dtype=torch.double), atol=1e-6)
        assert views.cameras.intrinsics[index].tolist() == pytest.approx([FOCAL, FOCAL, SIZE / 2, SIZE / 2])


def test_pictures_of_several_sizes_meet_at_the_most_frequent(blobs: BlobStore) -> None:
    views = read_views(request_of(blobs, scale={2: 3}), blobs.root, no_progress)
    assert (views.cameras.height, views.cameras.width) == (SIZE, SIZE)
    assert views.cameras.intrinsics[2].tolist() == pytest.approx([FOCAL, FOCAL, SIZE / 2, SIZE / 2])
    expected = torch.from_numpy(sphere_view(pose(*SIDES[2]))[0]).float() / 255
    assert torch.equal(views.rgba[2, ..., 3] > 0.5, expected[..., 3] > 0.5)


def test_pose_is_inverted_in_double_precision() -> None:
    far = pose((0.6, 0.0, 0.8), (0.0, 1.0, 0.0))
    far[:3, 3] += (1000.0, -2000.0, 3000.0)
    assert np.abs(camera_to_world(far.tolist()).numpy() - np.linalg.inv(far)).max() < 1e-3


def test_job_has_a_limit_of_pixels(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtr_server.inputs.MAX_JOB_PIXELS", 3.5 * SIZE * SIZE)
    with pytest.raises(GtrError, match="first 4 images") as caught:
        read_views(request_of(blobs), blobs.root, no_progress)
    assert (caught.value.code, caught.value.view) == (ErrorCode.IMAGE_TOO_LARGE, 3)


def test_background_options_reach_the_core() -> None:
    assert as_background({"mode": "auto", "color": None, "tolerance": None}).tolerance == 0.1
    given = as_background({"mode": "key", "color": [0.0, 1.0, 0.5], "tolerance": 0.25})
    assert (given.mode, given.color, given.tolerance) == ("key", (0.0, 1.0, 0.5), 0.25)


def test_mesh_becomes_every_file(tmp_path: Path) -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    mesh = Mesh(vertices, torch.tensor([[0, 1, 2]]))
    results.write_mesh_npz(mesh, tmp_path / "grey.npz")
    assert np.unique(read_npz((tmp_path / "grey.npz").read_bytes())["colors"]).tolist() == [128]
    colored = mesh.with_colors(torch.tensor([[200 / 255, 100 / 255, 50 / 255], [-1.0, 2.0, 0.0], [0.0, 0.5, 1.0]]))
    results.write_colored_mesh(colored, tmp_path)
    found = read_npz((tmp_path / "mesh.npz").read_bytes())
    assert found["colors"].tolist() == [[200, 100, 50], [0, 255, 0], [0, 128, 255]]
    assert np.array_equal(found["vertices"], vertices.numpy())
    entries = {entry["name"]: entry for entry in results.collect(tmp_path)}
    assert set(entries) == {"grey.npz", "mesh.npz", "colors.npz", "mesh.glb", "mesh.ply", "mesh.obj"}
    for name, entry in entries.items():
        data = (tmp_path / name).read_bytes()
        assert (entry["sha256"], entry["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))


def test_mask_is_grey_of_eight_bits(tmp_path: Path) -> None:
    results.write_mask_png(torch.tensor([[0.0, 0.5, 1.0]]), tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.mode == "L"
        assert np.asarray(mask).tolist() == [[0, 128, 255]]
