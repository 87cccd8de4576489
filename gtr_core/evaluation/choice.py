"""From names on a command line to systems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.baselines import ProjectedHull, UntrainedNetwork, WhitePictures
from gtr_core.evaluation.external import external_meshes
from gtr_core.evaluation.preset_system import PresetSystem
from gtr_core.evaluation.snapshots import Milestones
from gtr_core.evaluation.system import System
from gtr_core.model.library import find_weights
from gtr_core.model.weights_parts import hash_weights
from gtr_core.presets import choose_preset, get_preset

BASELINES = ("white", "hull", "untrained")
ABLATIONS = ("refinement", "geometry")
NERF, MESH = "nerf", "mesh"
"""Labels of the weights before and after the geometry refinement."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_RESERVED = ("truth", "inputs")
"""Names of files beside those of the systems."""


@dataclass(frozen=True)
class SystemChoice:
    """Which systems, as a user names them.

    Args:
        presets: names of presets.
        weights: ``PRESET=FILE`` or ``PRESET@LABEL=FILE``; each is a system.
        baselines: out of :data:`BASELINES`.
        external: ``NAME=FOLDER``.
        ablations: out of :data:`ABLATIONS`.
        milestones: of every refinement.
        exact: refine learned presets with all pixels in every step.
        device: where to run.
    """

    presets: Sequence[str] = ()
    weights: Sequence[str] = ()
    baselines: Sequence[str] = ()
    external: Sequence[str] = ()
    ablations: Sequence[str] = ()
    milestones: Milestones = field(default_factory=Milestones)
    exact: bool = False
    device: str = "auto"


def chosen_systems(choice: SystemChoice) -> list[System]:
    """The systems in the order of the tables: baselines, other programs, presets, ablations; ``fit`` if none is named.

    Raises:
        GtrError: when a name, a file or a folder is wrong, or an ablation lacks what it compares.
    """
    presets = _presets(choice)
    systems: list[System] = [_baseline(name, choice) for name in dict.fromkeys(choice.baselines)]
    systems += [external_meshes(name, Path(folder)) for name, folder in map(_split, choice.external)]
    if not presets and not systems:
        presets = [_preset("fit", "fit", None, choice)]
    if "geometry" in choice.ablations:
        presets = _with_geometry(presets)
    systems += presets
    if "refinement" in choice.ablations:
        systems += _refinement_parts(presets)
    names = [system.name for system in systems]
    for name in names:
        if not _NAME.fullmatch(name) or name in _RESERVED or name.casefold() in _RESERVED:
            raise _bad(f"{name!r} cannot be the name of a system.", "Use letters, digits, '.', '_' and '-'.")
        if names.count(name) > 1:
            raise _bad(f"Two systems are called {name}.", "Give one of them a label, as in PRESET@LABEL=FILE.")
    return systems


def _baseline(name: str, choice: SystemChoice) -> System:
    if name == "white":
        return WhitePictures()
    if name == "hull":
        return ProjectedHull()
    if name == "untrained":
        return UntrainedNetwork(choice.milestones, device=choice.device)
    raise _bad(f"There is no baseline {name}.", f"Choose among {', '.join(BASELINES)}.")


def _presets(choice: SystemChoice) -> list[PresetSystem]:
    files = dict(map(_split, choice.weights))
    if len(files) < len(choice.weights):
        raise _bad("Two files of weights have the same name.", "Give each a label, as in PRESET@LABEL=FILE.")
    plain = [name for name in dict.fromkeys(choice.presets) if name not in files]
    systems = [_preset(name, name, None, choice) for name in plain]
    return systems + [_preset(name, name.partition("@")[0], Path(file), choice) for name, file in files.items()]


def _preset(name: str, preset: str, weights: Path | None, choice: SystemChoice) -> PresetSystem:
    chosen = get_preset(preset)
    if weights is not None and not weights.is_file():
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"There is no file {weights} with weights of {name}.")
    choose_preset(preset, weights)
    if chosen.learned and weights is None:
        weights = find_weights(preset)
    return PresetSystem(
        name,
        preset,
        choice.milestones,
        None if weights is None else weights.resolve(),
        "" if weights is None else hash_weights(weights),
        choice.device,
        exact=choice.exact and chosen.exact_refinement is not None,
    )


def _with_geometry(presets: list[PresetSystem]) -> list[PresetSystem]:
    """Those of the first training stage also draw the volume itself."""
    for label in (NERF, MESH):
        if not any(system.name.endswith(f"@{label}") for system in presets):
            raise _bad(
                f"The ablation of the geometry refinement lacks weights with the label {label}.",
                f"Give --weights PRESET@{NERF}=FILE and --weights PRESET@{MESH}=FILE.",
            )
    return [replace(system, neural=system.name.endswith(f"@{NERF}")) for system in presets]


def _refinement_parts(presets: list[PresetSystem]) -> list[PresetSystem]:
    """What the colour model and the triplane reach alone, in steps: seconds would compare how fast they are."""
    if not presets or not presets[0].milestones.steps:
        raise _bad("The ablation of the refinement needs a preset and steps.", "Give --preset and --refine STEPS.")
    steps = Milestones(presets[0].milestones.steps)
    return [
        replace(system, name=f"{system.name}@refinement", milestones=steps, parts=True, neural=False)
        for system in presets
    ]


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise _bad(f"{text} lacks a name or a path.", "Write it as NAME=PATH.")
    return name, value


def _bad(message: str, hint: str) -> GtrError:
    return GtrError(ErrorCode.BAD_INPUT, message, hint)
