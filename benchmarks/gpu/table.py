"""The third line of docs/gpu.md: the benchmark table, one row after the other."""

from __future__ import annotations

import json
from collections.abc import Callable

from job import ROOT, Job, Outcome, Settings

_ROWS = ("forward", "grid_256", "grid_512", "grid_256_wide", "marching_cubes", "rasterize", "refine_step")
_LONG_ROWS = ("end_to_end",)
_LONGEST = 60.0
"""Seconds that one row may take; training has more need of the time."""


def rows(settings: Settings) -> tuple[str, ...]:
    """Names of the rows, those that take longest last."""
    return ("marching_cubes",) if settings.tiny else (*_ROWS, *_LONG_ROWS)


def _reason(log: str, name: str) -> str:
    """What the last of its failures was, as ``bench_pipeline.py`` says it."""
    said = [line for line in log.splitlines() if line.startswith(f"{name} failed: ")]
    return said[-1] if said else log.strip().splitlines()[-1]


def row(name: str) -> Callable[[Job], Outcome]:
    """The step that measures a row."""

    def measure(job: Job) -> Outcome:
        out = job.folder("results") / f"table_{name}.json"
        arguments = [
            ROOT / "benchmarks" / "bench_pipeline.py",
            *("--rows", name, "--device", job.settings.device, "--json", out, "--results", job.folder("results")),
            *("--scale", "tiny" if job.settings.tiny else "released"),
        ]
        ended = job.python("table", arguments, min(job.left - 30, _LONGEST) if not job.settings.tiny else job.left)
        if ended.code is None:
            return Outcome("failed", f"It took more than {_LONGEST:.0f} s.")
        if ended.code:
            return Outcome("failed", _reason(ended.log.read_text(errors="replace"), name))
        (figures,) = json.loads(out.read_text())["rows"]
        return Outcome("done", f"{figures['wall_s']:.4f} s, {figures['ratio']:.1f} times faster.", figures)

    return measure
