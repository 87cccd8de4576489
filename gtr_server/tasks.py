"""What jobs do, in terms of the core: the only file of the server that knows its facade."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gtr_core.devices import resolve_device
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.arrays import read_npy
from gtr_core.io.normalize import Similarity, normalize_views
from gtr_core.io.reconstruction_files import load_reconstruction, save_reconstruction
from gtr_core.model.library import find_weights
from gtr_core.pipeline import Pipeline, Reconstruction
from gtr_core.presets import get_preset
from gtr_server import results
from gtr_server.blobs import blob_path
from gtr_server.inputs import as_background, read_images, read_views
from gtr_server.reporter import Reporter
from gtr_server.wire import Run

log = logging.getLogger(__name__)

STATE = "state"
"""Folder, inside a job's, from which a child job continues."""

WITHOUT_WEIGHTS = ("fit",)
"""Models that need no file."""

Result = tuple[list[dict[str, Any]], list[str], dict[str, Any]]
"""Artifacts, notes and stats."""


class Tasks:
    """The model in memory, the last reconstruction, and the tasks by name.

    Args:
        device: ``auto``, ``cpu`` or ``cuda:n``.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._loaded: tuple[tuple[str, int, int], Pipeline] | None = None
        self._last: tuple[str, Reconstruction] | None = None
        self._tasks: dict[str, Callable[[Run, Reporter], tuple[list[str], dict[str, Any]]]] = {
            "reconstruct": self._reconstruct,
            "refine": self._refine,
            "recolour": self._recolour,
            "masks": self._masks,
        }

    def do(self, run: Run, reporter: Reporter) -> Result:
        """Run one job; its files lie in ``run.folder`` afterwards.

        Raises:
            GtrError: what the user can put right.
            Cancelled: from the reporter.
        """
        folder = Path(run.folder)
        reporter("load", 0, 1)
        self._try_device()
        notes, stats = self._tasks[run.task](run, reporter)
        stats |= {"seconds": reporter.close(), "device": self.device_info()["name"]}
        summary = {"job": run.job, "task": run.task, "model": run.model, "attempt": run.attempt}
        results.write_json(
            folder / "log.json", {**summary, "device": self.device_info(), "notes": notes, "stats": stats}
        )
        return results.collect(folder), notes, stats

    def warm_up(self) -> None:
        """Load what the first refinement would wait for: torch imports its optimisers' machinery at first use."""
        parameter = torch.zeros(1, requires_grad=True)
        parameter.sum().backward()  # type: ignore[no-untyped-call]
        torch.optim.Adam([parameter]).step()

    def unload(self) -> None:
        """Forget model and result."""
        self._loaded = self._last = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def device_info(self) -> dict[str, Any]:
        """Kind, name, free and total bytes of the device that jobs run on."""
        if self.device != "cpu" and torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            return {"kind": "cuda", "name": torch.cuda.get_device_name(), "free": free, "total": total}
        memory, threads = results.main_memory(), torch.get_num_threads()
        return {"kind": "cpu", "name": f"{threads} CPU thread{'s' if threads > 1 else ''}", **memory}

    def _try_device(self) -> None:
        # A poisoned device answers nothing any more: better to know before the job than in the midst of it.
        if self.device != "cpu" and torch.cuda.is_available():
            torch.ones(1, device="cuda" if self.device == "auto" else self.device).sum().item()

    def _load(self, model: str) -> Pipeline:
        """The pipeline of a model; it stays in memory until another one, or a new file of its weights, is wanted."""
        if model not in WITHOUT_WEIGHTS:
            weights = find_weights(model)
            status = weights.stat()
            wanted = (model, status.st_size, status.st_mtime_ns)
        else:
            weights, wanted = None, (model, 0, 0)
        if self._loaded is None or self._loaded[0] != wanted:
            self._loaded = None  # first, so that two networks never share the memory
            preset = model if weights is None else None  # a file names its preset itself
            self._loaded = wanted, Pipeline.load(preset, device=self.device, weights=weights)
        return self._loaded[1]

    def _without_network(self, reconstruction: Reconstruction) -> Pipeline:
        """For what needs the planes and decoders of a reconstruction only."""
        return Pipeline(get_preset(reconstruction.preset), resolve_device(self.device))

    def _reconstruct(self, run: Run, report: Reporter) -> tuple[list[str], dict[str, Any]]:
        views, moved = normalize_views(read_views(run.request, Path(run.blobs), report))
        pipeline = self._load(run.model)
        options = run.request["options"]
        reconstruction = pipeline.reconstruct(
            views,
            grid_resolution=options["grid_resolution"],
            face_limit=options["face_limit"],
            seed=options["seed"],
            progress=report,
            on_preview=lambda mesh: report.preview("mesh", 0, lambda path: results.write_mesh_npz(mesh, path)),
        )
        self._save(run, reconstruction, report)
        stats = _size(reconstruction.mesh)
        if moved != Similarity():
            stats["world"] = {"scale": moved.scale, "center": list(moved.center)}
        return list(reconstruction.notes), stats

    def _refine(self, run: Run, report: Reporter) -> tuple[list[str], dict[str, Any]]:
        parent, request = self._parent(run), run.request

        def on_colors(step: int, colors: Tensor) -> None:
            report.preview("colors", step, lambda path: results.write_colors_npz(colors, path))

        refined = self._without_network(parent).refine_texture(
            parent,
            steps=request["steps"],
            strength=request["strength"],
            views=request["views"],
            seed=request["seed"],
            progress=report,
            on_colors=on_colors,
            should_finish=report.should_finish,
        )
        self._save(run, refined, report)
        steps = refined.refinement.steps if refined.refinement is not None else 0
        return list(refined.notes), {**_size(refined.mesh), "steps": steps}

    def _recolour(self, run: Run, report: Reporter) -> tuple[list[str], dict[str, Any]]:
        parent = self._parent(run)
        points = read_npy(blob_path(Path(run.blobs), run.request["points_blob"]).read_bytes(), np.float32, (None, 3))
        if not len(points) or not np.isfinite(points).all():
            raise GtrError(ErrorCode.BAD_INPUT, "There are no points, or some are not finite.")
        colors = self._without_network(parent).recolour(
            parent, torch.from_numpy(points), texels=run.request["texels"], progress=report
        )
        report("save", 0, 1)
        results.write_colors_npz(colors, Path(run.folder) / "colors.npz")
        return [], {"points": len(points)}

    def _masks(self, run: Run, report: Reporter) -> tuple[list[str], dict[str, Any]]:
        digests = [image["blob"] for image in run.request["images"]]
        background = as_background(run.request["background"])
        for index, rgba in enumerate(read_images(digests, Path(run.blobs), background, report)):
            results.write_mask_png(rgba[..., 3], Path(run.folder) / f"mask_{index:03d}.png")
        return [], {"images": len(digests)}

    def _parent(self, run: Run) -> Reconstruction:
        if self._last is not None and self._last[0] == run.parent:
            return self._last[1]
        if run.parent is None:
            raise ValueError(f"a {run.task} job needs a parent")
        return load_reconstruction(Path(run.parent) / STATE, device=str(resolve_device(self.device)))

    def _save(self, run: Run, reconstruction: Reconstruction, report: Reporter) -> None:
        folder = Path(run.folder)
        report("save", 0, 1)
        with ThreadPoolExecutor(1) as pool:
            # Mostly hashing and writing: it goes on beside the formatting of the meshes.
            origin = None if run.parent is None else Path(run.parent) / STATE
            state = pool.submit(save_reconstruction, reconstruction, folder / STATE, origin=origin)
            results.write_colored_mesh(reconstruction.mesh, folder)
            state.result()
        report("save", 1, 1)
        self._last = (run.folder, reconstruction)


def _size(mesh: Mesh) -> dict[str, Any]:
    return {"vertices": len(mesh.vertices), "faces": len(mesh.faces)}
