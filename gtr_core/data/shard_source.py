"""Training samples from shards of rendered views, see :mod:`gtr_core.data.shards`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from gtr_core.data.dataset import Batch, BatchRequest, PosedPictures, join
from gtr_core.data.shards import ShardObject, read_index, read_object
from gtr_core.data.training_cameras import sample_generator
from gtr_core.data.view_pool import choose_views, cropped, resized
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.views import Views

Place = tuple[Path, ShardObject]
_HELD_OUT = 20
"""One object in so many only validates."""


class ShardSource:
    """Implements :class:`gtr_core.data.dataset.TrainingSource` for a folder of shards.

    The samples pass through all objects in turn, in another order each time. Only the views that a sample needs are
    read. One object in twenty, the last ones, is kept for validation. Distances and colours in space are not known.

    Args:
        folder: with ``*.tar``; of objects with one name the one in the last of them counts.
        objects: use the first so many objects only; 0 uses all.

    Raises:
        GtrError: ``bad_input`` when there is no shard, no object or a damaged shard.
    """

    def __init__(self, folder: Path, *, objects: int = 0) -> None:
        self._folder = folder
        by_name = {entry.name: (path, entry) for path in sorted(folder.glob("*.tar")) for entry in read_index(path)}
        listed = list(by_name.values())[: objects or None]
        if not listed:
            raise GtrError(ErrorCode.BAD_INPUT, f"There is no shard in {folder}.", "Make some with gtr render-dataset.")
        held = min(-(-len(listed) // _HELD_OUT), len(listed) - 1)
        self._objects, self._held = listed[: len(listed) - held], listed[len(listed) - held :] or listed

    @property
    def name(self) -> str:
        """What the samples are made from."""
        return f"{len(self._objects)} rendered objects of {self._folder.name}"

    @property
    def has_points(self) -> bool:
        """Points in space are not given."""
        return False

    def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        """See :meth:`gtr_core.data.dataset.TrainingSource.batch`.

        Raises:
            GtrError: ``bad_input`` for a damaged shard, ``too_few_views``, ``image_too_small``.
        """
        places = [self._place(seed, index) for index in indices]
        samples = zip(places, indices, strict=True)
        return join([self._sample(self._objects[place], seed, index, request) for place, index in samples])

    def validation(self, indices: Sequence[int], request: BatchRequest) -> Batch:
        """Objects that no batch shows."""
        samples = [(self._held[index % len(self._held)], index) for index in indices]
        return join([self._sample(entry, 0, index, request) for entry, index in samples])

    def _sample(self, place: Place, seed: int, index: int, request: BatchRequest) -> Batch:
        path, entry = place
        generator = sample_generator(seed, index)
        count = sum(suffix.startswith("rgba_") for suffix in entry.files)
        inputs, targets = choose_views(count, request, generator)
        seen = resized(_pictures(read_object(path, entry, inputs)), request.input_size)
        supervising = None
        if targets:
            whole = resized(_pictures(read_object(path, entry, targets)), request.target_size)
            supervising = cropped(whole, request.patch, generator)
        return Batch(torch.tensor([index]), seen, supervising)

    def _place(self, seed: int, index: int) -> int:
        """Which object a sample shows: a new order in every round."""
        turn, place = divmod(index, len(self._objects))
        order = torch.randperm(len(self._objects), generator=sample_generator(seed, turn, 4))
        return int(order[place])


def _pictures(views: Views) -> PosedPictures:
    cameras = views.cameras
    depth, normal = (None if part is None else part[None] for part in (views.depth, views.normal))
    return PosedPictures(views.rgba[None], cameras.c2w[None], cameras.intrinsics[None], depth, normal)
