"""Every error the server can answer with: one stable code each, sent as problem+json (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ProblemCode(StrEnum):
    """The contract with clients: codes never change their meaning. A superset of ``gtr_core.errors.ErrorCode``."""

    # What the core finds wrong with the input or the machine.
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
    # How a job can end besides.
    WORKER_CRASHED = "worker_crashed"
    WORKER_KILLED = "worker_killed"
    TIMEOUT = "timeout"
    INTERNAL = "internal"
    # What a request can get wrong.
    BAD_REQUEST = "bad_request"
    INVALID_REQUEST = "invalid_request"
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    DIGEST_MISMATCH = "digest_mismatch"
    LENGTH_REQUIRED = "length_required"
    BODY_TOO_LARGE = "body_too_large"
    MEDIA_TYPE = "media_type"
    RANGE = "range_not_satisfiable"
    # Who may ask.
    AUTH = "auth"
    FORBIDDEN_ORIGIN = "forbidden_origin"
    WRONG_HOST = "wrong_host"
    INCOMPATIBLE = "incompatible"
    # What is not there, or not in the state that the request needs.
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNKNOWN_JOB = "unknown_job"
    PURGED = "purged"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_BLOB = "unknown_blob"
    UNKNOWN_ARTIFACT = "unknown_artifact"
    MISSING_BLOBS = "missing_blobs"
    NOT_SUCCEEDED = "not_succeeded"
    CANNOT_FINISH = "cannot_finish"
    BUSY = "busy"
    QUEUE_FULL = "queue_full"
    TOO_MANY_STREAMS = "too_many_streams"
    WORKER_DEGRADED = "worker_degraded"
    STOPPING = "stopping"


STATUS: dict[ProblemCode, int] = {
    ProblemCode.INTERNAL: 500,
    ProblemCode.BAD_REQUEST: 400,
    ProblemCode.IDEMPOTENCY_KEY_MISSING: 400,
    ProblemCode.DIGEST_MISMATCH: 400,
    ProblemCode.AUTH: 401,
    ProblemCode.FORBIDDEN_ORIGIN: 403,
    ProblemCode.NOT_FOUND: 404,
    ProblemCode.UNKNOWN_JOB: 404,
    ProblemCode.UNKNOWN_MODEL: 404,
    ProblemCode.UNKNOWN_BLOB: 404,
    ProblemCode.UNKNOWN_ARTIFACT: 404,
    ProblemCode.METHOD_NOT_ALLOWED: 405,
    ProblemCode.MODEL_UNAVAILABLE: 409,
    ProblemCode.MISSING_BLOBS: 409,
    ProblemCode.NOT_SUCCEEDED: 409,
    ProblemCode.CANNOT_FINISH: 409,
    ProblemCode.BUSY: 409,
    ProblemCode.INCOMPATIBLE: 410,
    ProblemCode.PURGED: 410,
    ProblemCode.LENGTH_REQUIRED: 411,
    ProblemCode.BODY_TOO_LARGE: 413,
    ProblemCode.MEDIA_TYPE: 415,
    ProblemCode.RANGE: 416,
    ProblemCode.WRONG_HOST: 421,
    ProblemCode.QUEUE_FULL: 429,
    ProblemCode.TOO_MANY_STREAMS: 503,
    ProblemCode.WORKER_DEGRADED: 503,
    ProblemCode.STOPPING: 503,
    ProblemCode.DISK_FULL: 507,
}
"""HTTP status of each code; those not listed are 422."""

RETRYABLE = {
    ProblemCode.DIGEST_MISMATCH,
    ProblemCode.NOT_SUCCEEDED,
    ProblemCode.QUEUE_FULL,
    ProblemCode.TOO_MANY_STREAMS,
    ProblemCode.STOPPING,
}
"""The same request can succeed later, unchanged."""


@dataclass
class Problem(Exception):  # noqa: N818 - the RFC's word
    """An answer other than success.

    Args:
        code: which problem.
        detail: one sentence for people; never a path, a traceback or the input itself.
        errors: ``{"pointer": "/images/3/camera", "code": ..., "detail": ...}`` per place in the request body.
        extra: further members of the problem document, such as ``missing``.
        retry_after: seconds for the ``Retry-After`` header.
    """

    code: ProblemCode
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    retry_after: int | None = None

    @property
    def status(self) -> int:
        """HTTP status."""
        return STATUS.get(self.code, 422)

    def document(self, instance: str, request_id: str) -> dict[str, Any]:
        """The problem+json body."""
        return {
            "type": f"urn:gtr:problem:{self.code.replace('_', '-')}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "code": str(self.code),
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
            "retryable": self.code in RETRYABLE,
            "errors": self.errors,
            **self.extra,
        }
