"""One object of a data set: from its file to the files of a shard. Runs in any process."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import torch

from gtr_core.data.objects import ObjectFile, load_object
from gtr_core.data.render_dataset import render_views
from gtr_core.data.shards import encode_views
from gtr_core.data.training_cameras import CameraRange, sample_generator

ANYWHERE = CameraRange(elevations=(-90.0, 90.0), radii=(1.05, 1.4), standard=0.0, around=0.0)
"""Evenly over the whole sphere; one field of view and one distance per object. The radii are in those of the object, so
that its outline never leaves the picture."""


@dataclass(frozen=True)
class RenderSettings:
    """How the objects of a data set are drawn.

    Args:
        num_views: of every object (paper section 4.1: 32).
        size: side of the pictures, pixels.
        supersample: side of the square of colour samples per pixel.
        cameras: from where, with radii in units of the object's.
        seed: of the cameras.
    """

    num_views: int = 32
    size: int = 512
    supersample: int = 2
    cameras: CameraRange = ANYWHERE
    seed: int = 0

    def digest(self, file: ObjectFile) -> str:
        """16 hex digits that change with the settings and with size and date of the object's file.

        Raises:
            OSError: when the file is not there.
        """
        status = file.path.stat()
        about = [asdict(self), file.name, status.st_size, status.st_mtime_ns]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RenderTask:
    """An object to draw."""

    file: ObjectFile
    settings: RenderSettings
    digest: str


@dataclass(frozen=True)
class Rendered:
    """The views of an object.

    Args:
        files: of the shard, by the last part of their names.
        notes: what to know about the object, one sentence each.
    """

    files: dict[str, bytes]
    notes: tuple[str, ...] = ()


def render_object(task: RenderTask) -> Rendered:
    """Draw an object from cameras that its name and the seed choose.

    Raises:
        GtrError: when the object cannot be read, or a camera does not see it.
    """
    true_object = load_object(task.file)
    settings = task.settings
    number = int(hashlib.sha256(task.file.name.encode()).hexdigest()[:12], 16)
    generator = sample_generator(settings.seed, number)
    sizes = (settings.size, settings.size)
    radius = float(true_object.mesh.vertices.norm(dim=-1).max())
    low, high = settings.cameras.radii
    fitting = replace(settings.cameras, radii=(low * radius, high * radius))
    cameras, _ = fitting.draw(settings.num_views, 0, sizes, generator)
    with torch.no_grad():
        views = render_views(true_object.mesh, cameras, supersample=settings.supersample)
    return Rendered(encode_views(views, task.file.name), notes=true_object.notes)
