"""The models that a job can name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gtr_core.presets import PRESETS
from gtr_server.problems import Problem, ProblemCode


@dataclass(frozen=True)
class Model:
    """One line of GET /models.

    Args:
        id: name of the preset.
        sha256: of its weights; None without any.
        state: ``ready``, ``absent`` or ``invalid``.
        code: why it is not ready.
        license: SPDX identifier.
    """

    id: str
    sha256: str | None
    state: str
    code: str | None
    license: str | None


LEARNED = ("gtr-mini", "gtr-release", "gtr-paper")
"""Presets that need weights."""


def all_models() -> list[Model]:
    """All models, usable or not."""
    fitted = [Model(name, None, "ready", None, "Apache-2.0") for name in PRESETS]
    learned = [Model(name, None, "absent", "missing_weights", None) for name in LEARNED if name not in PRESETS]
    return fitted + learned


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
        raise Problem(ProblemCode.MODEL_UNAVAILABLE, "Model file not found.", extra={"state": found.state})
    needed = PRESETS[name].min_views
    if views < needed:
        text = f"{needed} views are needed, {views} loaded."
        errors = [{"pointer": "/images", "code": str(ProblemCode.TOO_FEW_VIEWS), "detail": text}]
        raise Problem(ProblemCode.TOO_FEW_VIEWS, text, errors)
