"""Where pairs run: what the processes of this machine and the machines of a cluster have in common."""

from __future__ import annotations

import typing
from dataclasses import dataclass

from gtr_core.evaluation.pair import PairOutcome, PairTask


@dataclass(frozen=True)
class Finished:
    """A pair that came to its end, whether well or with failed rows."""

    task: PairTask
    outcome: PairOutcome


@dataclass(frozen=True)
class Died:
    """A pair whose process ended under it.

    Args:
        task: the pair.
        reason: one sentence.
        innocent: whether its machine went away, so that it may be given out again.
    """

    task: PairTask
    reason: str
    innocent: bool = False


Event = Finished | Died


class Executor(typing.Protocol):
    """Runs :func:`gtr_core.evaluation.pair.run_guarded` elsewhere, several at a time."""

    @property
    def slots(self) -> int:
        """How many pairs can run at once now."""
        ...

    def submit(self, task: PairTask) -> None:
        """Start a pair; at most :attr:`slots` may be under way."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """What has happened since the last call; waits up to so long for something to happen."""
        ...

    def close(self) -> None:
        """End everything that is under way, and all processes."""
        ...
