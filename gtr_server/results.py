"""The files that a job leaves: arrays for programs, meshes for people."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gtr_core.geometry.mesh import Mesh
from gtr_core.io.mesh_files import write_mesh
from gtr_server.reporter import PREVIEW

MESH_FORMATS = ("glb", "ply", "obj")
GREY = 0.5
"""Colour of a mesh that has none yet."""


def to_bytes(values: Tensor) -> NDArray[np.uint8]:
    """[0, 1] -> 0..255, rounded."""
    return (values.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def write_mesh_npz(mesh: Mesh, path: Path) -> None:
    """``vertices`` float32 (N,3), ``faces`` int32 (M,3), ``colors`` uint8 (N,3) sRGB."""
    colors = mesh.colors if mesh.colors is not None else torch.full_like(mesh.vertices, GREY)
    arrays = {
        "vertices": mesh.vertices.detach().cpu().float().numpy(),
        "faces": mesh.faces.cpu().to(torch.int32).numpy(),
        "colors": to_bytes(colors),
    }
    np.savez(path, **arrays)


def write_colors_npz(colors: Tensor, path: Path) -> None:
    """``colors`` uint8 (N,3) sRGB."""
    np.savez(path, colors=to_bytes(colors))


def write_mask_png(alpha: Tensor, path: Path) -> None:
    """(H, W) in [0, 1] as 8-bit grey."""
    Image.fromarray(to_bytes(alpha), mode=None).save(path, format="PNG")


def write_colored_mesh(mesh: Mesh, folder: Path) -> None:
    """All forms of a finished mesh."""
    write_mesh_npz(mesh, folder / "mesh.npz")
    if mesh.colors is not None:
        write_colors_npz(mesh.colors, folder / "colors.npz")
    for suffix in MESH_FORMATS:
        write_mesh(mesh, folder / f"mesh.{suffix}")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A JSON file for people to read."""
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def collect(folder: Path) -> list[dict[str, Any]]:
    """Bring all files of the folder to disk and list them: name, sha256, bytes. The preview goes."""
    (folder / PREVIEW).unlink(missing_ok=True)
    entries = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        entries.append({"name": path.name, "sha256": digest, "bytes": path.stat().st_size})
    return entries


def main_memory() -> dict[str, int]:
    """Free and total bytes of the machine's memory."""
    memory = psutil.virtual_memory()
    return {"free": memory.available, "total": memory.total}
