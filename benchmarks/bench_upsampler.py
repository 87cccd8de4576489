"""Which upsampler leaves a grid in the planes: pixel shuffle or deconvolution (paper section 3.1)?

    python benchmarks/bench_upsampler.py

Both get the same tokens and learn the same smooth planes, in the same number of steps. A token is a fixed random
mixture of the planes' means over its 5 x 5 nearest tokens; only the upsampler learns. Judged on planes that it has not
seen: the error, and what of it is a grid (:mod:`gtr_core.evaluation.grid_artefact`). Untrained upsamplers are judged by
what they draw themselves.

Writes ``results/upsampler.json`` and ``docs/pictures/upsampler.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn
from torch.nn import functional
from upsampler_picture import Panel, draw_picture

from gtr_core.evaluation.grid_artefact import line_spectrum, measure_grid
from gtr_core.evaluation.provenance import commit, device_name
from gtr_core.model.config import ModelConfig
from gtr_core.model.initial import normal_weights
from gtr_core.model.upsampler import build_upsampler

ROOT = Path(__file__).resolve().parent.parent
SIZES = ModelConfig(width=128, num_heads=1, plane_tokens=16, plane_channels=4, upsample=8)
UPSAMPLERS = {
    "pixel shuffle": SIZES,
    "pixel shuffle, even start": replace(SIZES, even_upsampling=True),
    "deconvolution": replace(SIZES, upsampler="deconvolution"),
}
RATE = 1e-2
"""Of Adam; with 1e-3 and 3e-3 each of the three leaves a larger error."""
STEPS = (400, 1600)
WAVELENGTH = 4.0
"""Of the finest detail in the planes, in tokens."""
MARGIN = 3
"""Tokens at each border that are not judged."""
WAVES, TRAINING, HELD_OUT, BATCH = 24, 256, 32, 4


@dataclass(frozen=True)
class Run:
    """One upsampler from one seed.

    Args:
        upsampler: its name.
        seed: of tokens, planes, weights and order.
        steps: that it has learned; all figures of an untrained one are of its own planes, scaled to unit rms.
        parameters: numbers in it.
        cpu_seconds: of the training.
        error: root mean square on planes it has not seen, over that of the planes.
        fine: the same of the part of the error that is finer than two tokens (mean of both axes). The planes have
            nothing there, so all of it comes from the upsampler.
        pattern: the same of the part that repeats in every token.
        pattern_share: power of that part over the power of the error.
        lines: how far that part stands out of the spectrum, 1 = not at all.
        images: how far copies of the content do that are shifted by the frequencies of the tokens, 1 = not at all.
        seams: mean square of the steps across borders of tokens over that of all steps, 1 = no seams.
    """

    upsampler: str
    seed: int
    steps: int
    parameters: int
    cpu_seconds: float
    error: float
    fine: float
    pattern: float
    pattern_share: float
    lines: float
    images: float
    seams: float


class Task:
    """Tokens and the planes that belong to them, from a seed."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.planes = smooth_planes(TRAINING + HELD_OUT, generator)
        channels, width = SIZES.plane_channels, SIZES.width
        look = nn.Conv2d(channels, width, 5, padding=2, padding_mode="replicate")
        normal_weights(look, generator)
        with torch.no_grad():
            coarse = functional.avg_pool2d(self.planes, SIZES.upsample)
            tokens = look(coarse).permute(0, 2, 3, 1)
        self.tokens = tokens / tokens.square().mean().sqrt()

    def batches(self, steps: int, seed: int) -> list[Tensor]:
        """Indices of the training planes of each step."""
        generator = torch.Generator().manual_seed(seed)
        return [torch.randint(TRAINING, (BATCH,), generator=generator) for _ in range(steps)]


def smooth_planes(count: int, generator: torch.Generator) -> Tensor:
    """(count, C, R, R) sums of plane waves of at least :data:`WAVELENGTH` tokens, unit variance."""
    side = SIZES.plane_resolution
    shape = (count, SIZES.plane_channels, WAVES, 1, 1)
    direction = torch.rand(shape, generator=generator) * 2 * torch.pi
    finest = 2 * torch.pi / (WAVELENGTH * SIZES.upsample)
    frequency = finest * torch.rand(shape, generator=generator).sqrt()  # even in the disk of all frequencies
    phase = torch.rand(shape, generator=generator) * 2 * torch.pi
    line = torch.arange(side).float()
    total = torch.zeros(count, SIZES.plane_channels, side, side)
    for wave in range(WAVES):
        u, v = frequency[:, :, wave] * direction[:, :, wave].cos(), frequency[:, :, wave] * direction[:, :, wave].sin()
        total += (u * line + v * line[:, None] + phase[:, :, wave]).sin()
    return total * (2 / WAVES) ** 0.5


