"""The model card: what was measured, and nothing else."""

from __future__ import annotations

from job import Job
from record import Entry, Record

PAPER_SAMPLES = 150_000 * 512


def model_card(job: Job) -> str:
    """Markdown, from the records of the steps that were taken so far."""
    settings = job.settings
    entries = Record(job.folder("steps")).all()
    lines = [f"# {settings.preset}", ""]
    if settings.tiny:
        lines += ["**A rehearsal with tiny numbers: none of these figures is worth anything.**", ""]
    lines += _training(entries)
    lines += _weights(entries)
    lines += _table(job, "validation", "Procedural objects that no training saw")
    lines += _table(job, "objects", "Other objects")
    lines += _speed(entries)
    lines += _machine(entries, settings.commit)
    lines += ["## Steps", "", "| step | status | seconds | |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {e.outcome.status} | {e.seconds:.0f} | {_cell(e.outcome.sentence)} |"
        for name, e in entries.items()
    ]
    return "\n".join(lines) + "\n"


def _training(entries: dict[str, Entry]) -> list[str]:
    lines = [
        "## Training",
        "",
        "| stage | seconds | steps | samples | samples/s | new views, dB |",
        "|---|---|---|---|---|---|",
    ]
    for stage, title in (("train_nerf", "volume (phases A and B)"), ("train_mesh", "surface (phase C)")):
        figures = entries[stage].outcome.figures if stage in entries else {}
        cells = [figures.get(key) for key in ("seconds", "step", "samples", "samples_per_second", "validation_psnr")]
        told = ["-" if value is None else f"{value:,.0f}" for value in cells[:3]]
        told += ["-" if value is None else f"{value:,.2f}" for value in cells[3:]]
        lines.append(f"| {title} | {' | '.join(told)} |")
    return [*lines, "", "Data: procedural objects, made while training; nothing was downloaded.", ""]


def _weights(entries: dict[str, Entry]) -> list[str]:
    if "weights" not in entries or entries["weights"].outcome.status != "done":
        return []
    figures = entries["weights"].outcome.figures
    return [
        "## Weights",
        "",
        f"bfloat16, {figures['bytes']:,} bytes in {len(figures['files'])} parts. Licence: Apache-2.0.",
        "",
    ]


def _table(job: Job, name: str, title: str) -> list[str]:
    path = job.settings.state / "reports" / name / "table.md"
    return [f"## {title}", "", path.read_text().strip(), ""] if path.is_file() else []


def _speed(entries: dict[str, Entry]) -> list[str]:
    figures = entries["speed"].outcome.figures if "speed" in entries else {}
    if "samples_per_second" not in figures:
        return []
    rate, hours = figures["samples_per_second"], figures["paper_gpu_hours"]
    return [
        f"## Speed of {figures['preset']}",
        "",
        f"{rate:.3g} samples/s on one such device at batch {figures['batch']}: {figures['seconds_per_step']:.3g} s per",
        f"step, {figures['peak_memory'] / 2**30:.1f} GiB; with {figures['perceptual']}, without the making of data.",
        f"The paper's {PAPER_SAMPLES:,} samples at this speed: {hours:,.0f} GPU-hours, {hours / 32:,.0f} hours on 32.",
        "",
    ]


def _machine(entries: dict[str, Entry], commit: str) -> list[str]:
    figures = entries["preflight"].outcome.figures if "preflight" in entries else {}
    if not figures:
        return []
    packages = figures["packages"]
    lines = [
        "## Machine",
        "",
        f"{figures['device']}, {figures['cores']} cores, Python {figures['python']}, torch {packages['torch']}, "
        f"CUDA {figures['cuda']}" + (f", commit {commit}." if commit else "."),
        "",
    ]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
