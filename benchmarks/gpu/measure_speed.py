"""Samples per second of a preset's first stage on one device, with the largest batch that fits.

The same batch is shown again and again: what is measured is the training, not the making of data.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gtr_core.data.dataset import Batch, BatchRequest, TrainingSource, join
from gtr_core.data.procedural_source import ProceduralSource
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.training.distributed import World
from gtr_core.training.perceptual import Perceptual
from gtr_core.training.recipes import get_recipe
from gtr_core.training.trainer import Trainer

BATCHES = (16, 8, 4, 2, 1)
SAMPLES_OF_THE_PAPER = 150_000 * 512


@dataclass
class OneSample:
    """Implements :class:`gtr_core.data.dataset.TrainingSource`: the same object again and again.

    Args:
        source: where it comes from.
    """

    source: TrainingSource
    _kept: Batch | None = None

    @property
    def name(self) -> str:
        """For logs."""
        return "one object"

    @property
    def has_points(self) -> bool:
        """As the source."""
        return self.source.has_points

    def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        """The sample as often as numbers are wanted."""
        if self._kept is None:
            self._kept = self.source.batch(seed, [0], request)
        return replace(join([self._kept] * len(indices)), indices=torch.tensor(list(indices)))

    def validation(self, indices: Sequence[int], request: BatchRequest) -> Batch:
        """As the source."""
        return self.source.validation(indices, request)


def trainer_of(preset: str, batch: int, source: TrainingSource, device: torch.device) -> Trainer:
    """A fresh run."""
    recipe = get_recipe(preset, "nerf")
    recipe = replace(recipe, phases=tuple(phase.with_batch(batch) for phase in recipe.phases))
    model = GTR(CONFIGS[preset], generator=torch.Generator().manual_seed(0)).to(device)
    return Trainer(
        model, recipe, source, lambda phase: Perceptual(phase.loss.perceptual, None), World(0, 1, device)
    )  # fmt: skip


def measure(preset: str, batch: int, source: TrainingSource, device: torch.device, steps: int) -> dict[str, Any]:
    """Samples per second over some steps after a first one."""
    trainer = trainer_of(preset, batch, source, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trainer.advance()
    began = time.perf_counter()
    for _ in range(steps):
        trainer.advance()  # reads the loss, so it waits for the device
    seconds = time.perf_counter() - began
    rate = steps * batch / seconds
    return {
        "preset": preset,
        "batch": batch,
        "steps": steps,
        "seconds_per_step": seconds / steps,
        "samples_per_second": rate,
        "peak_memory": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
        "paper_gpu_hours": SAMPLES_OF_THE_PAPER / rate / 3600,
        "perceptual": "SSIM and gradient terms instead of LPIPS",
    }


def main() -> None:
    """Try batches from the largest on; write the first that fits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    device = torch.device(options.device)
    source = OneSample(ProceduralSource(objects=0))
    batches = BATCHES if device.type == "cuda" else BATCHES[-1:]
    for batch in batches:
        try:
            figures = measure(options.preset, batch, source, device, 4 if device.type == "cuda" else 1)
        except torch.OutOfMemoryError:
            print(f"a batch of {batch} does not fit")
            torch.cuda.empty_cache()
            continue
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
        print(json.dumps(figures))
        return
    raise SystemExit(f"not even one object of {options.preset} fits")


if __name__ == "__main__":
    main()
