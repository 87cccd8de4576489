"""Where tasks run: what the processes of this machine and the machines of a cluster have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Finished(Generic[Task, Outcome]):
    """A task that gave something."""

    task: Task
    outcome: Outcome


@dataclass(frozen=True)
class Failed(Generic[Task]):
    """A task that gave nothing: it raised an error, or its process ended under it.

    Args:
        task: the task.
        reason: one sentence.
        innocent: whether its machine went away, so that it may be given out again.
    """

    task: Task
    reason: str
    innocent: bool = False


Event = Finished[Task, Outcome] | Failed[Task]


class Executor(Protocol[Task, Outcome]):
    """Runs one function on many tasks elsewhere, several at a time."""

    @property
    def slots(self) -> int:
        """How many tasks can run at once now."""
        ...

    def submit(self, task: Task) -> None:
        """Start a task; at most :attr:`slots` may be under way."""
        ...

    def wait(self, seconds: float) -> list[Event[Task, Outcome]]:
        """What has happened since the last call; waits up to so long for something to happen."""
        ...

    def close(self) -> None:
        """End everything that is under way, and all processes."""
        ...
