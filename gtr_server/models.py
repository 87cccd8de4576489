"""The models that a job can name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gtr_core.model.library import ModelEntry, list_models
from gtr_core.presets import PRESETS
from gtr_server.problems import Problem, ProblemCode

_STATES = {
    "built in": ("ready", None),
    "ready": ("ready", None),
    "missing": ("absent", "missing_weights"),
    "broken": ("invalid", "checkpoint_invalid"),
}


@dataclass(frozen=True)
class Model:
    """One line of GET /models.

    Args:
        id: what a job names: a preset, or a file of the models folder without its suffix.
        preset: whose behaviour it has; empty when its file is damaged.
        sha256: of its weights; None without any, and until it has been computed.
        bytes: size of its weights; 0 without any.
        state: ``ready``, ``absent`` or ``invalid``.
        code: why it is not ready.
        detail: the same for the user; empty when it is ready.
        license: of the weights; None if unknown.
    """

    id: str
    preset: str
    sha256: str | None
    bytes: int
    state: str
    code: str | None
    detail: str
    license: str | None


def all_models() -> list[Model]:
    """All models, usable or not."""
    return [_model(entry) for entry in list_models(checksums=False)]


def _model(entry: ModelEntry) -> Model:
    state, code = _STATES[entry.state]
    if state == "ready" and entry.preset not in PRESETS:
        state, code = "invalid", "checkpoint_invalid"
        detail = f"The weights {entry.name} are made for an unknown preset, {entry.preset or 'none'}."
    elif state == "absent":
        detail = f"There are no weights of {entry.name} in the models folder. {entry.reason}"
    else:
        detail = _without_folder(entry)
    sha256, licence = entry.sha256 or None, entry.licence or None
    return Model(entry.name, entry.preset, sha256, entry.bytes, state, code, detail, licence)


def _without_folder(entry: ModelEntry) -> str:
    """What is wrong with a file, without telling where it lies."""
    if entry.path is None:
        return entry.reason
    return entry.reason.replace(str(entry.path), entry.path.name).replace(str(entry.path.parent), "the models folder")


def listing() -> list[dict[str, Any]]:
    """All models as JSON."""
    return [asdict(model) for model in all_models()]


def require(name: str, views: int) -> None:
    """Check that a model can take a job with this many views.

    Raises:
        Problem: ``unknown_model``, ``model_unavailable`` or ``too_few_views``.
    """
    found = next((model for model in all_models() if model.id == name), None)
    if found is None:
        raise Problem(ProblemCode.UNKNOWN_MODEL, "There is no model of this name.")
    if found.state != "ready":
        raise Problem(ProblemCode.MODEL_UNAVAILABLE, found.detail, extra={"state": found.state, "model": name})
    needed = PRESETS[found.preset].min_views
    if views < needed:
        text = f"{needed} views are needed, {views} loaded."
        errors = [{"pointer": "/images", "code": str(ProblemCode.TOO_FEW_VIEWS), "detail": text}]
        raise Problem(ProblemCode.TOO_FEW_VIEWS, text, errors)
