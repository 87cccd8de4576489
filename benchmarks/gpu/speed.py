"""How fast one GPU trains the paper's network: for the cost of the paper's 32-GPU command in docs/training.md."""

from __future__ import annotations

import json

from job import HERE, Job, Outcome


def paper_speed(job: Job) -> Outcome:
    """Some steps of the first stage with the largest batch that fits."""
    preset = job.settings.speed_preset
    if not preset:
        return Outcome("absent", "No network was named whose speed is wanted.")
    out = job.folder("results") / "speed.json"
    arguments = [HERE / "measure_speed.py", "--preset", preset, "--device", job.settings.device, "--out", out]
    ended = job.python("speed", arguments, min(job.left - 30, 150) if not job.settings.tiny else job.left)
    if ended.code != 0:
        return Outcome("failed", f"The speed of {preset} was not measured: {ended.last_line}")
    figures = json.loads(out.read_text())
    sentence = f"{preset}: {figures['samples_per_second']:.3g} samples/s at batch {figures['batch']}"
    return Outcome("done", f"{sentence}, {figures['peak_memory'] / 2**30:.1f} GiB.", figures)
