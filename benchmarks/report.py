"""Write docs/results.md from the figures in benchmarks/results: ``python benchmarks/report.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evaluation_tables import evaluation_parts

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TITLES = {
    "depth": "14 views over the sphere, with depth and normals (as captured from a Blender scene)",
    "six": "6 masked views (Zero123++ cameras)",
    "four": "4 orthogonal masked views",
}
EVALUATIONS = {"evaluation_four": "The paper's protocol: 4 orthogonal views, colours only"}
DEEP_CAVITIES = 0.05
"""Hollow share from which on the masks of an object tell too little."""
COLUMNS = {
    "chamfer": ("CD", 2), "floor": ("floor", 2), "chamfer_visible": ("CD seen", 2), "floor_visible": ("floor seen", 2),
    "chamfer_hull": ("hull", 2), "f_score_visible": ("F seen", 1), "psnr_vertices": ("PSNR", 1),
    "psnr_field": ("PSNR field", 1),
    "psnr_refined": ("refined", 1), "iou": ("mask IoU", 3), "see_through": ("see-through %", 2),
    "normal": ("normal °", 1), "cpu": ("CPU s", 1), "hollow": ("hollow %", 1),
}  # fmt: skip
INTRODUCTION = """# Results

Written by `benchmarks/report.py`. The first tables are measured by `benchmarks/bench_fit.py`, the last ones by
`gtr evaluate`, on a folder of textured objects (scans, game assets and furniture inside [-0.9, 0.9]^3, not part of the
project).

- Inputs: exact cameras, 512 px, unlit. New views: 20 on an orbit (uniform azimuths, elevations -30, 0, 30 degrees),
  256 px, white background. No alignment.
- **CD**: mean of both directions' mean nearest distance, x100, coordinates / 0.9, 60 000 samples; **floor**: the truth
  against itself. Many of the objects have surfaces inside that no camera can see; **seen** counts only what can be seen
  from outside. **hull**: CD seen of the visual hull alone. **F**: at 0.05, in percent.
- **PSNR** in dB with vertex colours; **field**: with a colour per pixel; **refined**: that after texture refinement.
- **see-through**: true pixels where the result is empty or lies more than 0.03 deeper; **normal**: mean angle.
- **CPU s**: seconds of one thread for the reconstruction, without reading the files.
- **hollow**: part of the visible surface that lies deeper than 0.1 inside the outlines of 34 views, so that masks
  cannot show it. Where it is more than 5 %, the object has deep cavities.
"""


def cell(value: float | None, digits: int) -> str:
    """A figure, or a dash where it was not measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def mean(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """Mean of every column; None where a row lacks it."""
    columns = {key: [row[key] for row in rows] for key in COLUMNS}
    return {key: None if None in values or not values else sum(values) / len(values) for key, values in columns.items()}


def table(report: dict[str, Any]) -> list[str]:
    """One table: the mean first, then every object."""
    kept = {key: c for key, c in COLUMNS.items() if report["mean"].get(key) is not None}
    lines = ["| object | " + " | ".join(name for name, _ in kept.values()) + " |", "|---" * (len(kept) + 1) + "|"]
    filled = [row for row in report["objects"] if row["hollow"] <= DEEP_CAVITIES]
    rows = [
        {"name": f"**mean of {len(report['objects'])}**", **report["mean"]},
        {"name": f"**mean of the {len(filled)} without deep cavities**", **mean(filled)},
        *report["objects"],
    ]
    for row in rows:
        cells = [cell(100 * row[key] if key == "hollow" else row[key], digits) for key, (_, digits) in kept.items()]
        lines.append(f"| {row['name'].replace('_', ' ')} | " + " | ".join(cells) + " |")
    lines += [f"| {name.replace('_', ' ')} | failed: {reason} |" for name, reason in report["failures"].items()]
    return lines


def main() -> None:
    """Collect what was measured."""
    parts = [INTRODUCTION]
    for path, title in TITLES.items():
        file = RESULTS / f"fit_{path}.json"
        if not file.exists():
            continue
        report = json.loads(file.read_text())
        open_meshes = sum(not row["watertight"] for row in report["objects"])
        commits = sorted({row["commit"] for row in report["objects"]})
        refined = f", refined with {report['refine_steps']} steps" if report["refine_steps"] else ""
        parts.append(f"\n## {title}\n")
        parts.append(
            f"Preset `{report['preset']}`, grid {report['resolution']}{refined}, device {report['device']}, "
            f"{report['threads']} thread, commit {', '.join(commits)}. Meshes that are not closed: {open_meshes}.\n"
        )
        parts.extend(table(report))
    for name, title in EVALUATIONS.items():
        if (file := RESULTS / f"{name}.json").exists():
            parts.extend(evaluation_parts(json.loads(file.read_text()), title))
    (ROOT / "docs" / "results.md").write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
