"""Measure every stage of the pipeline against the straightforward way to compute the same.

    python benchmarks/bench_pipeline.py
    python benchmarks/bench_pipeline.py --rows grid_256 rasterize --json out/rows.json

Each row is measured in a process of its own, so that memory is its own too; both versions of a row run in the same
process, one after the other. On a CPU the seconds are those of all threads together (one thread unless ``--threads``
says more), so they hold on a busy machine as well; on a GPU they are wall seconds between two synchronisations.
The table is kept in ``benchmarks/results/pipeline_<device>.json``; ``docs/make_pipeline_picture.py`` draws it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

# before torch is loaded: threads that wait by spinning are counted as work
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch
from pipeline_rows.row import Row, Scale

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
ROWS = {
    "forward": "forward:measure",
    "grid_256": "grid:measure_256",
    "grid_512": "grid:measure_512",
    "grid_256_wide": "grid:measure_wide",
    "marching_cubes": "marching_cubes:measure",
    "rasterize": "rasterize:measure",
    "refine_step": "refine:measure_step",
    "refine_to_psnr": "refine:measure_to_psnr",
    "end_to_end": "end_to_end:measure",
}
"""Stages and the function that measures each, in the order of the pipeline."""
SCALES = {"released": Scale.released, "tiny": Scale.tiny}
_MARK = "row: "


def measure(stage: str, scale: Scale) -> Row:
    """One row, in this process."""
    module, name = ROWS[stage].split(":")
    function: Callable[[Scale], Row] = getattr(import_module(f"pipeline_rows.{module}"), name)
    return function(scale)


def measure_apart(stage: str, arguments: argparse.Namespace) -> Row | str:
    """One row from a process of its own, or in one sentence why there is none."""
    command = [sys.executable, __file__, "--one", stage, "--device", arguments.device, "--scale", arguments.scale]
    command += ["--threads", str(arguments.threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return Row(**json.loads(line.removeprefix(_MARK)))
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"the process ended with code {done.returncode}"


def device_name(device: torch.device) -> str:
    """What the figures were measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    )
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()


def commit() -> str:
    """The version that is measured; ``GTR_COMMIT`` says it where the history is not there."""
    given = os.environ.get("GTR_COMMIT")
    if given or shutil.which("git") is None:
        return given or "unknown"
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def table(rows: Sequence[dict[str, Any]], device: torch.device) -> str:
    """The rows as text."""
    seconds = "GPU s" if device.type == "cuda" else "CPU s"
    lines = [f"{'stage':<16}{'ratio':>8}{seconds:>10}{'straight':>10}{'wall s':>10}{'peak MB':>9}  note"]
    lines += [
        f"{r['stage']:<16}{r['ratio']:>7.1f}x{r['fast_cpu_s']:>10.4f}{r['straightforward_cpu_s']:>10.3f}"
        f"{r['wall_s']:>10.4f}{r['peak_mb']:>9.0f}  {r['note']}"
        for r in rows
    ]
    return "\n".join(lines)


def keep(file: Path, head: dict[str, Any], row: dict[str, Any]) -> None:
    """Write a row beside those of earlier runs on the same device with the same settings."""
    report = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"rows": []}
    same = all(report.get(key) == value for key, value in head.items())
    rows = {other["stage"]: other for other in report["rows"]} if same else {}
    rows[row["stage"]] = row
    write(file, {**head, "rows": [rows[stage] for stage in ROWS if stage in rows]})


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="all when left out")
    parser.add_argument("--json", type=Path, help="write this run's rows to a file of their own as well")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scale", choices=SCALES, default="released", help="tiny only shows that everything runs")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder that keeps the table of the released size"
    )
    parser.add_argument("--one", choices=ROWS, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 when a row could not be measured."""
    arguments = parse(argv)
    device = torch.device(arguments.device)
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        print(_MARK + json.dumps(asdict(measure(arguments.one, SCALES[arguments.scale](device)))))
        return 0
    head = {"device": device_name(device), "threads": arguments.threads, "torch": torch.__version__}
    measured: dict[str, dict[str, Any]] = {}
    failures: dict[str, str] = {}
    for stage in arguments.rows:
        found = measure_apart(stage, arguments)
        if isinstance(found, str):
            failures[stage] = found
            print(f"{stage} failed: {found}", file=sys.stderr, flush=True)
            continue
        measured[stage] = {**asdict(found), "commit": commit()}
        print(table([measured[stage]], device).splitlines()[-1], flush=True)
        if arguments.scale == "released":
            keep(arguments.results / f"pipeline_{device.type}.json", head, measured[stage])
    rows = [measured[stage] for stage in ROWS if stage in measured]
    print("\n" + table(rows, device))
    if arguments.json:
        write(arguments.json, {**head, "scale": arguments.scale, "rows": rows, "failures": failures})
    return 1 if failures else 0


def write(file: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
