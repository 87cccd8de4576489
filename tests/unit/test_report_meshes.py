"""Meshes packed for the page: what comes out is what went in, to the promised precision, and it is small."""

import gzip
import struct

import numpy as np
import pytest
import torch
import trimesh

from gtr_core.evaluation.report_meshes import pack_mesh
from gtr_core.geometry.mesh import Mesh


def unpack(packed: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Number by number, as the description of the layout says: positions, colours, faces, step."""
    raw = gzip.decompress(packed)
    count, faces, *corner, step = struct.unpack_from("<2I4f", raw)
    low, high = 24, 24 + 3 * count
    hues, backs = high + 3 * count, high + 6 * count
    positions, colors = np.zeros((count, 3)), np.zeros((count, 3), np.int64)
    for axis in range(3):
        place = hue = 0
        for k in range(count):
            at = axis * count + k
            zigzag = raw[low + at] + 256 * raw[high + at]
            place += zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2
            hue = (hue + raw[hues + at]) % 256
            positions[k, axis] = corner[axis] + step * place
            colors[k, axis] = hue
    corners, newest = [], 0
    for k in range(3 * faces):
        back = sum(raw[backs + plane * 3 * faces + k] << (8 * plane) for plane in range(3))
        corners.append(newest - back)
        newest += back == 0
    assert len(raw) == backs + 9 * faces
    return positions, colors, np.array(corners).reshape(-1, 3), step


def sphere(subdivisions: int = 2) -> Mesh:
    body = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.9)
    vertices = torch.tensor(np.asarray(body.vertices), dtype=torch.float32)
    return Mesh(vertices, torch.tensor(np.asarray(body.faces)), (vertices * 0.5 + 0.5).clamp(0, 1))


def by_content(values: np.ndarray) -> np.ndarray:
    """Faces in an order that depends on their corners only, each starting at its smallest corner."""
    turned = []
    for face in values.round(6).tolist():
        first = face.index(min(face))
        turned.append(face[first:] + face[:first])
    return np.array(sorted(turned))


def test_the_same_triangles_with_the_same_colors() -> None:
    mesh = sphere()
    positions, colors, faces, step = unpack(pack_mesh(mesh))
    assert len(positions) == len(mesh.vertices)
    assert step == pytest.approx(1.8 / (2**13 - 1), rel=1e-5)
    low = mesh.vertices.double().numpy().min(0)
    rounded = low.astype(np.float32) + step * np.round((mesh.vertices.double().numpy() - low) / step)
    both = np.concatenate([rounded, np.round(mesh.colors.numpy() * 255)], axis=1)
    np.testing.assert_allclose(
        by_content(np.concatenate([positions, colors], axis=1)[faces]), by_content(both[mesh.faces.numpy()]), atol=2e-6
    )


def test_a_mesh_without_colors_is_grey_and_unused_vertices_are_dropped() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [9, 9, 9], [1, 0, 0], [0, 1, 0]])
    positions, colors, faces, _ = unpack(pack_mesh(Mesh(vertices, torch.tensor([[0, 2, 3]]))))
    assert positions.shape == (3, 3)
    assert np.unique(colors).tolist() == [204]
    assert sorted(faces.ravel().tolist()) == [0, 1, 2]


@pytest.mark.parametrize("faces", [[[0, 0, 0]], [[0, 1, 1], [0, 1, 2]]])
def test_degenerate_faces_do_no_harm(faces) -> None:
    mesh = Mesh(torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 1, 0]]), torch.tensor(faces))
    _, _, found, _ = unpack(pack_mesh(mesh))
    assert len(found) == len(faces)


def test_the_same_bytes_every_time_and_few_of_them() -> None:
    mesh = sphere(subdivisions=4)
    packed = pack_mesh(mesh)
    assert packed == pack_mesh(mesh)
    # 5120 faces; as a GLB file they take 133 kB.
    assert len(packed) < 25_000
