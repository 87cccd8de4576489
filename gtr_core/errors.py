"""What can go wrong, in words for the person who has to put it right."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Stable names of the errors; server and panel pass them on unchanged."""

    BAD_INPUT = "bad_input"
    TOO_FEW_VIEWS = "too_few_views"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_FORMAT = "image_format"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_SMALL = "image_too_small"
    NO_ALPHA = "no_alpha"
    EMPTY_MASK = "empty_mask"
    CAMERA_MISSING = "camera_missing"
    CAMERA_INVALID = "camera_invalid"
    EMPTY_RECONSTRUCTION = "empty_reconstruction"
    MODEL_UNAVAILABLE = "model_unavailable"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"


class GtrError(Exception):
    """An error that the user can act on.

    Args:
        code: which error it is.
        message: one plain sentence, with the numbers and names that matter.
        hint: what to do about it, one sentence; may be empty when the message says it.
        view: index of the view at fault (from 0), if it is one view's fault.
    """

    def __init__(self, code: ErrorCode, message: str, hint: str = "", *, view: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.view = view

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
