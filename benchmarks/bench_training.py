"""Does training learn? ``gtr-tiny`` on a few procedural objects, first through the volume, then through the surface.

    python benchmarks/bench_training.py

Both stages run as a user runs them (``gtr train``) and go on where they were stopped. The network sees four pictures of
an object out of 32 that were drawn once, and is judged on new views that it never saw. It has 59 thousand numbers and
pictures of 32 px: this shows that the losses lead where they should, not how good GTR is.

Writes ``benchmarks/results/training.json`` and ``docs/pictures/training.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from curves import WIDTH, Curve, draw_curves
from PIL import Image

from gtr_core.cli.main import OK, main
from gtr_core.data.procedural_source import ProceduralSource
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
GRID = 64


def run_stage(stage: StageName, folder: Path, objects: int, extra: list[str]) -> None:
    """Train, or go on."""
    arguments = ["train", stage, "--preset", PRESET, "--objects", str(objects), "-o", str(folder)]
    arguments += ["--log-steps", "100", "--threads", "0", "--device", "cpu", "--picture-seconds", "120", *extra]
    if main(arguments) != OK:
        raise SystemExit(f"{stage} did not finish; start again to go on")


def judge(folder: Path, objects: int) -> dict[str, float]:
    """PSNR of new views of all objects, drawn through the volume and as a mesh."""
    model = load_model(folder / WEIGHTS, dtype="float32")
    values = {}
    for stage, name in (("nerf", "volume"), ("mesh", "mesh")):
        request = get_recipe(PRESET, "mesh").phases[-1].request
        fixed = Validation.of(
            ProceduralSource(objects=objects),
            request,
            stage,
            objects=objects,
            grid_resolution=GRID,  # type: ignore[arg-type]
        )
        values[name] = round(fixed.look(model)[1], 2)
    return values


def summary(folder: Path, objects: int) -> dict[str, Any]:
    """Figures of a finished run."""
    rows = read_log(folder)
    checkpoint = latest_checkpoint(folder / CHECKPOINTS)
    assert checkpoint is not None, f"{folder} was never trained"
    state = load_checkpoint(checkpoint)
    return {
        "steps": state["step"],
        "planned_steps": json.loads((folder / "run.json").read_text())["steps"] or "as the recipe",
        "samples": state["samples"],
        "seconds": round(state["seconds"]),
        "psnr": judge(folder, objects),
        "lost_surfaces": sum(row.get("lost", 0) > 0 for row in rows),
    }


def picture(nerf: Path, mesh: Path) -> Image.Image:
    """Both curves, and what the network shows at the end of each stage."""
    first, second = read_log(nerf), read_log(mesh)
    shift = first[-1]["step"]
    judged = [
        [(row["step"], row["validation_psnr"]) for row in first if "validation_psnr" in row],
        [(row["step"] + shift, row["validation_psnr"]) for row in second if "validation_psnr" in row],
    ]
    panels = [
        draw_curves(
            "New views, dB (32 px in stage 1, 48 px in stage 2)",
            "step",
            [Curve("volume", judged[0]), Curve("mesh", judged[1])],
            marks=[(shift, "stage 2")],
        )
    ]
    errors = [
        [(row["step"], row["rgb"]) for row in first if "rgb" in row],
        [(row["step"] + shift, row["rgb"]) for row in second if "rgb" in row],
    ]
    panels.append(
        draw_curves("Squared colour error in training", "step", [Curve("volume", errors[0]), Curve("mesh", errors[1])])
    )
    for folder in (nerf, mesh):
        sheet = Image.open(sorted((folder / "pictures").iterdir())[-1])
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
    parser.add_argument("--nerf", default="", metavar="OPTIONS", help="further options of gtr train nerf, in one word")
    parser.add_argument("--mesh", default="", metavar="OPTIONS", help="further options of gtr train mesh, in one word")
    parser.add_argument("--as-they-are", action="store_true", help="do not train on: measure the runs where they stand")
    options = parser.parse_args()
    torch.set_num_threads(1)
    nerf, mesh = options.folder / "nerf", options.folder / "mesh"
    if not options.as_they_are:
        run_stage("nerf", nerf, options.objects, options.nerf.split())
        run_stage("mesh", mesh, options.objects, ["--from", str(nerf), *options.mesh.split()])
    report = {
        "preset": PRESET,
        "objects": options.objects,
        "machine": f"{platform.machine()}, 1 thread, torch {torch.__version__}",
        "nerf": summary(nerf, options.objects),
        "mesh": summary(mesh, options.objects),
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n")
    picture(nerf, mesh).save(PICTURE, optimize=True)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    bench()
