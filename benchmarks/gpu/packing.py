"""What a call brings back: at most eight files, each under 16 MiB."""

from __future__ import annotations

import zipfile
from pathlib import Path

import card
import travel
from job import Job, Outcome
from parts import write_parts
from training import run_folder

from gtr_core.training.run_folder import WEIGHTS

LARGEST = 16 << 20
MOST_FILES = 8
_PICTURES = 3
"""Sheets of each run that are brought back: the first, the middle one and the last."""


def final_weights(job: Job) -> Outcome:
    """The trained network as it is given away; what is evaluated is these very files."""
    index = write_parts(run_folder(job, "mesh") / WEIGHTS, job.folder("weights"), job.settings.preset)
    files = sorted(index.parent.glob("*-of-*.safetensors"))
    total = sum(path.stat().st_size for path in files)
    told = f"{job.settings.preset}: {len(files)} parts of at most {max(path.stat().st_size for path in files)} bytes."
    return Outcome("done", told, {"files": [path.name for path in files], "bytes": total})


def bring_back(job: Job) -> str:
    """Fill the folder of what is brought back, anew in every call; a sentence about it."""
    back = job.settings.back
    back.mkdir(parents=True, exist_ok=True)
    for old in back.iterdir():
        if old.is_file():
            old.unlink()
    found = travel.last_run(job)
    if found is not None:
        stage, checkpoint = found
        write_parts(run_folder(job, stage) / WEIGHTS, back, job.settings.preset)
        travel.write_moments(checkpoint, stage, back / travel.MOMENTS)
    text = card.model_card(job)
    (back / "MODEL_CARD.md").write_text(text)
    _write_report(job, back / travel.REPORT)
    files = sorted(back.iterdir())
    large = [path.name for path in files if path.stat().st_size >= LARGEST]
    if large or len(files) > MOST_FILES:
        return f"Too much to bring back: {len(files)} files; too large: {', '.join(large) or 'none'}."
    return f"Brought back {len(files)} files in {back}: {', '.join(path.name for path in files)}."


def _write_report(job: Job, path: Path) -> None:
    """Results, logs, curves and pictures in one file, as they lie in the state; pages only where there is room."""
    state = job.settings.state
    small = [*(state / "steps").glob("[!.]*.json"), *(state / "results").glob("*"), *(state / "logs").glob("*.log")]
    for run in (state / "runs").glob("*"):
        small += [run / "run.json", run / "log.csv"]
    for report in (state / "reports").glob("*"):
        small += [report / "table.md", report / "table.csv", report / "rows.csv", report / "report.json"]
    pictures = [
        sheet for run in (state / "runs").glob("*") for sheet in _some(sorted((run / "pictures").glob("*.png")))
    ]
    pages = sorted((state / "reports").glob("*/report.html"))
    room = LARGEST - (1 << 20)
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in [*small, *pictures, *pages]:
            if not file.is_file():
                continue
            if file in pages and file.stat().st_size * 0.8 > room - part.stat().st_size:
                continue
            archive.write(file, file.relative_to(state))
    part.replace(path)


def _some(sheets: list[Path]) -> list[Path]:
    if len(sheets) <= _PICTURES:
        return sheets
    return [sheets[0], sheets[len(sheets) // 2], sheets[-1]]
