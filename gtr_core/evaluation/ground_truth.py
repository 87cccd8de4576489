"""Views of the true objects, rendered once and kept."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gtr_core.data.objects import TrueObject
from gtr_core.data.render_dataset import render_views
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.protocol import Protocol
from gtr_core.geometry.cameras import Cameras
from gtr_core.io.atomic import making_folder, write_atomic
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views

_FORMAT = "1"
"""Changes whenever the same object would be rendered or kept in another way, so that older files are not used."""
_NORMAL_STEPS = 32767


@dataclass(frozen=True)
class GroundTruth:
    """An object and its true views.

    Args:
        object: what is seen.
        inputs: the views a system is given, with depth and normals only where the protocol gives them.
        novel: the views on which pictures are compared, with depth and normals.
    """

    object: TrueObject
    inputs: Views
    novel: Views


def ground_truth(
    true_object: TrueObject, protocol: Protocol, cache: Path, progress: Progress = no_progress
) -> GroundTruth:
    """Views of an object from the cache; rendered when they are not there, or when their file is damaged.

    A file of the cache is named after the contents of the object and everything that the pictures depend on, so any
    number of protocols and of processes may share a cache: whoever is last writes the same again. Colours have 8 bits
    as a picture has them, depth is exact, normals have 16 bits. What is returned is what the file holds, so the first
    run and the next ones get the same to the bit.

    Args:
        true_object: the object.
        protocol: cameras, sizes and samples.
        cache: folder for the views; made when it is not there.
        progress: stage "render".

    Raises:
        GtrError: ``bad_input`` when a camera does not see the object, or the cache cannot be written; ``disk_full``.
    """
    making_folder(cache)
    inputs = _views(true_object, protocol.input_camera_set, protocol.supersample, cache, progress)
    novel = _views(true_object, protocol.novel_cameras, protocol.supersample, cache, progress)
    if not protocol.with_depth:
        inputs = replace(inputs, depth=None, normal=None)
    return GroundTruth(true_object, inputs, novel)


def _views(true_object: TrueObject, cameras: Cameras, supersample: int, cache: Path, progress: Progress) -> Views:
    path = cache / f"{true_object.digest}-{_camera_digest(cameras, supersample)}.npz"
    kept = _read(path, cameras)
    if kept is None:
        data = _encoded(_rendered(true_object, cameras, supersample, progress))
        write_atomic(path, data)
        kept = _decoded(data, cameras)
    return kept


def _rendered(true_object: TrueObject, cameras: Cameras, supersample: int, progress: Progress) -> Views:
    try:
        return render_views(true_object.mesh, cameras, supersample=supersample, progress=progress)
    except GtrError as error:
        if error.code is not ErrorCode.EMPTY_MASK:
            raise
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"{true_object.name} cannot be seen by every camera: it is as thin as a sheet of paper and seen edge-on.",
        ) from error


def _camera_digest(cameras: Cameras, supersample: int) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {cameras.height} {cameras.width} {supersample}".encode())
    for values in (cameras.c2w, cameras.intrinsics):
        digest.update(np.asarray(values.cpu(), dtype="<f4").round(5).tobytes())
    return digest.hexdigest()[:16]


def _encoded(views: Views) -> bytes:
    assert views.depth is not None
    assert views.normal is not None
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        rgba=np.asarray((views.rgba * 255).round().to(torch.uint8)),
        depth=np.asarray(views.depth),
        normal=np.asarray((views.normal * _NORMAL_STEPS).round().to(torch.int16)),
    )
    return stream.getvalue()


def _read(path: Path, cameras: Cameras) -> Views | None:
    """The views of a file; None when it is not there or not whole."""
    try:
        return _decoded(path.read_bytes(), cameras)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, GtrError):
        return None


def _decoded(data: bytes, cameras: Cameras) -> Views:
    size = (len(cameras), cameras.height, cameras.width)
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        rgba = _array(stored["rgba"], np.uint8, (*size, 4))
        depth = _array(stored["depth"], np.float32, size)
        normal = _array(stored["normal"], np.int16, (*size, 3))
    return Views(
        torch.from_numpy(rgba).float() / 255,
        cameras,
        torch.from_numpy(depth),
        torch.nn.functional.normalize(torch.from_numpy(normal).float(), dim=-1),
    )


def _array(array: NDArray[Any], dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{array.dtype} {array.shape} where {dtype} {shape} was kept")
    return array
