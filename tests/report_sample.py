"""Report folders with real renderings of simple shapes, as a run of the evaluation leaves them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image
from torch import Tensor

from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.rows import ReportFolder, ReportHeader, SystemEntry
from gtr_core.evaluation.scores import Row
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.cameras import Cameras, orbit
from gtr_core.geometry.decimate import decimate
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.images import encode_png
from gtr_core.io.mesh_files import write_mesh
from gtr_core.metrics.image import mask_iou, psnr

HOSTILE = "<script>window.pwned=1<!--"
"""A name that would run if it were not escaped."""
OBJECTS = (HOSTILE, "ball & ring", "crate", "torus")
SYSTEMS = (
    SystemEntry("half", "{}", "Half the faces", ("", "+shrunk")),
    SystemEntry("few", "{}", "60 faces", ("",)),
    SystemEntry("none", "{}", "Never works", ("",)),
)
FAULT = 'The <b>solver</b> | gave "up".'


def write_sample(folder: Path, *, size: int = 48, done: tuple[str, ...] = OBJECTS) -> ReportFolder:
    """Write a report of four simple shapes and three systems: two spoil them in different ways, one always fails.

    Args:
        folder: of the report.
        size: of one view in pixels.
        done: the objects that have been run.
    """
    report = ReportFolder(folder)
    protocol = Protocol()
    values = json.loads(protocol.to_json())
    report.write_header(
        ReportHeader(values, protocol.digest, "0123abcd", "CPU", "2026-01-02T03:04:05+00:00", OBJECTS, SYSTEMS)
    )
    cameras = orbit([30.0, 120.0, 210.0, 300.0], [20.0, -20.0, 20.0, -20.0], height=size, width=size)
    for name in done:
        truth = shape(name)
        views = render_mesh(truth, cameras)
        _save(report, report.truth_picture(name), [views.rgb, views.normal_colors(cameras, 1.0)])
        _save(report, report.inputs_picture(name), [views.rgb])
        _save_mesh(report.truth_mesh(name), truth)
        for entry in SYSTEMS:
            report.write_rows(_rows(report, entry, name, cameras))
    return report


def shape(name: str) -> Mesh:
    """A coloured shape within the usual bounds."""
    body = {
        "ball & ring": lambda: trimesh.creation.icosphere(subdivisions=3, radius=0.9),
        "crate": lambda: trimesh.creation.box((1.8, 1.2, 1.0)).subdivide_loop(2),
        "torus": lambda: trimesh.creation.torus(0.6, 0.3),
    }.get(name, lambda: trimesh.creation.cone(0.8, 1.6).subdivide().subdivide())()
    vertices = np.asarray(body.vertices, np.float32)
    colors = np.clip(0.5 + 0.5 * np.sin(5 * vertices + np.array([0, 2, 4])), 0, 1).astype(np.float32)
    faces = np.asarray(body.faces, np.int64)
    return Mesh(torch.from_numpy(vertices), torch.from_numpy(faces), torch.from_numpy(colors))


def _result(truth: Mesh, system: str, variant: str) -> Mesh:
    mesh = decimate(truth, 60 if system == "few" else len(truth.faces) // 2)
    nearest = torch.cdist(mesh.vertices, truth.vertices).argmin(1)
    mesh = mesh.with_colors(truth.colors[nearest])
    return replace(mesh, vertices=mesh.vertices * 0.9) if variant else mesh


def _rows(report: ReportFolder, entry: SystemEntry, name: str, cameras: Cameras) -> list[Row]:
    if entry.name == "none":
        return [Row(name, "none", status="failed", reason=FAULT)]
    if entry.name == "few" and name == "crate":
        return [Row(name, "few", status="failed", reason="There is no surface at all.")]
    return [_row(report, Row(name, entry.name, variant), cameras) for variant in entry.variants]


def _row(report: ReportFolder, row: Row, cameras: Cameras) -> Row:
    truth = shape(row.object)
    mesh = _result(truth, row.system, row.variant)
    views, true_views = render_mesh(mesh, cameras), render_mesh(truth, cameras)
    error = ((views.rgb - true_views.rgb).abs() * 4).clamp(max=1)
    place = (row.object, row.system, row.variant)
    _save(report, report.result_picture(*place), [views.rgb, views.normal_colors(cameras, 1.0), error])
    _save_mesh(report.result_mesh(*place), mesh)
    missing = {"lpips": "no weights", "ssim": "not measured here"}
    # A share of faces stands for the IoU: what is tested is how figures are shown.
    closed = row.object != HOSTILE
    return replace(
        row,
        psnr=float(psnr(views.rgb, true_views.rgb).mean()),
        mask_iou=float(mask_iou(views.mask, true_views.mask).mean()),
        iou=len(mesh.faces) / len(truth.faces) if closed else None,
        vertices=len(mesh.vertices),
        faces=len(mesh.faces),
        seconds=0.5,
        cpu_seconds=0.5,
        notes=("This is a simple <i>shape</i>.",),
        missing=missing if closed else {**missing, "iou": "the true mesh is not watertight"},
    )


def _save(report: ReportFolder, path: Path, rows: list[Tensor]) -> None:
    report.write(path, encode_png(torch.cat([torch.cat(list(row), dim=1) for row in rows])))


def _save_mesh(path: Path, mesh: Mesh) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mesh(mesh, path)


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) 8-bit."""
    return np.asarray(Image.open(path).convert("RGB"))
