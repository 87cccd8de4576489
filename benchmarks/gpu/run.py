"""Everything that needs a GPU, in calls that continue each other.

    python benchmarks/gpu/run.py --seconds 560 --back "$OUT"

The same command again goes on where the last call stopped: what is there is skipped, training resumes from its
checkpoint. The state lies in ``--out`` (ignored by git). Where that is lost between two calls, ``--take FOLDER`` goes
on from what the last call brought back. docs/gpu.md says how to call it, and what each step leaves.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import compare
import evaluate
import packing
import preflight
import speed
import table
import training
import travel
from job import ROOT, Job, Outcome, Settings
from record import Record


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Args:
        name: unique.
        part: the word of ``--only`` that it belongs to.
        run: does it.
        least: seconds that must be left to begin with it.
        attempts: how often it may fail before it is left alone.
        needed: whether nothing after it makes sense when it failed.
    """

    name: str
    part: str
    run: Callable[[Job], Outcome]
    least: float
    attempts: int = 1
    needed: bool = False


PARTS = ("check", "table", "train", "evaluate", "pack")
_PACKING = 30.0
"""Seconds at the end of a call for what it brings back."""


def steps(settings: Settings) -> list[Step]:
    """All steps in their order."""
    brief = 5.0 if settings.tiny else 30.0
    return [
        Step("packages", "check", preflight.unpack_wheels, brief, needed=True),
        Step("preflight", "check", preflight.look_around, brief, attempts=5, needed=True),
        Step("nvdiffrast", "check", preflight.build_nvdiffrast, brief),
        Step("rasterizers", "check", compare.rasterizers, brief),
        Step("procedural", "check", compare.procedural, brief),
        *(Step(f"table_{row}", "table", table.row(row), brief) for row in table.rows(settings)),
        Step("speed", "table", speed.paper_speed, brief),
        Step("train_nerf", "train", training.nerf, 2 * brief, attempts=3, needed=True),
        Step("train_mesh", "train", training.mesh, 2 * brief, attempts=3, needed=True),
        Step("weights", "evaluate", packing.final_weights, brief, attempts=2, needed=True),
        Step("validation_objects", "evaluate", evaluate.make_objects, brief),
        Step("evaluate_validation", "evaluate", evaluate.validation, brief, attempts=2),
        Step("evaluate_objects", "evaluate", evaluate.objects, brief, attempts=2),
    ]


def go(job: Job, only: Sequence[str]) -> int:
    """Do what is left to do; 0 when nothing is, 3 when the same call goes on, 1 when something needed failed."""
    record = Record(job.folder("steps"))
    for step in steps(job.settings):
        known = record.read(step.name)
        if known is not None and not _is_open(step, known.outcome, known.attempts):
            if known.outcome.status == "failed" and step.needed:
                return 1
            continue
        if step.part not in only:
            continue
        if job.left - _PACKING * (not job.settings.tiny) < step.least:
            job.say(f"{step.name}: no time left for it; the same call goes on")
            return 3
        job.say(f"{step.name} ...")
        began = time.monotonic()
        outcome = _tried(step, job)
        record.write(step.name, outcome, time.monotonic() - began)
        job.say(f"{step.name}: {outcome.status}. {outcome.sentence}")
        if outcome.status == "partly":
            return 3
        if outcome.status == "failed" and step.needed:
            return 1
    return 0


def _tried(step: Step, job: Job) -> Outcome:
    try:
        return step.run(job)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        return Outcome("failed", f"{type(error).__name__}: {error}")


def _is_open(step: Step, outcome: Outcome, attempts: int) -> bool:
    return outcome.status == "partly" or (outcome.status == "failed" and attempts < step.attempts)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, default=ROOT / "out" / "gpu", help="the state of all calls (default: %(default)s)")
    add("--back", type=Path, help="what this call brings back, at most 8 files of 16 MiB (default: OUT/back)")
    add("--take", type=Path, help="what an earlier call brought back, to go on where the state is lost")
    add("--seconds", type=float, default=560, help="that this call may take (default: %(default)s)")
    add("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts (default: all)")
    add("--preset", default="gtr-mini", help="network to train (default: %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda ... (default: %(default)s)")
    add("--nerf-seconds", type=float, default=990, help="of training through the volume (default: %(default)s)")
    add("--mesh-seconds", type=float, default=300, help="of training through the surface (default: %(default)s)")
    add("--speed-preset", default="gtr-paper", help="whose samples/s are measured; '' for none (default: %(default)s)")
    add("--validation-objects", type=int, default=8, help="procedural objects to evaluate (default: %(default)s)")
    add("--objects", type=Path, default=os.environ.get("GTR_OBJECTS"), help="further objects (default: $GTR_OBJECTS)")
    add("--most-objects", type=int, default=12, help="of them (default: %(default)s)")
    add("--nvdiffrast", type=Path, help="source folder of nvdiffrast")
    add("--wheels", type=Path, help="folder of packages that this machine lacks")
    add("--data-processes", type=int, help="that make training data (default: one per core but two)")
    add("--evaluation-jobs", type=int, help="processes of the evaluation (default: one per core but one)")
    add("--evaluation-device", default="cpu", help="of the evaluation (default: %(default)s)")
    add("--commit", default=os.environ.get("GTR_COMMIT", ""), help="of the code, for the records")
    add("--tiny", action="store_true", help="a rehearsal: tiny numbers, no figures of worth")
    return parser.parse_args(argv)


def chosen(options: argparse.Namespace) -> Settings:
    """The settings of a command line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    state = options.out.resolve()
    return Settings(
        state=state,
        back=(options.back or state / "back").resolve(),
        preset=options.preset,
        device=preflight.device(options.device),
        seconds=options.seconds,
        nerf_seconds=options.nerf_seconds,
        mesh_seconds=options.mesh_seconds,
        speed_preset=options.speed_preset,
        validation_objects=options.validation_objects,
        objects=None if options.objects is None else Path(options.objects).resolve(),
        most_objects=options.most_objects,
        nvdiffrast=options.nvdiffrast and options.nvdiffrast.resolve(),
        wheels=options.wheels and options.wheels.resolve(),
        data_processes=max(cores - 2, 1) if options.data_processes is None else options.data_processes,
        evaluation_jobs=options.evaluation_jobs or max(cores - 1, 1),
        evaluation_device=options.evaluation_device,
        commit=options.commit,
        tiny=options.tiny,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """One call."""
    options = parse(argv)
    job = Job(chosen(options), time.monotonic())
    if options.take is not None:
        job.say(travel.take(options.take.resolve(), job))
    code = go(job, options.only)
    if "pack" in options.only:
        job.say(packing.bring_back(job))
    job.say({0: "All is done.", 3: "There is more to do: the same call goes on."}.get(code, "It cannot go on."))
    return code


if __name__ == "__main__":
    sys.exit(main())
