"""The border of a process: an error that a task raises, foreseen or not, goes back as a sentence."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from gtr_core.errors import GtrError
from gtr_core.parallel.executor import Event, Failed, Finished, Outcome, Task

_LONGEST = 300
"""Characters of the message of an unforeseen error."""


@dataclass(frozen=True)
class Raised:
    """Stands for the outcome of a task that raised an error.

    Args:
        reason: one sentence.
    """

    reason: str


def guarded(function: Callable[[], Outcome]) -> Outcome | Raised:
    """What a function returns; it lets no error out."""
    try:
        return function()
    except GtrError as error:
        return Raised(str(error))
    except Exception as error:
        return Raised(_unforeseen(error))


def event_of(task: Task, outcome: Outcome | Raised) -> Event[Task, Outcome]:
    """What has become of a task that was run :func:`guarded`."""
    return Failed(task, outcome.reason) if isinstance(outcome, Raised) else Finished(task, outcome)


def _unforeseen(error: Exception) -> str:
    text = " ".join(str(error).split())[:_LONGEST]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return f"The memory ran out. {text}".strip()
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"Unforeseen {type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}: {text}"
