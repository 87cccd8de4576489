"""Does training learn? ``gtr-tiny`` on a few procedural objects, first through the volume, then through the surface.

    python benchmarks/bench_training.py

Both stages run as a user runs them (``gtr train``), in calls that go on where the last one stopped. After each call the
network is judged, as a volume and as a mesh, on the same new views of all objects. It sees four pictures of an object
out of 32 that were drawn once, never those that it is judged by. It is small and its pictures have 32 px: this shows
that the losses lead where they should, not how good GTR is.

Writes ``benchmarks/results/training.json`` and ``docs/pictures/training.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from curves import WIDTH, Curve, draw_curves
from PIL import Image

from gtr_core.cli.main import OK, main
from gtr_core.data.procedural_source import ProceduralSource
from gtr_core.metrics.image import psnr
from gtr_core.model.configs import CONFIGS
from gtr_core.model.weights import load_model
from gtr_core.training.checkpoint import latest_checkpoint, load_checkpoint
from gtr_core.training.log import read_log
from gtr_core.training.loop import CHECKPOINTS
from gtr_core.training.recipe import StageName
from gtr_core.training.recipes import get_recipe
from gtr_core.training.run_folder import WEIGHTS
from gtr_core.training.validation import Validation

ROOT = Path(__file__).resolve().parent.parent
RESULT, PICTURE = ROOT / "benchmarks" / "results" / "training.json", ROOT / "docs" / "pictures" / "training.png"
PRESET = "gtr-tiny"
SIDES = (32, 48)
"""Of the pictures that the network is judged by: as it was trained, and finer."""
GRID = 64
WANTED = 26.0
"""dB."""
JUDGED = "judged.json"
LOOKS: tuple[tuple[str, StageName], ...] = (("volume", "nerf"), ("mesh", "mesh"))


@dataclass(frozen=True)
class Judge:
    """New views of all objects, the same for both stages.

    Args:
        objects: how many.
    """

    objects: int

    @cached_property
    def _views(self) -> dict[tuple[str, int], Validation]:
        source, request = ProceduralSource(objects=self.objects), get_recipe(PRESET, "mesh").phases[-1].request
        return {
            (name, side): Validation.of(
                source, replace(request, target_size=side), look, objects=self.objects, grid_resolution=GRID
            )
            for name, look in LOOKS
            for side in SIDES
        }

    def psnr(self, folder: Path, side: int) -> dict[str, float]:
        """Mean PSNR of the views in dB, drawn through the volume and as a mesh."""
        return {name: round(self._look(folder, name, side)[1], 2) for name, _ in LOOKS}

    def sheet(self, folder: Path, name: str) -> Image.Image:
        """Inputs, truth, what the network shows, its normals."""
        return self._look(folder, name, SIDES[0])[0]

    def white(self) -> dict[str, float]:
        """What a white picture has, by the side of the pictures."""
        values = {}
        for side in SIDES:
            targets = self._views[LOOKS[0][0], side].batch.targets
            assert targets is not None
            truth = targets.composite(1.0).flatten(0, 1)
            values[str(side)] = round(float(psnr(torch.ones_like(truth), truth).mean()), 2)
        return values

    def _look(self, folder: Path, name: str, side: int) -> tuple[Image.Image, float]:
        return self._views[name, side].look(load_model(folder / WEIGHTS, dtype="float32"))


def state_of(folder: Path) -> dict[str, Any]:
    """Where a run stands; nothing where there is none."""
    checkpoint = latest_checkpoint(folder / CHECKPOINTS)
    return {"step": 0} if checkpoint is None else load_checkpoint(checkpoint)


def judged(folder: Path) -> list[dict[str, float]]:
    """How the network stood after each call: step, CPU seconds of the calls so far, dB as a volume and as a mesh."""
    path = folder / JUDGED
    return json.loads(path.read_text()) if path.is_file() else []


def run_stage(stage: StageName, folder: Path, judge: Judge, call_seconds: float, extra: list[str]) -> None:
    """Train, or go on, until there is nothing left to do."""
    arguments = ["train", stage, "--preset", PRESET, "--objects", str(judge.objects), "-o", str(folder)]
    arguments += ["--log-steps", "25", "--threads", "0", "--device", "cpu", "--picture-seconds", "1e9"]
    arguments += ["--call-seconds", str(call_seconds), *extra]
    while True:
        before, started = state_of(folder)["step"], time.process_time()
        if main(arguments) != OK:
            raise SystemExit(f"{stage} did not finish; start again to go on")
        spent, rows, step = time.process_time() - started, judged(folder), state_of(folder)["step"]
        if step == before:
            return
        total = round(spent + (rows[-1]["cpu_seconds"] if rows else 0), 1)
        rows.append({"step": step, "cpu_seconds": total, **judge.psnr(folder, SIDES[0])})
        (folder / JUDGED).write_text(json.dumps(rows, indent=1) + "\n")
        print(rows[-1], flush=True)


def summary(folder: Path, judge: Judge) -> dict[str, Any]:
    """Figures of a run."""
    state, rows = state_of(folder), judged(folder)
    return {
        "steps": state["step"],
        "planned_steps": json.loads((folder / "run.json").read_text())["steps"] or "as the recipe",
        "samples": state["samples"],
        "seconds": round(state["seconds"]),
        "cpu_seconds": rows[-1]["cpu_seconds"],
        "psnr": {str(side): judge.psnr(folder, side) for side in SIDES},
        "lost_surfaces": sum(row.get("lost", 0) > 0 for row in read_log(folder)),
    }


def picture(nerf: Path, mesh: Path, judge: Judge) -> Image.Image:
    """Both curves, and what the network shows at the end of each stage: the volume, then the mesh."""
    shift = judged(nerf)[-1]["cpu_seconds"]
    rows = judged(nerf) + [{**row, "cpu_seconds": row["cpu_seconds"] + shift} for row in judged(mesh)]
    curves = [Curve(name, [(row["cpu_seconds"], row[name]) for row in rows]) for name, _ in LOOKS]
    curves.append(Curve(f"{WANTED:g} dB", [(rows[place]["cpu_seconds"], WANTED) for place in (0, -1)]))
    title = f"New views of {judge.objects} objects, {SIDES[0]} px, dB"
    panels = [draw_curves(title, "CPU seconds", curves, marks=[(shift, "stage 2")])]
    for folder, name in ((nerf, "volume"), (mesh, "mesh")):
        sheet = judge.sheet(folder, name)
        panels.append(sheet.resize((WIDTH, sheet.height * WIDTH // sheet.width), Image.Resampling.LANCZOS))
    whole = Image.new("RGB", (WIDTH, sum(panel.height for panel in panels)), (255, 255, 255))
    top = 0
    for panel in panels:
        whole.paste(panel, (0, top))
        top += panel.height
    return whole


def bench() -> None:
    """Run, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "out" / "training", help="of the two runs")
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--call-seconds", type=float, default=60, help="of training between two judgements")
    parser.add_argument("--nerf", default="", metavar="OPTIONS", help="further options of gtr train nerf, in one word")
    parser.add_argument("--mesh", default="", metavar="OPTIONS", help="further options of gtr train mesh, in one word")
    parser.add_argument("--as-they-are", action="store_true", help="do not train on: measure the runs where they stand")
    options = parser.parse_args()
    torch.set_num_threads(1)
    nerf, mesh, judge = options.folder / "nerf", options.folder / "mesh", Judge(options.objects)
    if not options.as_they_are:
        run_stage("nerf", nerf, judge, options.call_seconds, options.nerf.split())
        run_stage("mesh", mesh, judge, options.call_seconds, ["--from", str(nerf), *options.mesh.split()])
    report = {
        "preset": PRESET,
        "parameters": sum(value.numel() for value in load_model(nerf / WEIGHTS, dtype="float32").parameters()),
        "planes": [3, CONFIGS[PRESET].plane_channels, *[CONFIGS[PRESET].plane_resolution] * 2],
        "objects": options.objects,
        "machine": f"{platform.machine()}, 1 thread, torch {torch.__version__}",
        "white": judge.white(),
        "nerf": summary(nerf, judge),
        "mesh": summary(mesh, judge),
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n")
    picture(nerf, mesh, judge).save(PICTURE, optimize=True)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    bench()