def train(upsampler: nn.Module, task: Task, steps: int, seed: int) -> float:
    """Mean squared error, Adam, the rate falling along a cosine; returns the CPU seconds."""
    clock = time.process_time()
    adam = torch.optim.Adam(upsampler.parameters(), lr=RATE)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for chosen in task.batches(steps, seed):
        adam.zero_grad()
        functional.mse_loss(upsampler(task.tokens[chosen]), task.planes[chosen]).backward()
        adam.step()
        fall.step()
    return time.process_time() - clock


def judge(name: str, seed: int, upsampler: nn.Module, task: Task, *, steps: int, seconds: float) -> tuple[Run, Panel]:
    """The figures, and what to show of them."""
    with torch.no_grad():
        planes = upsampler(task.tokens[TRAINING:])
    planes, truth = (_inner(values) for values in (planes, task.planes[TRAINING:]))
    scale = float((truth if steps else planes).square().mean().sqrt())
    error = (planes - truth if steps else planes - planes.mean((2, 3), keepdim=True)) / scale
    grid = measure_grid(error, SIZES.upsample)
    run = Run(
        name, seed, steps, sum(p.numel() for p in upsampler.parameters()), seconds,
        float(error.square().mean().sqrt()), _fine(error), grid.rms, grid.share, grid.lines, grid.images, grid.seams,
    )  # fmt: skip
    shown = planes[0, 0] / scale
    return run, Panel(name, steps, truth[0, 0] / scale if steps else None, shown, error, run.fine)


def _fine(error: Tensor) -> float:
    """Root mean square of what is finer than two tokens."""
    power = 0.0
    for axis in (-1, -2):
        spectrum = line_spectrum(error, SIZES.upsample, axis=axis)
        power += float(spectrum.power[spectrum.frequency > 0.5 / SIZES.upsample].sum()) / 2
    return power**0.5


def _inner(planes: Tensor) -> Tensor:
    """Without the tokens at the border, whose neighbours are made up."""
    margin = MARGIN * SIZES.upsample
    return planes[..., margin:-margin, margin:-margin]


def compare(seed: int, all_steps: tuple[int, ...]) -> list[tuple[Run, Panel]]:
    """All upsamplers of one seed, untrained and trained."""
    task, results = Task(seed), []
    for name, config in UPSAMPLERS.items():
        for steps in (0, *all_steps):
            upsampler = build_upsampler(config, generator=torch.Generator().manual_seed(seed))
            seconds = train(upsampler, task, steps, seed) if steps else 0.0
            results.append(judge(name, seed, upsampler, task, steps=steps, seconds=seconds))
            print(show(results[-1][0]), flush=True)
    return results


def show(run: Run) -> str:
    """One line."""
    return (
        f"seed {run.seed} {run.upsampler:26} {run.steps:5} steps  error {run.error:.4f}  fine {run.fine:.4f}  "
        f"pattern {run.pattern:.4f} ({run.pattern_share:.1%})  lines x{run.lines:.2f}  images x{run.images:.2f}  "
        f"seams x{run.seams:.2f}  {run.cpu_seconds:.1f} s"
    )


FIGURES = ("error", "fine", "pattern", "pattern_share", "lines", "images", "seams", "cpu_seconds")


def summary(runs: list[Run]) -> list[dict[str, object]]:
    """Mean and standard deviation over the seeds."""
    rows: list[dict[str, object]] = []
    for name, steps in dict.fromkeys((run.upsampler, run.steps) for run in runs):
        group = [run for run in runs if (run.upsampler, run.steps) == (name, steps)]
        row: dict[str, object] = {"upsampler": name, "steps": steps, "parameters": group[0].parameters}
        for figure in FIGURES:
            values = [getattr(run, figure) for run in group]
            row[figure] = {"mean": statistics.mean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0}
        rows.append(row)
    return rows


def main() -> None:
    """Measure, write the figures and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "upsampler.json")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "pictures" / "upsampler.png")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs, panels = [], []
    for seed in range(arguments.seeds):
        results = compare(seed, tuple(arguments.steps))
        runs += [run for run, _ in results]
        if seed == 0:
            panels = [panel for run, panel in results if run.steps in (0, max(arguments.steps))]
    task = {"tokens": SIZES.plane_tokens, "upsample": SIZES.upsample, "channels": SIZES.plane_channels,
            "width": SIZES.width, "wavelength_tokens": WAVELENGTH, "training": TRAINING, "held_out": HELD_OUT,
            "batch": BATCH, "rate": RATE, "margin": MARGIN}  # fmt: skip
    where = {"device": device_name(torch.device("cpu")), "threads": 1, "commit": commit()}
    report = {**where, "task": task, "table": summary(runs), "runs": [asdict(r) for r in runs]}
    arguments.out.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    draw_picture(panels, SIZES.upsample, arguments.picture)


if __name__ == "__main__":
    main()
