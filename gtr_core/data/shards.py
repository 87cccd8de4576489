"""Rendered views of many objects in a few large files: tar shards in the order of webdataset.

The files of one object follow each other and share the part of their names before the first dot:
``KEY.views.json`` with names and cameras, then for every view ``KEY.rgba_00.png`` (8 bits, straight alpha),
``KEY.depth_00.png`` (16 bits, camera z = value x ``depth_step``, 0 = nothing) and ``KEY.normal_00.png`` (8 bits, world
normal n as 127 n + 128, 0 = nothing). Beside ``NAME.tar`` lies ``NAME.json``, which says where in it each file begins,
so that one object can be read without the others.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import Cameras
from gtr_core.io.atomic import unwritable, write_atomic
from gtr_core.io.images import encode_picture, encode_png
from gtr_core.views import Views

DEPTH_LEVELS = 65535
NORMAL_SCALE, NORMAL_ZERO = 127, 128


@dataclass(frozen=True)
class ShardObject:
    """One object of a shard.

    Args:
        key: its name in the shard, without a dot.
        name: of the object.
        digest: of the object's files and of the way it was rendered.
        files: last part of a file's name -> first byte and size in the tar file.
    """

    key: str
    name: str
    digest: str
    files: dict[str, tuple[int, int]]


def encode_views(views: Views, name: str) -> dict[str, bytes]:
    """The files of one object, by the last part of their names.

    Raises:
        ValueError: for views without depth or normals.
    """
    if views.depth is None or views.normal is None:
        raise ValueError("training views have depth and normals")
    step = float(views.depth.max()) / DEPTH_LEVELS
    cameras = views.cameras
    about = {"name": name, "num_views": len(views), "height": cameras.height, "width": cameras.width,
             "depth_step": step, "c2w": cameras.c2w.tolist(), "intrinsics": cameras.intrinsics.tolist()}  # fmt: skip
    files = {"views.json": json.dumps(about).encode()}
    for index in range(len(views)):
        depth = (views.depth[index] / step).round().to(torch.int32).numpy().astype(np.uint16)
        files[f"rgba_{index:02d}.png"] = encode_png(views.rgba[index])
        files[f"depth_{index:02d}.png"] = encode_picture(Image.fromarray(depth))
        files[f"normal_{index:02d}.png"] = encode_picture(Image.fromarray(_normal_bytes(views.normal[index]).numpy()))
    return files


def decode_views(files: dict[str, bytes], indices: Sequence[int] | None = None) -> Views:
    """The views that :func:`encode_views` wrote: to 1/510 in colour, half a step in depth, 0.5 degrees.

    Args:
        files: ``views.json`` and the pictures of the views that are asked for.
        indices: which views; None reads all.

    Raises:
        GtrError: ``bad_input`` when a file is missing or damaged.
    """
    try:
        about = json.loads(files["views.json"])
        chosen = list(range(about["num_views"])) if indices is None else list(indices)
        rgba, depth, normal = (
            torch.stack([_picture(files[f"{kind}_{index:02d}.png"]) for index in chosen])
            for kind in ("rgba", "depth", "normal")
        )
        cameras = Cameras(
            torch.tensor(about["c2w"], dtype=torch.float32)[chosen],
            torch.tensor(about["intrinsics"], dtype=torch.float32)[chosen],
            about["height"],
            about["width"],
        )
        return Views(rgba / 255, cameras, depth * about["depth_step"], _unit_normals(normal))
    except (KeyError, IndexError, TypeError, ValueError, OSError, SyntaxError) as error:
        raise GtrError(ErrorCode.BAD_INPUT, "These are no views of an object.", "Render the data set again.") from error


def write_shard(path: Path, objects: Iterable[tuple[str, str, str, dict[str, bytes]]]) -> list[ShardObject]:
    """Write a shard and its index, one object at a time; the shard is not there before it is whole.

    Args:
        path: ``NAME.tar``.
        objects: key, name, digest and files of each object.

    Raises:
        GtrError: ``bad_input`` when the folder cannot be written, ``disk_full``.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    written = []
    try:
        with part.open("wb") as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for key, name, digest, files in objects:
                for suffix, data in files.items():
                    entry = tarfile.TarInfo(f"{key}.{suffix}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
                written.append((key, name, digest, list(files)))
        with part.open("rb") as whole:
            places = _places(whole)
        listed = [
            ShardObject(key, name, digest, {suffix: places[f"{key}.{suffix}"] for suffix in suffixes})
            for key, name, digest, suffixes in written
        ]
        # The index comes first: a shard without one is read as a foreign one, whose digests are not known.
        write_atomic(index_path(path), (json.dumps({"objects": [asdict(entry) for entry in listed]}) + "\n").encode())
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)
    return listed


