"""The first two lines of docs/gpu.md: the rasterisers, and the procedural objects."""

from __future__ import annotations

import json

from job import HERE, ROOT, Job, Outcome


def rasterizers(job: Job) -> Outcome:
    """The torch rasteriser on the device against itself on the CPU, and against nvdiffrast where that is there."""
    out = job.folder("results") / "rasterizers.json"
    arguments = [HERE / "compare_rasterizers.py", "--device", job.settings.device, "--out", out]
    ended = job.python("rasterizers", arguments, min(job.left - 30, 240))
    if ended.code != 0:
        return Outcome("failed", f"The comparison ended early: {ended.last_line}")
    figures = json.loads(out.read_text())
    return Outcome("done" if figures["agree"] else "failed", figures["sentence"], figures)


def procedural(job: Job) -> Outcome:
    """The objects on the GPU: the tests that compare tracers, then rays per second."""
    if not job.settings.on_gpu:
        return Outcome("absent", "There is no GPU, so its tracer was not compared.")
    tests = ["-m", "pytest", "-q", "-W", "default", "tests/unit/test_procedural_tracers.py", "-k", "gpu"]
    tested = job.python("procedural", tests, min(job.left - 60, 120))
    verdict = tested.last_line
    if tested.code != 0:
        return Outcome("failed", f"The tracer of the GPU differs: {verdict}")
    out = job.folder("results") / "procedural.json"
    measure = [ROOT / "benchmarks" / "bench_procedural.py", "--device", job.settings.device, "--out", out]
    measured = job.python("procedural", measure, min(job.left - 30, 120))
    if measured.code != 0:
        return Outcome("failed", f"{verdict}; the speed was not measured: {measured.last_line}")
    figures = json.loads(out.read_text())["cuda"]
    rates = ", ".join(f"{row['name']} {row['per_second'] / 1e6:.1f} M/s" for row in figures["rows"])
    return Outcome("done", f"{verdict}; {rates}.", {**figures, "tests": verdict})
