"""Measure procedural objects: rays, points and objects per second, against the readable version in the same run.

    python benchmarks/bench_procedural.py                 # one CPU core, CPU seconds
    python benchmarks/bench_procedural.py --device cuda   # the GPU, seconds of its own clock

Rays are those of views of 128 px from all around; about 40 % of them hit. The readable version traces a part of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

from gtr_core.data.procedural import ProceduralObjects, Scenes
from gtr_core.data.procedural.layout import Record
from gtr_core.data.procedural.readable import ReadableTracer
from gtr_core.data.procedural.tracer import Tracer
from gtr_core.data.procedural.tracers import choose_tracer
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.rays import pixel_rays

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "results" / "procedural.json"
SEED = 1
REPEATS = 3


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """The least of some runs: CPU seconds, or seconds between two events on the GPU's clock."""
    work()
    times = []
    for _ in range(REPEATS):
        if device.type == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            work()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1000)
        else:
            before = time.process_time()
            work()
            times.append(time.process_time() - before)
    return min(times)


def view_rays(size: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rays of four views, the same for ``count`` objects: origins and directions (count, 4 size size, 3)."""
    cameras = orbit([30, 120, 200, 300], [20, -20, 40, 0], height=size, width=size).to(device)
    origins, directions = pixel_rays(cameras)
    return tuple(each.reshape(1, -1, 3).expand(count, -1, 3).contiguous() for each in (origins, directions))  # type: ignore[return-value]


def compare(
    name: str, fast: Callable[[Tracer, Record], int], slow: Callable[[Tracer, Record], int], scenes: Scenes, few: int
) -> dict[str, Any]:
    """One row: entries per second of the compiled tracer on all objects and of the readable one on a few.

    Args:
        name: of the row.
        fast: does the work with a tracer on records and gives the number of entries.
        slow: the same on fewer entries.
        scenes: the objects and the compiled tracer.
        few: how many of the objects the readable version works on.
    """
    device = torch.device("cuda") if scenes.tracer.name == "cuda" else torch.device("cpu")
    readable, tables = ReadableTracer(), scenes.tables
    rate = fast(scenes.tracer, tables) / seconds(lambda: fast(scenes.tracer, tables), device)
    slow_rate = slow(readable, tables[:few]) / seconds(lambda: slow(readable, tables[:few]), device)
    print(f"{name}: {rate / 1e6:.2f} M/s, readable {slow_rate / 1e6:.4f} M/s, ratio {rate / slow_rate:.0f}")
    return {"name": name, "per_second": rate, "readable_per_second": slow_rate, "ratio": rate / slow_rate}


def rows(scenes: Scenes, size: int, few: int, device: torch.device) -> list[dict[str, Any]]:
    """All comparisons on these objects."""

    def tracing(size: int, colors: bool) -> Callable[[Tracer, Record], int]:
        rays = {count: view_rays(size, count, device) for count in {len(scenes), few}}

        def work(tracer: Tracer, tables: Record) -> int:
            return tracer.trace(tables, *rays[len(tables)], colors=colors).distance.numel()

        return work

    def distances(count: int) -> Callable[[Tracer, Record], int]:
        generator = torch.Generator().manual_seed(0)
        points = (torch.rand(len(scenes), count, 3, generator=generator) * 2 - 1).to(device)
        return lambda tracer, tables: tracer.distance(tables, points[: len(tables)]).numel()

    small = size // 4 if device.type == "cpu" else size
    return [
        compare("rays_normals", tracing(size, False), tracing(small, False), scenes, few),
        compare("rays_normals_colors", tracing(size, True), tracing(small, True), scenes, few),
        compare("signed_distances", distances(20_000), distances(20_000), scenes, few),
    ]


def main() -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--objects", type=int, default=40)
    parser.add_argument("--few", type=int, default=6, help="objects that the readable version works on")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    objects = ProceduralObjects(SEED)
    before = time.process_time()
    scenes = objects.scenes(range(options.objects))
    making = (time.process_time() - before) / options.objects
    scenes = Scenes(scenes.tables, choose_tracer(device))
    report = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "threads": 1,
        "torch": torch.__version__,
        "tracer": scenes.tracer.name,
        "objects": options.objects,
        "views": f"4 of {options.size} px",
        "object_cpu_ms": making * 1000,
        "commit": commit(),
        "rows": rows(scenes, options.size, options.few, device),
    }
    print(f"making an object: {making * 1000:.1f} ms")
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    kept[device.type] = report
    options.out.write_text(json.dumps(kept, indent=1) + "\n")


def commit() -> str:
    """The version that is measured; ``GTR_COMMIT`` says it where the history is not there."""
    given = os.environ.get("GTR_COMMIT")
    if given or shutil.which("git") is None:
        return given or "unknown"
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def processor() -> str:
    """Name of the CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
