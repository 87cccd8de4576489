"""What the requests look like on the wire. No bpy."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from ..packages import numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..values import Background, CapturedView, RefineOptions
    from .requests import Reconstruct


def blobs_of(view: CapturedView) -> list[bytes]:
    """The files of a view, in the order in which the body names them."""
    return [blob for blob in (view.png, view.mask_png, view.depth_npy, view.normal_npy) if blob is not None]


def reconstruct_body(task: Reconstruct, digests: list[str]) -> dict[str, Any]:
    """Body of POST /jobs.

    Args:
        task: views and options.
        digests: of the blobs of all views, in order.
    """
    rest = iter(digests)
    images = []
    for view in task.views:
        camera = {"K": view.K, "world_to_camera": view.world_to_camera, "convention": "opencv"}
        image: dict[str, Any] = {"blob": next(rest), "camera": camera}
        for name, blob in (
            ("mask_blob", view.mask_png), ("depth_blob", view.depth_npy), ("normal_blob", view.normal_npy)
        ):  # fmt: skip
            if blob is not None:
                image[name] = next(rest)
        images.append(image)
    options = task.options
    return {
        "model": options.model,
        "images": images,
        "options": {
            "grid_resolution": options.grid_resolution,
            "face_limit": options.face_limit,
            "seed": options.seed,
            "background": background_body(options.background),
        },
    }


def refine_body(options: RefineOptions) -> dict[str, Any]:
    """Body of POST /jobs/{id}/refine."""
    body: dict[str, Any] = {"steps": options.steps, "strength": options.strength, "seed": options.seed}
    return {**body, "views": list(options.views)} if options.views is not None else body


def background_body(background: Background) -> dict[str, Any]:
    """How images are told from their background, as the server wants it."""
    body: dict[str, Any] = {"mode": background.mode}
    if background.color is not None:
        body["color"] = list(background.color)
    if background.tolerance is not None:
        body["tolerance"] = background.tolerance
    return body


def npy_bytes(points: NDArray[Any]) -> bytes:
    """Points (N,3) as a .npy file of float32."""
    np = numpy()
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(points, dtype="<f4"), allow_pickle=False)
    return file.getvalue()
