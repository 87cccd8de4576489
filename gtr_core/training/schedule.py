"""How far a run is, and the learning rate there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """Warm-up, then a cosine to 0 (paper section 4.1).

    Args:
        learning_rate: the highest.
        steps: of the whole run.
        warmup_steps: over which the rate rises from 0.
        clock: what the run is measured by: its steps; or the time spent in training, if the run has a time budget, so
            that the rate reaches 0 when the time is over, however fast the machine is.
    """

    learning_rate: float
    steps: int
    warmup_steps: int = 0
    clock: Literal["steps", "seconds"] = "steps"

    def share(self, step: int, seconds: float, budget: float | None) -> float:
        """Share of the run that is over, in [0, 1].

        Args:
            step: steps done.
            seconds: spent in training, over all calls.
            budget: seconds that the whole run may take; None when nobody counts.
        """
        if self.clock == "seconds" and budget is not None:
            return min(seconds / budget, 1.0)
        return min(step / self.steps, 1.0)

    def is_over(self, step: int, seconds: float, budget: float | None) -> bool:
        """Whether the run has come to its end: all steps are done, or the budget is spent."""
        if budget is not None and seconds >= budget:
            return True
        return (self.clock == "steps" or budget is None) and step >= self.steps

    def rate(self, step: int, share: float) -> float:
        """Learning rate of the step after ``step`` steps, at this share of the run."""
        warm = min((step + 1) / self.warmup_steps, 1.0) if self.warmup_steps else 1.0
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * share))
