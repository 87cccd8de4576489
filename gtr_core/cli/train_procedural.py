"""Where ``gtr train`` makes procedural samples: on the GPU that trains on them, with objects drawn beside it."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from gtr_core.data.procedural_source import ProceduralSource

_FREE_CORES = 2
"""Left to the training itself and to the threads that make batches."""


def procedural_source(options: argparse.Namespace) -> ProceduralSource:
    """The source that the options ask for.

    Raises:
        GtrError: ``backend_unavailable`` when there is no such device.
    """
    from gtr_core.data.procedural_source import ProceduralSource

    mixed = len(options.data or ()) > 1  # with sources that lie on the CPU
    device = _device("cpu" if mixed else options.device)
    processes = options.processes
    if processes is None:
        # a preview, like a CPU, is not worth the time that processes take to start
        processes = 0 if device.type == "cpu" or options.preview_data else _processes()
    return ProceduralSource(objects=options.objects, device=device, processes=processes)


def _device(name: str) -> torch.device:
    """The device of this process, of those that torchrun has started."""
    import torch

    from gtr_core.devices import resolve_device

    if os.environ.get("WORLD_SIZE", "1") == "1":
        return resolve_device(name)
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _processes() -> int:
    """One per core that this process may use, divided among those of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max((cores - _FREE_CORES) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)
