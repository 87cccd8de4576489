"""Running a training: until it is over, with log, pictures and checkpoints, and stopping without loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gtr_core.io.atomic import making_folder, write_atomic
from gtr_core.io.images import encode_picture
from gtr_core.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from gtr_core.training.log import Means, TrainingLog
from gtr_core.training.trainer import StepRecord, Trainer, TrainingDiverged
from gtr_core.training.validation import Validation

CHECKPOINTS, PICTURES = "checkpoints", "pictures"


@dataclass(frozen=True)
class Rhythm:
    """How often things happen besides training.

    Args:
        log_steps: steps between two rows of the log.
        checkpoint_seconds: between two checkpoints.
        picture_seconds: between two pictures.
        call_seconds: after which this call stops although the run is not over; None for no such limit.
    """

    log_steps: int = 10
    checkpoint_seconds: float = 120.0
    picture_seconds: float = 300.0
    call_seconds: float | None = None


class Report:
    """What is told while a run goes on; this one tells nothing."""

    def row(self, row: dict[str, float]) -> None:
        """A row of the log was written."""

    def step(self, record: StepRecord, share: float) -> None:
        """A step was taken, and this share of the run is over."""


def run_training(
    trainer: Trainer,
    folder: Path,
    *,
    validation: Validation | None = None,
    rhythm: Rhythm | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    report: Report | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Train until the run is over or somebody wants it to stop; the state is saved in both cases.

    Args:
        trainer: fresh; if the folder has a checkpoint it goes on from there.
        folder: of the run.
        validation: objects to look at, of which only the first process needs to know; None for none.
        rhythm: how often things happen.
        should_stop: asked after each step.
        report: is told what happens.
        clock: seconds, monotonic.

    Returns:
        Whether the run is over; otherwise the next call goes on with it.

    Raises:
        TrainingDiverged: the state is kept as the checkpoint ``diverged``, which no call goes on from.
        GtrError: when the folder cannot be written or its checkpoint cannot be read.
    """
    loop = _Loop(trainer, folder, validation, rhythm or Rhythm(), report or Report(), clock)
    with trainer.feed:
        return loop.run(should_stop)


class _Loop:
    """One call of :func:`run_training`.

    Every process makes the same moves, because networks are gathered from all of them; only the first writes files.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        validation: Validation | None,
        rhythm: Rhythm,
        report: Report,
        clock: Callable[[], float],
    ) -> None:
        self._trainer, self._folder, self._validation = trainer, folder, validation
        self._rhythm, self._report, self._clock = rhythm, report, clock
        checkpoint = latest_checkpoint(folder / CHECKPOINTS)
        if checkpoint is not None:
            device = "cpu" if trainer.world.sharded else trainer.world.device  # whole, it may not fit there
            trainer.restore(load_checkpoint(checkpoint, device))
        self._means = Means()
        self._started, self._before = clock(), trainer.seconds
        self._saved = self._drawn = trainer.seconds  # not by the clock: all processes save and draw at the same step
        self._row_seconds, self._row_samples = trainer.seconds, trainer.samples
        self._log: TrainingLog | None = None
        if trainer.world.is_first:
            making_folder(folder)
            self._log = TrainingLog(folder, trainer.step)

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """See :func:`run_training`."""
        trainer, stopping = self._trainer, False
        if trainer.is_over:
            return True
        if trainer.step == 0:
            self._judge()
        while not trainer.is_over and not stopping:
            try:
                record = trainer.advance()
            except TrainingDiverged:
                self._save("diverged")
                raise
            spent = self._clock() - self._started
            limit = self._rhythm.call_seconds
            wants = should_stop() or (limit is not None and spent >= limit)
            stopping, trainer.seconds = trainer.world.agree(wants, self._before + spent)
            self._after(record)
            stopping = stopping or trainer.is_over
        self._finish()
        return trainer.is_over

    def _after(self, record: StepRecord) -> None:
        trainer = self._trainer
        self._means.add(
            record.terms
            | {"loss": record.loss, "gradient_norm": record.norm, "skipped": float(record.verdict != "good")}
        )
        self._report.step(record, trainer.share)
        if record.step % self._rhythm.log_steps == 0:
            self._write_row(record)
        if trainer.seconds - self._saved >= self._rhythm.checkpoint_seconds:
            self._save()
            self._saved = trainer.seconds

    def _write_row(self, record: StepRecord) -> None:
        trainer = self._trainer
        seconds = max(trainer.seconds - self._row_seconds, 1e-9)
        row = {
            "step": float(record.step),
            "samples": float(record.samples),
            "seconds": trainer.seconds,
            "samples_per_second": (trainer.samples - self._row_samples) / seconds,
            "learning_rate": record.rate,
            **self._means.take(),
        }
        self._row_seconds, self._row_samples = trainer.seconds, trainer.samples
        if trainer.seconds - self._drawn >= self._rhythm.picture_seconds:
            self._look(row)
        self._tell(row)

    def _tell(self, row: dict[str, float]) -> None:
        if self._log is not None:
            self._log.write(row)
        self._report.row(row)

    def _look(self, row: dict[str, float]) -> None:
        """Draw the fixed objects and put their PSNR into a row."""
        self._drawn = self._trainer.seconds
        model = self._trainer.averaged_model()
        if self._validation is None or self._log is None or model is None:
            return
        picture, value = self._validation.look(model)
        making_folder(self._folder / PICTURES)
        path = self._folder / PICTURES / f"{self._trainer.step:08d}.png"
        write_atomic(path, encode_picture(picture))
        self._log.picture(picture, self._trainer.step)
        row["validation_psnr"] = value

    def _finish(self) -> None:
        """The last checkpoint, and the last look."""
        self._save()
        trainer = self._trainer
        if trainer.is_over:
            self._judge()
        if self._log is not None:
            self._log.close()
        trainer.world.wait()

    def _judge(self) -> None:
        """Look, and write a row of nothing else."""
        trainer = self._trainer
        row = {"step": float(trainer.step), "samples": float(trainer.samples), "seconds": trainer.seconds}
        self._look(row)
        if "validation_psnr" in row:
            self._tell(row)

    def _save(self, name: str | None = None) -> None:
        state = self._trainer.state()
        if self._trainer.world.is_first:
            save_checkpoint(self._folder / CHECKPOINTS, state, name=name)
