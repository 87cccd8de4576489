"""In which order pairs are given out."""

from __future__ import annotations

from collections.abc import Iterable

from gtr_core.evaluation.pair import PairTask

ATTEMPTS = 3
"""How often a pair is given out when its machine goes away."""


class Schedule:
    """Pairs that are still to run, object by object.

    The first pair of an object runs alone: it renders the true views, which the others then find in the cache.

    Args:
        tasks: in the order in which they are wanted, those of an object together.
    """

    def __init__(self, tasks: Iterable[PairTask]) -> None:
        self._waiting: dict[str, list[PairTask]] = {}
        for task in tasks:
            self._waiting.setdefault(task.file.name, []).append(task)
        self._fresh = set(self._waiting)
        self._first: set[str] = set()
        self._attempts: dict[tuple[str, str], int] = {}

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def next(self) -> PairTask | None:
        """A pair to start now; None when there is none, or it has to wait for the first one of its object."""
        for name, tasks in self._waiting.items():
            if tasks and name not in self._first:
                if name in self._fresh:
                    self._fresh.remove(name)
                    self._first.add(name)
                task = tasks.pop(0)
                self._attempts[_key(task)] = self._attempts.get(_key(task), 0) + 1
                return task
        return None

    def ended(self, task: PairTask) -> None:
        """A pair is over, well or not."""
        self._first.discard(task.file.name)

    def again(self, task: PairTask) -> bool:
        """Take a pair back whose machine went away; False when that has happened too often."""
        self.ended(task)
        if self._attempts[_key(task)] >= ATTEMPTS:
            return False
        self._waiting[task.file.name].insert(0, task)
        return True


def _key(task: PairTask) -> tuple[str, str]:
    return task.file.name, task.system.name