def read_index(path: Path) -> list[ShardObject]:
    """What a shard holds; from its index, or from the tar file itself where the index is missing.

    Raises:
        GtrError: ``bad_input`` when neither can be read.
    """
    try:
        if not index_path(path).exists():
            return _index_of(path)
        entries = json.loads(index_path(path).read_bytes())["objects"]
        return [_listed(entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"{path.name} is no shard, or it is damaged.", "Render it again."
        ) from error


def read_object(path: Path, entry: ShardObject, indices: Sequence[int] | None = None) -> Views:
    """Views of one object of a shard.

    Args:
        path: ``NAME.tar``.
        entry: the object, from :func:`read_index`.
        indices: which views; None reads all.

    Raises:
        GtrError: ``bad_input`` when the shard is damaged.
    """
    wanted = None if indices is None else {f"{index:02d}" for index in indices}
    files = {}
    try:
        with path.open("rb") as stream:
            for suffix, (begin, size) in entry.files.items():
                if wanted is None or suffix == "views.json" or suffix[-6:-4] in wanted:
                    stream.seek(begin)
                    files[suffix] = stream.read(size)
    except OSError as error:
        raise GtrError(ErrorCode.BAD_INPUT, f"{path} cannot be read: {error.strerror}.", "Render it again.") from error
    return decode_views(files, indices)


def index_path(path: Path) -> Path:
    """Where the index of a shard lies."""
    return path.with_suffix(".json")


def _places(stream: BinaryIO) -> dict[str, tuple[int, int]]:
    stream.seek(0)
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        return {entry.name: (entry.offset_data, entry.size) for entry in tar if entry.isfile()}


def _index_of(path: Path) -> list[ShardObject]:
    with path.open("rb") as stream:
        places = _places(stream)
        keys = list(dict.fromkeys(name.split(".", 1)[0] for name in places))
        listed = []
        for key in keys:
            files = {name.split(".", 1)[1]: place for name, place in places.items() if name.split(".", 1)[0] == key}
            begin, size = files["views.json"]
            stream.seek(begin)
            listed.append(ShardObject(key, str(json.loads(stream.read(size))["name"]), "", files))
    return listed


def _listed(entry: dict[str, Any]) -> ShardObject:
    files = {str(suffix): (int(begin), int(size)) for suffix, (begin, size) in entry["files"].items()}
    return ShardObject(str(entry["key"]), str(entry["name"]), str(entry["digest"]), files)


def _picture(data: bytes) -> Tensor:
    return torch.from_numpy(np.array(Image.open(io.BytesIO(data), formats=["PNG"])).astype(np.float32))


def _normal_bytes(normal: Tensor) -> Tensor:
    there = normal.abs().amax(-1, keepdim=True) > 0
    return torch.where(there, normal * NORMAL_SCALE + NORMAL_ZERO, 0).round().to(torch.uint8)


def _unit_normals(values: Tensor) -> Tensor:
    there = values.amax(-1, keepdim=True) > 0
    return torch.where(there, torch.nn.functional.normalize(values - NORMAL_ZERO, dim=-1), 0)
