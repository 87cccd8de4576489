"""Evaluation by the project's own protocol: procedural objects that no training saw, and a folder of objects."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from job import HERE, Job, Outcome

from gtr_core.model.weights_parts import INDEX

_LACK = "The package trimesh is not here: bring it along (--wheels), or evaluate what came back elsewhere (--take)."


def _lacks_packages(job: Job) -> bool:
    return find_spec("trimesh") is None and not (job.settings.state / "site" / "trimesh").is_dir()


def make_objects(job: Job) -> Outcome:
    """Meshes of the validation objects."""
    if _lacks_packages(job):
        return Outcome("absent", _LACK)
    folder = job.folder("objects")
    arguments = [HERE / "make_objects.py", "--count", str(job.settings.validation_objects), "--out", folder]
    arguments += ["--resolution", "40" if job.settings.tiny else "224"]
    ended = job.python("validation_objects", arguments, job.left - 10)
    if ended.code != 0:
        return Outcome("failed", f"No validation objects: {ended.last_line}")
    return Outcome("done", f"{len(list(folder.glob('*.ply')))} validation objects.")


def validation(job: Job) -> Outcome:
    """The trained network and the baselines on these."""
    return _evaluate(job, "validation", job.folder("objects"))


def objects(job: Job) -> Outcome:
    """The same on the folder that was given."""
    folder = job.settings.objects
    if folder is None:
        return Outcome("absent", "No folder of objects was given (GTR_OBJECTS or --objects).")
    if _lacks_packages(job):
        return Outcome("absent", _LACK)
    from gtr_core.data.objects import find_objects

    names = [file.name for file in find_objects(folder)][: job.settings.most_objects]
    return _evaluate(job, "objects", folder, names)


def _evaluate(job: Job, name: str, folder: Path, only: list[str] | None = None) -> Outcome:
    if _lacks_packages(job):
        return Outcome("absent", _LACK)
    settings = job.settings
    weights = settings.state / "weights" / f"{settings.preset}.safetensors{INDEX}"
    report = job.folder("reports") / name
    arguments: list[object] = ["-m", "gtr_core.cli.main", "evaluate", folder, "-o", report]
    arguments += ["--weights", f"{settings.preset}={weights}", "--device", settings.evaluation_device]
    arguments += ["--cache", job.folder("truth"), "--jobs", str(settings.evaluation_jobs)]
    arguments += ["--baseline", "white"] if settings.tiny else ["--baseline", "white", "hull", "untrained"]
    arguments += ["--preset", "fit"] if not settings.tiny else []
    arguments += ["--refine", *([] if settings.tiny else ["20"]), "--refine-seconds"]
    if only:
        arguments += ["--only", *only]
    ended = job.python(f"evaluate_{name}", arguments, job.left - 5)
    if ended.code is None:
        return Outcome("partly", "There was no time for all objects; what is judged is kept.")
    if ended.code:
        return Outcome("failed", ended.last_line)
    figures = json.loads((report / "report.json").read_text())
    return Outcome("done", f"The table lies in reports/{name}/table.md.", {"summary": figures.get("summary", figures)})
