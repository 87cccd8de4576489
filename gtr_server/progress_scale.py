"""From a stage's own count to the progress of the whole job."""

from __future__ import annotations

from gtr_server.job import Job, Task

WITH_DEPTH, LEARNED = "reconstruct with depth", "reconstruct by a network"
WEIGHTS: dict[str, dict[str, float]] = {
    Task.RECONSTRUCT: {
        "load": 5, "encode": 3, "hull": 7, "fit": 45, "fuse": 15, "extract": 10, "color": 10, "save": 5,
    },
    WITH_DEPTH: {"load": 5, "fuse": 72, "extract": 3, "color": 14, "save": 6},
    LEARNED: {"load": 12, "encode": 50, "extract": 25, "color": 5, "save": 8},
    Task.REFINE: {"load": 5, "texture": 85, "color": 5, "save": 5},
    Task.RECOLOUR: {"load": 20, "color": 75, "save": 5},
    Task.MASKS: {"load": 95, "save": 5},
}  # fmt: skip
"""Stages of each task in order, with their usual share of its time in per cent.

Measured with the preset fit; how long a network takes depends on its size, so its shares are rough.
"""


def scale_of(job: Job) -> dict[str, float]:
    """The weights for this job: a network, or depth, makes a reconstruction another one."""
    if job.task is Task.RECONSTRUCT and job.model != "fit":
        return WEIGHTS[LEARNED]
    images = job.request.get("images", [])
    depth = job.task is Task.RECONSTRUCT and images and images[0]["depth_blob"] is not None
    return WEIGHTS[WITH_DEPTH if depth else job.task]


def overall(scale: dict[str, float], stage: str, done: int, total: int) -> float | None:
    """Progress of the whole job in [0, 1]; None for a stage that has no place in it."""
    before = 0.0
    for name, weight in scale.items():
        if name == stage:
            return (before + weight * min(1.0, done / total if total > 0 else 1.0)) / 100
        before += weight
    return None
