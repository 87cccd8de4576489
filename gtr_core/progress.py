"""The one protocol for progress and cancelling."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``; a caller that wants to stop raises :class:`Cancelled` inside it."""

STAGES = ("encode", "hull", "fit", "fuse", "extract", "color", "texture")
"""Stage names in the order in which a job meets them (a job may leave some out)."""


class Cancelled(Exception):  # noqa: N818 - not an error: the caller asked for it
    """Raised inside a progress callback to stop; the core then leaves nothing half-changed."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Ignore progress: the default of every long call."""
