"""Request bytes -> checked model, or a problem that names the place at fault."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from gtr_server.problems import Problem, ProblemCode

Model = TypeVar("Model", bound=BaseModel)
CODES = {str(code) for code in ProblemCode}


def parse_json(data: bytes) -> Any:
    """Strict JSON: UTF-8, no NaN or Infinity, no key twice.

    Raises:
        Problem: ``bad_request``.
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Problem(ProblemCode.BAD_REQUEST, "The body is not strict JSON.") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def check(model: type[Model], value: Any, *, strict: bool = True) -> Model:
    """Validate a parsed body.

    Raises:
        Problem: the code of the first fault that has one of its own, else ``invalid_request``.
    """
    try:
        return model.model_validate(value, strict=strict)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [describe(fault["loc"], fault["type"], fault["msg"]) for fault in faults[:20]]
    chosen = next((entry for entry in errors if entry["code"] != ProblemCode.INVALID_REQUEST), errors[0])
    detail = chosen["detail"]
    if chosen["code"] == ProblemCode.INVALID_REQUEST:
        detail = f"{chosen['pointer'] or 'The body'}: {detail}."
    raise Problem(ProblemCode(chosen["code"]), detail, errors)


def describe(location: tuple[int | str, ...], kind: str, message: str) -> dict[str, str]:
    """One entry of a problem's ``errors``: where (RFC 6901), which code, and a sentence for people."""
    place = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
    if len(location) >= 3 and location[0] == "images" and location[2] == "camera":
        number = int(location[1]) + 1
        if len(location) == 3 and kind == "missing":
            return {"pointer": place, "code": ProblemCode.CAMERA_MISSING, "detail": f"Image {number} has no camera."}
        detail = f"The camera of image {number} cannot be used: {message}."
        return {"pointer": place, "code": ProblemCode.CAMERA_INVALID, "detail": detail}
    if kind in CODES:
        return {"pointer": place, "code": kind, "detail": message}
    return {"pointer": place, "code": ProblemCode.INVALID_REQUEST, "detail": message}
