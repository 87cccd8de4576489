"""Which refinement is better in the same seconds: all pixels in every step, or random subsets of them?

    python benchmarks/bench_refine_modes.py --objects spot_cow cracker_box --starts blurred --losses l2

Novel-view PSNR (five views that were not refined on, a colour from the field at every sample of a pixel) after fixed
numbers of steps and after fixed CPU seconds of one thread. The seconds count everything but drawing the mesh into the
views, which all modes need once. Six input views of 512 px, released size of planes and network, the settings of
``gtr-release`` (loss l1) or ``gtr-paper`` (l2) otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from object_views import ROOT
from refine_start import Start, make_starts
from torch import Tensor, nn

from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.image import psnr
from gtr_core.stages.surface_samples import sample_surface
from gtr_core.stages.texture_config import PAPER_EXACT, RELEASE_EXACT
from gtr_core.stages.texture_learner import TextureLearner
from gtr_core.stages.texture_pixels import TexturedSurface
from gtr_core.views import Views

LOSSES = {"l1": RELEASE_EXACT, "l2": PAPER_EXACT}
MODES = {
    "exact": (0, 0.15),
    "16384 pixels": (1 << 14, 0.05),
    "16384 pixels at 0.15": (1 << 14, 0.15),
    "32768 pixels at 0.15": (1 << 15, 0.15),
}
"""Pixels in each step, 0 takes all, and the planes' learning rate."""
STEPS = (20, 50, 100)
SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
_MOST_EXACT_STEPS = 20
_PART = 1 << 13
Quality = Callable[[Tensor, nn.Module], float]


@dataclass(frozen=True)
class Run:
    """One refinement.

    Args:
        psnr_start: novel views before it, dB.
        at_steps: the same after so many steps, with the CPU seconds that they took.
        at_seconds: the same after so many CPU seconds, with the steps that fit into them.
    """

    name: str
    start: str
    loss: str
    mode: str
    num_pixels: int
    psnr_start: float
    at_steps: dict[str, tuple[float, float]]
    at_seconds: dict[str, tuple[float, int]]


def measure(name: str, kind: str, start: Start, loss: str, mode: str, quality: Quality) -> Run:
    """Refine until both the last of ``SECONDS`` and the last of ``STEPS`` are passed."""
    pixels, rate = MODES[mode]
    config = replace(LOSSES[loss], pixels_per_step=pixels, planes_lr=rate)
    samples = sample_surface(start.mesh, start.views, config)
    field, surface = start.field, TexturedSurface(start.field, samples, config)
    clock = time.process_time()
    learner = TextureLearner(field, surface, config)
    spent = time.process_time() - clock
    run = Run(name, kind, loss, mode, len(samples), quality(field.planes, field.color_mlp), {}, {})
    waiting, steps, most = list(SECONDS), 0, _MOST_EXACT_STEPS if mode == "exact" else max(STEPS)
    while steps < most or waiting:
        before = learner.optimizer.snapshot() if mode == "exact" else None
        clock = time.process_time()
        learner.step()
        spent += time.process_time() - clock
        while waiting and spent > waiting[0]:
            # A full step is longer than a budget, so what counts is the texture before it; a short one counts itself.
            texture = before or learner.optimizer.snapshot()
            run.at_seconds[f"{waiting.pop(0):g}"] = (quality(*texture), steps if before else steps + 1)
        steps += 1
        if steps in STEPS:
            run.at_steps[str(steps)] = (quality(*learner.optimizer.snapshot()), spent)
    return run


def quality_on(start: Start) -> Quality:
    """Mean PSNR over the novel views under a texture."""
    config = RELEASE_EXACT
    surface = TexturedSurface(start.field, sample_surface(start.mesh, start.novel, config), config)
    covered = _covered(start.mesh, start.novel)
    parts = [surface.sites(part) for part in torch.split(torch.arange(len(surface.samples)), _PART)]
    truth = start.novel.composite()

    def quality(planes: Tensor, color_mlp: nn.Module) -> float:
        picture = torch.ones_like(truth)
        with torch.no_grad():
            colors = torch.cat([surface.pixel_colors(planes, color_mlp, sites) for sites in parts])
        picture[covered] = colors.clamp(0, 1)
        return float(psnr(picture, truth).mean())

    return quality


def _covered(mesh: Mesh, views: Views) -> Tensor:
    """(V, H, W) pixels that have samples, in the order of the samples."""
    return render_mesh(Mesh(mesh.vertices, mesh.faces), views.cameras, supersample=2).mask > 0


def table(runs: list[Run]) -> list[dict[str, object]]:
    """Means over the objects for every start, loss and mode."""
    rows = []
    for key in dict.fromkeys((run.start, run.loss, run.mode) for run in runs):
        group = [run for run in runs if (run.start, run.loss, run.mode) == key]
        rows.append(
            {
                "start": key[0], "loss": key[1], "mode": key[2], "objects": len(group),
                "psnr_start": _mean([run.psnr_start for run in group]),
                "at_steps": {
                    k: [_mean([run.at_steps[k][i] for run in group]) for i in (0, 1)] for k in group[0].at_steps
                },
                "at_seconds": {k: _mean([run.at_seconds[k][0] for run in group]) for k in group[0].at_seconds},
            }
        )  # fmt: skip
    return rows


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 3)


def show(row: dict[str, object]) -> str:
    """One line of the table."""
    at_steps, at_seconds = row["at_steps"], row["at_seconds"]
    assert isinstance(at_steps, dict)
    assert isinstance(at_seconds, dict)
    steps = "  ".join(f"{k} steps {v[0]:5.2f} dB ({v[1]:4.1f} s)" for k, v in at_steps.items())
    seconds = "  ".join(f"{float(k):g} s {v:5.2f}" for k, v in at_seconds.items())
    return f"{row['start']:9} {row['loss']} {row['mode']:20} start {row['psnr_start']:5.2f} | {steps} | {seconds}"


def main() -> None:
    """Measure and write ``results/refine_modes.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", nargs="*", default=[])
    parser.add_argument("--starts", nargs="+", default=["blurred"], choices=["blurred", "untrained"])
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=LOSSES)
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "refine_modes.json")
    parser.add_argument("--join", nargs="*", default=[], type=Path, help="reports whose runs come first")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = [Run(**run) for path in arguments.join for run in json.loads(path.read_text())["runs"]]
    for name in arguments.objects:
        for kind, start in make_starts(name, arguments.starts).items():
            quality = quality_on(start)
            for loss in arguments.losses:
                for mode in arguments.modes:
                    runs.append(measure(name, kind, start, loss, mode, quality))
                    print(name, show(table(runs[-1:])[0]), flush=True)
                    write_report(arguments.out, runs)
    write_report(arguments.out, runs)
    for row in table(runs):
        print(show(row))


def write_report(path: Path, runs: list[Run]) -> None:
    """Write what is measured so far."""
    report = {"device": "cpu", "threads": 1, "table": table(runs), "runs": [asdict(run) for run in runs]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
