"""Requests to try the server with: a sphere seen from six sides, made without the core."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import numpy as np
from PIL import Image
from server_under_test import Client

SIZE, RADIUS, DISTANCE = 64, 0.6, 4.0


def npy(values: Any, dtype: Any = np.float32) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(values, dtype=dtype))
    return stream.getvalue()


def png(values: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def pose(backward: tuple[float, float, float], up: tuple[float, float, float]) -> np.ndarray:
    """world_to_camera of an OpenCV camera that stands at ``backward`` and looks at the origin."""
    z = -np.asarray(backward, dtype=float)
    x = np.cross(z, up)
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = rotation @ (DISTANCE * z)
    return matrix


SIDES = [
    ((0, 0, 1), (0, 1, 0)), ((1, 0, 0), (0, 1, 0)), ((0, 0, -1), (0, 1, 0)),
    ((-1, 0, 0), (0, 1, 0)), ((0, 1, 0), (0, 0, -1)), ((0, -1, 0), (0, 0, 1)),
]  # fmt: skip
FOCAL = SIZE / 2 / math.tan(math.radians(15))
INTRINSICS = [[FOCAL, 0.0, SIZE / 2], [0.0, FOCAL, SIZE / 2], [0.0, 0.0, 1.0]]


def sphere_view(world_to_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H,W,4) uint8 picture, (H,W) camera z, (H,W,3) world normals; the colour is the normal."""
    v, u = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    rays = np.stack([(u - SIZE / 2) / FOCAL, (v - SIZE / 2) / FOCAL, np.ones_like(u)], -1) @ world_to_camera[:3, :3]
    origin = -world_to_camera[:3, :3].T @ world_to_camera[:3, 3]
    a, b, c = (rays * rays).sum(-1), rays @ origin, origin @ origin - RADIUS**2
    inside = b * b - a * c
    hit = inside > 0
    depth = np.where(hit, (-b - np.sqrt(np.maximum(inside, 0))) / a, 0)
    normal = np.where(hit[..., None], (origin + depth[..., None] * rays) / RADIUS, 0)
    rgba = np.concatenate([np.where(hit[..., None], normal * 0.5 + 0.5, 0), hit[..., None]], -1)
    return (rgba * 255).round().astype(np.uint8), depth, normal


def cameras() -> list[dict[str, Any]]:
    """The six cameras as the API wants them."""
    return [
        {"K": copy.deepcopy(INTRINSICS), "world_to_camera": pose(*side).tolist(), "convention": "opencv"}
        for side in SIDES
    ]


def sphere_request(client: Client, *, depth: bool = True, grid_resolution: int = 32) -> dict[str, Any]:
    """Upload the views of the sphere; returns the body of POST /jobs."""
    images = []
    for side, camera in zip(SIDES, cameras(), strict=True):
        picture, z, normal = sphere_view(pose(*side))
        image = {"blob": client.put_blob(png(picture)), "camera": camera}
        if depth:
            image |= {"depth_blob": client.put_blob(npy(z)), "normal_blob": client.put_blob(npy(normal))}
        images.append(image)
    return {"model": "fit", "images": images, "options": {"grid_resolution": grid_resolution, "seed": 1}}


def plain_request(client: Client) -> dict[str, Any]:
    """A valid request with one tiny blob for all images: for tests in which nothing runs."""
    blob = client.put_blob(b"not decoded by the front")
    return {"model": "fit", "images": [{"blob": blob, "camera": camera} for camera in cameras()]}
