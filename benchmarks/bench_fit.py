"""Measure the preset ``fit`` on real objects: shape, pictures from new views, holes, normals and CPU seconds.

    python benchmarks/bench_fit.py --paths depth six four --objects spot_cow scissors --pictures out/fit

Each object is written as soon as it is measured; ``--go-on`` measures only those that the file does not hold yet.

Objects come from the folder ``GTR_OBJECTS``; their views are rendered once and kept in ``GTR_BENCH_CACHE``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from object_views import ROOT, hollow_share, input_views, novel_views, objects_folder, true_mesh, visible_points
from PIL import Image

from gtr_core.errors import GtrError
from gtr_core.fields.output import RenderOutput
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fit.field import FusedField
from gtr_core.fit.reconstruct import reconstruct_fit
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.image import mask_iou, normal_angle, psnr, see_through
from gtr_core.metrics.shape import compare_points, sample_surface
from gtr_core.metrics.watertight import is_watertight
from gtr_core.stages.texture import refine_texture
from gtr_core.stages.texture_config import TEXTURE_CONFIGS
from gtr_core.views import Views

PATHS = {"depth": ("sphere14", True), "six": ("zero123plus", False), "four": ("orthogonal", False)}
"""Measured paths: camera set, and whether depth and normals are given."""


@dataclass(frozen=True)
class Row:
    """What was measured on one object.

    Args:
        chamfer: against the whole true surface, floor the same of the truth against itself.
        chamfer_visible: against what can be seen of it from outside, floor_visible likewise.
        chamfer_hull: as chamfer_visible, of the visual hull that is shown first; nan with depth.
        f_score: percent, against the whole surface; f_score_visible against what can be seen.
        psnr_vertices: novel views with vertex colours, psnr_field with a colour per pixel, dB.
        psnr_refined: as psnr_vertices after refinement; nan when not asked for.
        iou: of the masks; see_through in percent; normal in degrees.
        cpu: seconds of the reconstruction alone; preview: seconds until the hull was there, nan with depth.
        watertight: whether the mesh is closed.
        hollow: share of the true surface in cavities that no outline shows.
        commit: state of the code that was measured.
    """

    name: str
    chamfer: float
    floor: float
    chamfer_visible: float
    floor_visible: float
    chamfer_hull: float
    f_score: float
    f_score_visible: float
    psnr_vertices: float
    psnr_field: float
    psnr_refined: float
    iou: float
    see_through: float
    normal: float
    cpu: float
    preview: float
    watertight: bool
    faces: int
    notes: tuple[str, ...]
    hollow: float
    commit: str


def measure(
    name: str, path: str, *, resolution: int, refine: int, per_pixel: bool, pictures: Path | None, state: str
) -> Row:
    """Reconstruct one object and compare it with the truth."""
    cameras, with_depth = PATHS[path]
    views = input_views(name, cameras)
    if not with_depth:
        views = Views(views.rgba, views.cameras)
    hulls: list[tuple[float, Mesh]] = []
    start = time.process_time()
    field, mesh, notes = reconstruct_fit(
        views,
        grid_resolution=resolution,
        on_preview=lambda hull: hulls.append((time.process_time() - start, hull)),
    )
    cpu = time.process_time() - start
    novel = novel_views(name)
    truth = novel.composite()
    centre = render_mesh(Mesh(mesh.vertices, mesh.faces), novel.cameras)
    by_vertex = render_mesh(mesh, novel.cameras, supersample=4).rgb
    by_field = render_mesh(mesh, novel.cameras, field=field, supersample=4).rgb if per_pixel else None
    refined = _refined(field, mesh, views, novel, refine) if refine else None
    shown = [truth, by_vertex] + [picture for picture in (by_field, refined) if picture is not None]
    if pictures is not None:
        _save_picture(pictures / f"{name}_{path}.png", shown, novel, centre)
    assert novel.depth is not None
    assert novel.normal is not None
    whole, visible = sample_surface(true_mesh(name), seed=1), visible_points(name)
    again, points = sample_surface(true_mesh(name), seed=2), sample_surface(mesh)
    score, score_visible = compare_points(points, whole), compare_points(points, visible)
    return Row(
        name=name,
        chamfer=score.chamfer,
        floor=compare_points(again, whole).chamfer,
        chamfer_visible=score_visible.chamfer,
        floor_visible=compare_points(visible[::2], visible[1::2]).chamfer / 2**0.5,
        chamfer_hull=compare_points(sample_surface(hulls[0][1]), visible).chamfer if hulls else float("nan"),
        f_score=score.f_score,
        f_score_visible=score_visible.f_score,
        psnr_vertices=float(psnr(by_vertex, truth).mean()),
        psnr_field=_mean_psnr(by_field, truth),
        psnr_refined=_mean_psnr(refined, truth),
        iou=float(mask_iou(centre.mask, (novel.depth > 0).float()).mean()),
        see_through=100 * float(see_through(centre.depth, novel.depth).mean()),
        normal=float(normal_angle(centre.normal, novel.normal).mean()),
        cpu=cpu,
        preview=hulls[0][0] if hulls else float("nan"),
        watertight=is_watertight(mesh),
        faces=len(mesh.faces),
        notes=notes,
        hollow=hollow_share(name),
        commit=state,
    )


def _mean_psnr(picture: torch.Tensor | None, truth: torch.Tensor) -> float:
    return float("nan") if picture is None else float(psnr(picture, truth).mean())


def _refined(field: FusedField, mesh: Mesh, views: Views, novel: Views, steps: int) -> torch.Tensor:
    """Pictures of the novel views with vertex colours after texture refinement."""
    result, _, _ = refine_texture(field, mesh, views, TEXTURE_CONFIGS["fit"], steps=steps)
    with torch.no_grad():
        mesh = mesh.with_colors(result.color(mesh.vertices))
    return render_mesh(mesh, novel.cameras, supersample=4).rgb


def _save_picture(path: Path, shown: list[torch.Tensor], novel: Views, centre: RenderOutput) -> None:
    """Four of the novel views: truth, results, true normals, normals."""
    assert novel.normal is not None
    rows = [*shown, (novel.normal + 1) / 2, (centre.normal + 1) / 2]
    picture = torch.cat([torch.cat([row[k] for k in (0, 5, 10, 15)], dim=1) for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((picture.clamp(0, 1) * 255).round().byte().numpy()).save(path)


def averages(rows: list[Row]) -> dict[str, float]:
    """Mean of every number over the objects."""
    kept = [key for key, value in asdict(rows[0]).items() if isinstance(value, (int, float))]
    return {key: sum(float(getattr(row, key)) for row in rows) / len(rows) for key in kept}


def show(row: Row) -> str:
    """One line of the table."""
    return (
        f"{row.name:26s} CD {row.chamfer:5.2f} ({row.floor:4.2f}) visible {row.chamfer_visible:5.2f} "
        f"({row.floor_visible:4.2f}) F {row.f_score:6.2f} {row.f_score_visible:6.2f} PSNR {row.psnr_vertices:5.2f} "
        f"{row.psnr_field:5.2f} {row.psnr_refined:5.2f} IoU {row.iou:.4f} through {row.see_through:6.3f} % "
        f"normal {row.normal:5.2f} cpu {row.cpu:5.2f} preview {row.preview:4.2f} {'' if row.watertight else 'OPEN'}"
    )


def commit() -> str:
    """The measured state of the code; a + marks uncommitted changes of the library."""

    def run(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return run("rev-parse", "--short", "HEAD") + ("+" if run("status", "--porcelain", "gtr_core") else "")


def attempt(name: str, path: str, arguments: argparse.Namespace, state: str) -> Row | str:
    """Measure one object; the message of the error when it cannot be reconstructed."""
    try:
        return measure(
            name, path, resolution=arguments.resolution, refine=arguments.refine, per_pixel=arguments.per_pixel,
            pictures=arguments.pictures, state=state,
        )  # fmt: skip
    except GtrError as error:
        return str(error)


def main() -> None:
    """Measure and write ``results/fit_<path>.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=list(PATHS))
    parser.add_argument("--objects", nargs="+", help="names; all when left out")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--refine", type=int, default=0, help="steps of texture refinement to measure as well")
    parser.add_argument("--per-pixel", action="store_true", help="measure pictures coloured per pixel as well (slow)")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the results")
    parser.add_argument("--go-on", action="store_true", help="keep what the result files hold; measure the rest")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.objects or sorted(path.stem for path in objects_folder().glob("*.glb"))
    state = commit()
    for path in arguments.paths:
        rows: list[Row] = measured(path, arguments) if arguments.go_on else []
        failures: dict[str, str] = {}
        for name in names:
            if name in {row.name for row in rows}:
                continue
            found = attempt(name, path, arguments, state)
            if isinstance(found, Row):
                rows = sorted([*rows, found], key=lambda row: row.name)
                write_report(path, rows, failures, arguments)
            else:
                failures[name] = found
            print(path, show(found) if isinstance(found, Row) else f"{name} failed: {found}", flush=True)
        mean = averages(rows)
        print(path, show(Row(**{**asdict(rows[0]), **mean, "name": f"mean of {len(rows)}"})), flush=True)


def measured(path: str, arguments: argparse.Namespace) -> list[Row]:
    """What the result file holds already, measured with the same settings."""
    file = arguments.out / f"fit_{path}.json"
    if not file.exists():
        return []
    report = json.loads(file.read_text())
    if (report["resolution"], report["refine_steps"]) != (arguments.resolution, arguments.refine):
        return []
    return [
        Row(**{key: float("nan") if value is None else value for key, value in row.items()})
        for row in report["objects"]
    ]


def write_report(path: str, rows: list[Row], failures: dict[str, str], arguments: argparse.Namespace) -> None:
    """Write what is measured so far; what was not measured is null."""
    report = {"preset": "fit", "path": path, "device": "cpu", "threads": 1,
              "resolution": arguments.resolution, "refine_steps": arguments.refine, "mean": known(averages(rows)),
              "failures": failures, "objects": [known(asdict(row)) for row in rows]}  # fmt: skip
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"fit_{path}.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def known(figures: dict[str, Any]) -> dict[str, Any]:
    """The same figures with None for nan, which JSON lacks."""
    return {key: None if value != value else value for key, value in figures.items()}


if __name__ == "__main__":
    main()
