"""Training in both stages, a call's share at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from job import Job, Outcome

Stage = Literal["nerf", "mesh"]
_MARGIN = 60.0
"""Seconds of a call that training leaves: its start, its last checkpoint and pictures, and what is brought back."""
_SHORTEST = 20.0


def nerf(job: Job) -> Outcome:
    """Phases A and B."""
    return _train(job, "nerf", job.settings.nerf_seconds, [])


def mesh(job: Job) -> Outcome:
    """Phase C."""
    return _train(job, "mesh", job.settings.mesh_seconds, ["--from", run_folder(job, "nerf")])


def run_folder(job: Job, stage: Stage) -> Path:
    """Where a stage's run lies."""
    return job.settings.state / "runs" / stage


def _train(job: Job, stage: Stage, budget: float, more: list[object]) -> Outcome:
    from gtr_core.training.log import read_log

    settings, run = job.settings, run_folder(job, stage)
    margin, shortest = (8.0, 1.0) if settings.tiny else (_MARGIN, _SHORTEST)
    call = job.left - margin
    if call < shortest:
        return Outcome("partly", "There is no time for it in this call.")
    if settings.tiny and stage == "nerf" and not (run / "log.csv").exists():
        call = min(call, 0.01)  # so that a rehearsal also goes on with a run
    arguments = [
        *("-m", "gtr_core.cli.main", "train", stage, "--preset", settings.preset, "-o", run, *more),
        *("--budget-seconds", f"{budget:g}", "--call-seconds", f"{call:g}", "--device", settings.device),
        *("--checkpoint-seconds", "120", "--picture-seconds", "150", "--log-steps", "1" if settings.tiny else "20"),
        *_data_options(job),
    ]
    ended = job.python(f"train_{stage}", arguments, job.left - margin / 4)
    rows = read_log(run)
    figures = _figures(rows)
    if ended.code is None:
        return Outcome("partly", "It did not stop in time; its last checkpoint counts.", figures)
    if ended.code:
        return Outcome("failed", ended.last_line, figures)
    over = "finished" in ended.last_line
    return Outcome("done" if over else "partly", ended.last_line.removeprefix(f"{run}/"), figures)


def _data_options(job: Job) -> list[str]:
    if job.settings.tiny:
        return ["--threads", "0", "--processes", "0", "--batch", "2", "--steps", "6"]
    return ["--threads", "4", "--processes", str(job.settings.data_processes)]


def _figures(rows: list[dict[str, float]]) -> dict[str, float]:
    """The last row of the log, the speed over the last rows, and the best look at new objects."""
    if not rows:
        return {}
    last: dict[str, float] = {key: rows[-1][key] for key in ("step", "samples", "seconds") if key in rows[-1]}
    rates = [row["samples_per_second"] for row in rows if "samples_per_second" in row][-20:]
    looks = [row["validation_psnr"] for row in rows if "validation_psnr" in row]
    if rates:
        last["samples_per_second"] = sorted(rates)[len(rates) // 2]
    if looks:
        last["validation_psnr"] = looks[-1]
    return last
