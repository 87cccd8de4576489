"""What is drawn by chance of procedural samples on the CPU: objects and cameras, if need be in processes of their own.

An object takes some 9 ms of Python, and Python runs on one core at a time: a GPU, which traces a thousand samples a
second, would wait for their tables.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gtr_core.data.dataset import BatchRequest
from gtr_core.data.procedural import ProceduralObjects
from gtr_core.data.procedural.layout import Record
from gtr_core.data.training_cameras import CameraRange, patches, sample_generator
from gtr_core.geometry.cameras import Cameras

_TOGETHER = 4
"""Samples that a process plans in one go."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Plans:
    """S samples as arrays, which are quickly sent from process to process.

    Args:
        tables: (S,) records of ``layout.SCENE``.
        inputs: (S, V, 20) of each input camera the pose (16) and the intrinsics (4).
        targets: (S, T, 20) the same of the target cameras.
    """

    tables: Record
    inputs: Floats
    targets: Floats


@dataclass(frozen=True)
class Planner:
    """Plans samples.

    Args:
        family: seed of the objects.
        cameras: from where they are seen.
    """

    family: int
    cameras: CameraRange

    def plan(self, seed: int, objects: Sequence[int], samples: Sequence[int], request: BatchRequest) -> Plans:
        """The objects of these numbers, seen as in the samples of these numbers."""
        family, sizes = ProceduralObjects(self.family), (request.input_size, request.target_size)
        inputs, targets = [], []
        for index in samples:
            generator = sample_generator(seed, index)
            first, second = self.cameras.draw(request.input_views, request.target_views, sizes, generator)
            inputs.append(_numbers(first))
            targets.append(_numbers(patches(second, request.patch, generator)))
        return Plans(np.concatenate([family.table(k) for k in objects]), np.stack(inputs), np.stack(targets))


class PlanningProcesses:
    """Planners in processes.

    Args:
        planner: what each does.
        count: of processes.
    """

    def __init__(self, planner: Planner, count: int) -> None:
        self._planner = planner
        # not forked: the threads and the GPU of this process do not live on in a fork
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, initializer=_as_worker)

    def plan(self, seed: int, objects: Sequence[int], samples: Sequence[int], request: BatchRequest) -> Plans:
        """See :meth:`Planner.plan`; may be called from several threads at once."""
        parts: list[Future[Plans]] = []
        for first in range(0, len(samples), _TOGETHER):
            some = slice(first, first + _TOGETHER)
            parts.append(self._pool.submit(self._planner.plan, seed, objects[some], samples[some], request))
        plans = [part.result() for part in parts]
        return Plans(*(np.concatenate([getattr(p, name) for p in plans]) for name in ("tables", "inputs", "targets")))

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)


def cameras_of(numbers: Floats, side: int, device: torch.device | str) -> Cameras:
    """The S V cameras of plans (S, V, 20), object by object, for square pictures."""
    flat = torch.from_numpy(numbers.reshape(-1, 20))
    return Cameras(flat[:, :16].reshape(-1, 4, 4), flat[:, 16:].contiguous(), side, side).to(device)


def _numbers(cameras: Cameras) -> Floats:
    joined: Floats = torch.cat([cameras.c2w.flatten(1), cameras.intrinsics], dim=1).numpy()
    return joined


def _as_worker() -> None:
    torch.set_num_threads(1)
    # Ctrl-C in a terminal is for all processes of it; this one ends when the training has saved its state
    signal.signal(signal.SIGINT, signal.SIG_IGN)
