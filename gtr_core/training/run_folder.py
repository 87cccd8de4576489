"""The folder of a run: what it was started with, the network it starts from, the weights it gives."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.atomic import making_folder, write_atomic
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.model.weights import load_model, save_model
from gtr_core.model.weights_header import read_header
from gtr_core.training.recipe import StageName
from gtr_core.training.trainer import Trainer

WEIGHTS = "weights.safetensors"
_RUN = "run.json"


@dataclass(frozen=True)
class RunDescription:
    """What makes a run this one and no other: a folder goes on only with the same.

    Args:
        stage: ``nerf`` or ``mesh``.
        preset: of the network.
        data: what the samples are made from.
        seed: of all randomness.
        perceptual: what compares how pictures look.
        start: where the first weights came from; "" for random ones.
        batch: objects in a step; 0 as in the recipe.
        steps: of the run; 0 as in the recipe.
        learning_rate: the highest; 0 as in the recipe.
        normal: weight of the normals' term.
    """

    stage: StageName
    preset: str
    data: str
    seed: int
    perceptual: str
    start: str
    batch: int
    steps: int
    learning_rate: float
    normal: float


def claim(folder: Path, run: RunDescription) -> None:
    """Make the folder this run's.

    Raises:
        GtrError: ``bad_input`` when it is another run's or cannot be written.
    """
    making_folder(folder)
    path = folder / _RUN
    if path.is_file():
        _compare(path, run)
        return
    write_atomic(path, (json.dumps(asdict(run), indent=1) + "\n").encode())


def _compare(path: Path, run: RunDescription) -> None:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise GtrError(ErrorCode.BAD_INPUT, f"{path} cannot be read.", "Choose another folder.") from error
    wanted = asdict(run)
    differing = [name for name in wanted if not isinstance(known, dict) or known.get(name) != wanted[name]]
    if differing:
        told = ", ".join(f"{name} {known.get(name)!r}, not {wanted[name]!r}" for name in differing)
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"{path.parent} holds a run that was started with other settings ({told}).",
            "Go on with the same settings, or choose another folder.",
        )


def starting_network(preset: str, start: Path | None, seed: int) -> GTR:
    """The network that a run begins with, on the CPU in float32.

    Args:
        preset: of the network.
        start: a file of weights, or the folder of a run that has one; None draws random weights.
        seed: of these.

    Raises:
        GtrError: ``model_unavailable`` when the weights are missing, damaged or of another preset.
    """
    if start is None:
        return GTR(CONFIGS[preset], generator=torch.Generator().manual_seed(seed))
    path = start / WEIGHTS if start.is_dir() else start
    trained_for = read_header(path).preset
    if trained_for != preset:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{path} holds the network of {trained_for}, not of {preset}.",
            f"Choose the preset {trained_for}, or other weights.",
        )
    model = load_model(path, dtype="float32")
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # the loaded ones are views of the file
    return model.requires_grad_(True)


def export_weights(trainer: Trainer, folder: Path, run: RunDescription, licence: str) -> Path:
    """Write the averaged weights as a file that every part of GTR loads. All processes call it, the first writes."""
    path, model = folder / WEIGHTS, trainer.averaged_model()
    if model is None:
        return path
    origin = f"gtr train {run.stage}: {run.data}, {trainer.step} steps, {trainer.samples} samples, seed {run.seed}"
    if run.start:
        origin += f"; from {run.start}"
    description = {"preset": run.preset, "licence": licence, "source": origin}
    save_model(model, path, description=description)
    return path
