"""How many processes fit this machine."""

from __future__ import annotations

import os

import psutil  # type: ignore[import-untyped]
import torch

from gtr_core.errors import ErrorCode, GtrError


def jobs_and_threads(wanted: int | None, tasks: int, memory: int, *, gpu: bool = False) -> tuple[int, int]:
    """Processes, and threads of each: no more together than cores, and than the user allows torch.

    Args:
        wanted: processes that the user asks for; None takes one per core, as far as the memory goes.
        tasks: more processes than tasks are of no use.
        memory: bytes that a process needs.
        gpu: whether they share a GPU, where one process is best.

    Raises:
        GtrError: ``bad_input`` for a number below 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if wanted is not None and wanted < 1:
        raise GtrError(ErrorCode.BAD_INPUT, f"{wanted} processes are out of range.", "Give at least 1.")
    fitting = max(1, min(cores, psutil.virtual_memory().available // memory))
    jobs = min(wanted or (1 if gpu else fitting), max(tasks, 1))
    return jobs, max(1, min(torch.get_num_threads(), cores // jobs))
