"""What every stage of ``bench_pipeline.py`` is given and what it gives back."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Scale:
    """How large a problem the stages are measured on.

    Args:
        device: where the tensors lie.
        num_views: input pictures.
        image_size: of a picture, pixels.
        plane_resolution: texels along an edge of a plane.
        plane_channels: features per plane.
        hidden: width of the field's networks.
        grid: nodes along an edge of the box in ``grid_256``; ``grid_512`` has twice as many.
        blocks: transformer blocks in ``forward``, of which the released model has 24.
        repeats: times the fast version runs; the fastest counts.
    """

    device: torch.device
    num_views: int = 4
    image_size: int = 512
    plane_resolution: int = 256
    plane_channels: int = 40
    hidden: int = 32
    grid: int = 256
    blocks: int = 2
    repeats: int = 3

    @classmethod
    def released(cls, device: torch.device) -> Scale:
        """The size of the released model."""
        return cls(device)

    @classmethod
    def tiny(cls, device: torch.device) -> Scale:
        """A size at which every stage takes well under a second; its ratios mean nothing."""
        return cls(device, num_views=2, image_size=64, plane_resolution=32, plane_channels=8, grid=32, repeats=1)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    On a GPU all seconds are wall seconds between two synchronisations with the device.

    Args:
        stage: its name.
        ratio: straightforward over fast seconds.
        fast_cpu_s: CPU seconds of the fast version, all threads together.
        straightforward_cpu_s: the same of the straightforward version.
        wall_s: wall seconds of the fast version.
        peak_mb: highest memory of the process while the fast version ran, 10^6 bytes; on a GPU that of the device.
        note: what was shortened, and other figures.
    """

    stage: str
    ratio: float
    fast_cpu_s: float
    straightforward_cpu_s: float
    wall_s: float
    peak_mb: float
    note: str = ""


@dataclass(frozen=True)
class Timing:
    """CPU and wall seconds of the fastest call, highest memory of all calls in 10^6 bytes."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def timed(function: Callable[[], object], device: torch.device, repeats: int = 1) -> Timing:
    """Call ``function`` ``repeats`` times and measure each call.

    The memory is that of the whole process, libraries included: its peak is reset before the call where the kernel
    lets us, so a stage should run its fast version before the straightforward one.
    """
    seconds = []
    gc.collect()
    _reset_peak(device)
    for _ in range(repeats):
        _synchronize(device)
        cpu, wall = time.process_time(), time.perf_counter()
        function()
        _synchronize(device)
        wall = time.perf_counter() - wall
        seconds.append((wall if device.type == "cuda" else time.process_time() - cpu, wall))
    return Timing(*min(seconds), _peak_mb(device))


def row(stage: str, fast: Timing, straightforward: Timing, *, share: float = 1.0, note: str = "") -> Row:
    """The line of two measurements.

    Args:
        stage: its name.
        fast: of the fast version.
        straightforward: of the straightforward one.
        share: of the work that the straightforward version was given; its seconds are divided by it.
        note: what was shortened, and other figures.
    """
    slow = straightforward.cpu_s / share
    return Row(stage, slow / max(fast.cpu_s, 1e-9), fast.cpu_s, slow, fast.wall_s, fast.peak_mb, note)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text("5", encoding="ascii")


def _peak_mb(device: torch.device) -> float:
    """Peak since :func:`_reset_peak`; where the system keeps none, that of the process so far, or 0 if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0
