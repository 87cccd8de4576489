"""Going on where the state was lost, from the few files that a call brings back.

A checkpoint is eight times as large as the weights in bfloat16. What travels in its place: the averaged weights, from
which training goes on, and of AdamW the second moments as means over rows and columns (as Adafactor keeps them). The
first moments start at 0: they forget within ten steps anyway.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from job import Job
from record import Record
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from training import Stage, run_folder

from gtr_core.model.weights import load_model, read_header, save_model
from gtr_core.model.weights_parts import INDEX
from gtr_core.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from gtr_core.training.loop import CHECKPOINTS
from gtr_core.training.run_folder import WEIGHTS

MOMENTS, REPORT = "moments.safetensors", "report.zip"
_PLACE = "place"
_PLAIN = ("step", "samples", "seconds", "norms")


def write_moments(checkpoint: Path, stage: Stage, path: Path) -> None:
    """Write what goes on from a checkpoint beside the weights.

    Args:
        checkpoint: of a run.
        stage: of that run.
        path: of the file.
    """
    state = load_checkpoint(checkpoint)
    tensors: dict[str, Tensor] = {}
    for number, entry in state["optimizer"]["state"].items():
        tensors |= _factored(str(number), entry["exp_avg_sq"].float())
        tensors[f"{number}.step"] = torch.as_tensor(entry["step"]).float().reshape(1)
    place = {"stage": stage, "config": state["config"]} | {name: state[name] for name in _PLAIN}
    save_file(tensors, path, {_PLACE: json.dumps(place)})


def _factored(number: str, second: Tensor) -> dict[str, Tensor]:
    if second.ndim < 2:
        return {f"{number}.whole": second.contiguous()}
    flat = second.flatten(1)
    return {f"{number}.rows": flat.mean(1), f"{number}.columns": flat.mean(0)}


def _unfactored(stored: dict[str, Tensor], number: str, shape: torch.Size) -> Tensor:
    if f"{number}.whole" in stored:
        return stored[f"{number}.whole"].view(shape)
    rows, columns = stored[f"{number}.rows"], stored[f"{number}.columns"]
    return (rows[:, None] * columns[None] / rows.mean().clamp(min=1e-30)).view(shape)


def take(folder: Path, job: Job) -> str:
    """Put what an earlier call brought back into the state; what the state has already is kept.

    Args:
        folder: with ``report.zip``, the weights in parts and ``moments.safetensors``, as far as there are any.
        job: this call.

    Returns:
        What was done, in a sentence.
    """
    if any(job.folder("steps").glob("*.json")):
        return "The state is still here, so nothing was taken from what came back."
    report = folder / REPORT
    if not report.is_file():
        return f"{folder} holds nothing to go on from; everything begins anew."
    with zipfile.ZipFile(report) as archive:
        archive.extractall(job.settings.state)
    for name in ("packages", "nvdiffrast", "weights", "validation_objects"):  # what they made has not travelled
        (job.folder("steps") / f"{name}.json").unlink(missing_ok=True)
    for name in ("evaluate_validation", "evaluate_objects"):
        entry = Record(job.folder("steps")).read(name)
        if entry is not None and entry.outcome.status != "done":  # what it lacked may be here
            (job.folder("steps") / f"{name}.json").unlink()
    moments, index = folder / MOMENTS, folder / f"{job.settings.preset}.safetensors{INDEX}"
    if not moments.is_file() or not index.is_file():
        return "Results of earlier calls were taken over; no training was under way."
    place = _rebuild(moments, index, job)
    return f"Took over the stage {place['stage']} after {place['seconds']:.0f} s, {place['step']} steps."


def _rebuild(moments: Path, index: Path, job: Job) -> dict[str, Any]:
    """The run's checkpoint and its file of weights."""
    with safe_open(moments, framework="pt") as file:
        place: dict[str, Any] = json.loads(file.metadata()[_PLACE])
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    run = run_folder(job, place["stage"])
    model = load_model(index, dtype="float32")
    header = read_header(index)
    description = {"preset": header.preset, "licence": header.licence, "source": header.source}
    # the second stage begins with the weights of the first, whose shape is all that is looked at when it goes on
    for folder in {run, run_folder(job, "nerf")}:
        folder.mkdir(parents=True, exist_ok=True)
        save_model(model, folder / WEIGHTS, description=description)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    state = {
        "config": place["config"],
        **{name: place[name] for name in _PLAIN},
        "model": model.state_dict(),
        "average": weights,
        "optimizer": _optimizer(stored, list(model.parameters()), fused=job.settings.on_gpu),
    }
    save_checkpoint(run / CHECKPOINTS, state)
    return place


def _optimizer(stored: dict[str, Tensor], parameters: list[torch.nn.Parameter], *, fused: bool) -> dict[str, Any]:
    """AdamW's state as ``Trainer`` reads it; it goes on as ``fused`` as it was, also where the state is made."""
    from gtr_core.training.optimizer import OptimizerConfig, make_optimizer

    holder = torch.nn.ParameterList(parameter.requires_grad_(True) for parameter in parameters)
    state = make_optimizer(holder, OptimizerConfig()).state_dict()
    for group in state["param_groups"]:
        group["fused"] = fused
    shapes = [p.shape for p in parameters if p.ndim > 1] + [p.shape for p in parameters if p.ndim <= 1]
    for number, shape in enumerate(shapes):
        if f"{number}.step" in stored:
            second = _unfactored(stored, str(number), shape)
            step = stored[f"{number}.step"].reshape(())
            state["state"][number] = {"step": step, "exp_avg": torch.zeros(shape), "exp_avg_sq": second.contiguous()}
    return state


def last_run(job: Job) -> tuple[Stage, Path] | None:
    """The stage that was trained last, and its last checkpoint."""
    stages: tuple[Stage, ...] = ("mesh", "nerf")
    for stage in stages:
        checkpoint = latest_checkpoint(run_folder(job, stage) / CHECKPOINTS)
        if checkpoint is not None and (run_folder(job, stage) / WEIGHTS).is_file():
            return stage, checkpoint
    return None
