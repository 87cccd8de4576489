"""One texture refinement, looked at after certain numbers of steps and seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from gtr_core.pipeline import MAX_REFINE_STEPS, Pipeline, Reconstruction
from gtr_core.progress import Progress, no_progress
from gtr_core.stages.texture_config import Learns


class Stopwatch:
    """Wall time and processor time of the parts of a work that count.

    Args:
        device: whose queued work is waited for, so that it counts where it belongs.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self.device = device
        self._since: tuple[float, float] | None = None

    def start(self) -> None:
        """Count from here on."""
        self._since = self._now()

    def pause(self) -> None:
        """Count no further."""
        self.seconds, self.cpu_seconds = self.read()
        self._since = None

    def read(self) -> tuple[float, float]:
        """Wall and processor seconds so far."""
        if self._since is None:
            return self.seconds, self.cpu_seconds
        now = self._now()
        return self.seconds + now[0] - self._since[0], self.cpu_seconds + now[1] - self._since[1]

    def _now(self) -> tuple[float, float]:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter(), time.process_time()


@dataclass(frozen=True)
class Milestones:
    """When to look at a refinement.

    Args:
        steps: after so many.
        seconds: at the first step that ends after so much wall time of the refinement.
    """

    steps: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()

    @property
    def variants(self) -> tuple[str, ...]:
        """Their names in a report."""
        return (*(f"+{steps} steps" for steps in self.steps), *(f"+{seconds:g} s" for seconds in self.seconds))


@dataclass(frozen=True)
class Snapshot:
    """A refinement as it stood when a milestone was reached.

    Args:
        variant: the milestone's name.
        reconstruction: with the refined texture.
        seconds: of wall time that refining so far takes, once only.
        cpu_seconds: of processor time.
        steps: taken so far.
    """

    variant: str
    reconstruction: Reconstruction
    seconds: float
    cpu_seconds: float
    steps: int


def refinement_snapshots(
    pipeline: Pipeline,
    reconstruction: Reconstruction,
    milestones: Milestones,
    *,
    exact: bool = False,
    learns: Learns = "both",
    progress: Progress = no_progress,
) -> Iterator[Snapshot]:
    """Refine a texture once, and hand out what it is at every milestone.

    What a look costs is not counted for later milestones: neither the colours of the snapshot nor the preparation that
    going on needs. Nor does it change anything: a refinement that keeps the best texture is only stopped by the clock
    at steps at which it looks at its texture anyway.

    Args:
        pipeline: that refines.
        reconstruction: not refined yet.
        milestones: when to look.
        exact: see :meth:`gtr_core.pipeline.Pipeline.refine_texture`.
        learns: likewise.
        progress: stage ``texture`` with the steps taken so far.
    """
    config = pipeline.preset.refinement(exact=exact).config
    rhythm = config.check_every if config.held_out else 1
    run = _Run(milestones, rhythm, pipeline.device, progress)
    while run.open:
        if run.steps == 0:
            run.watch.start()
        reconstruction = pipeline.refine_texture(
            reconstruction,
            steps=MAX_REFINE_STEPS,
            exact=exact,
            learns=learns,
            progress=run.progress,
            should_finish=run.should_finish,
        )
        for variant, seconds, cpu_seconds in run.take_reached():
            yield Snapshot(variant, reconstruction, seconds, cpu_seconds, run.steps)


class _Run:
    """Where a refinement stands between its milestones."""

    def __init__(self, milestones: Milestones, rhythm: int, device: torch.device, progress: Progress) -> None:
        self.watch, self.steps = Stopwatch(device), 0
        self._ending = Stopwatch(device)
        self._rhythm, self._progress = rhythm, progress
        wanted: list[tuple[int, float]] = [(steps, 0.0) for steps in milestones.steps]
        wanted += [(0, seconds) for seconds in milestones.seconds]
        self.open = dict(zip(milestones.variants, wanted, strict=True))

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass on; the first step of a continuation starts the watch."""
        if stage == "texture" and done == 0 and self.steps:
            self.watch.start()
        self._progress(stage, self.steps if stage == "texture" else done, total)

    def should_finish(self) -> bool:
        """After each step."""
        self.steps += 1
        if not self._reached():
            return False
        self.watch.pause()
        self._ending = Stopwatch(self.watch.device)
        self._ending.start()
        return True

    def take_reached(self) -> list[tuple[str, float, float]]:
        """Take the milestones that are reached off the list: variants with wall and processor seconds."""
        seconds, cpu_seconds = self._ending.read()
        names = self._reached()
        for name in names:
            del self.open[name]
        return [(name, self.watch.seconds + seconds, self.watch.cpu_seconds + cpu_seconds) for name in names]

    def _reached(self) -> list[str]:
        clock = self.watch.read()[0]
        in_rhythm = self.steps % self._rhythm == 0
        return [
            name
            for name, (steps, seconds) in self.open.items()
            if (self.steps >= steps if steps else in_rhythm and clock >= seconds)
        ]
