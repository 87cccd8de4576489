"""A reconstruction on disk, complete, so that it can be refined and coloured later and elsewhere.

A folder with ``base.safetensors`` (views, surface and everything else that refining leaves alone),
``texture.safetensors`` (what refining changes) and ``reconstruction.json``; the JSON is written last and holds the
digests of the tensors, so the three can never belong to different results. Nothing is pickled, and of a learned preset
only the planes and the two small decoders are kept, not its network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.field import Field
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.fit.field import FusedField
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.atomic import making_folder, write_atomic
from gtr_core.io.triplane_state import triplane_from_state
from gtr_core.pipeline import Reconstruction
from gtr_core.stages.texture import RefinementState
from gtr_core.views import Views

BASE_FILE, TEXTURE_FILE, JSON_FILE = "base.safetensors", "texture.safetensors", "reconstruction.json"
FORMAT, VERSION = "gtr-reconstruction", 2
READERS: dict[str, Callable[[Mapping[str, Tensor], Mapping[str, Any]], FusedField | TriplaneField]] = {
    "fused": FusedField.from_state,
    "triplane": triplane_from_state,
}
"""Kinds of fields that can be stored, each with the inverse of its ``state()``."""
_MESH_PARTS = ("vertices", "faces", "colors", "uv", "texture")
_TEXTURE_PARTS = ("mesh.colors", "field.planes", "field.color_mlp.", "refinement.")
"""Beginnings of the names of tensors that refining changes."""


def save_reconstruction(reconstruction: Reconstruction, folder: Path, *, origin: Path | None = None) -> None:
    """Write a reconstruction; :func:`load_reconstruction` reads it back exactly.

    Args:
        reconstruction: any.
        folder: is made.
        origin: folder of the reconstruction that this one was refined from. The file that both share is linked then,
            not written again, where the file system can do that; either folder can be removed without the other.

    Raises:
        GtrError: ``bad_input`` when the folder cannot be written, ``disk_full``.
    """
    making_folder(folder)
    kind, field_tensors, field_config = _encode_field(reconstruction.field)
    views, refinement = reconstruction.views, reconstruction.refinement
    tensors = {
        **_prefixed("views", _view_tensors(views)),
        **_prefixed("mesh", {name: getattr(reconstruction.mesh, name) for name in _MESH_PARTS}),
        **_prefixed("field", field_tensors),
        **_prefixed("refinement", {} if refinement is None else dict(refinement.tensors)),
    }
    texture = {name: value for name, value in tensors.items() if name.startswith(_TEXTURE_PARTS)}
    # The base comes first, so that it does not depend on the texture which of two twins is kept.
    kept, twins = _without_twins({name: tensors[name] for name in tensors if name not in texture} | texture)
    files = {
        BASE_FILE: save({name: value for name, value in kept.items() if name not in texture}),
        TEXTURE_FILE: save({name: value for name, value in kept.items() if name in texture}),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "preset": reconstruction.preset,
        "notes": list(reconstruction.notes),
        "size": [views.cameras.height, views.cameras.width],
        "field": {"kind": kind, **field_config},
        "refinement": None if refinement is None else _refinement_numbers(refinement),
        "twins": twins,
        "sha256": digests,
    }
    if origin is None or not _linked(origin, folder, digests[BASE_FILE], len(files[BASE_FILE])):
        write_atomic(folder / BASE_FILE, files[BASE_FILE])
    write_atomic(folder / TEXTURE_FILE, files[TEXTURE_FILE])
    write_atomic(folder / JSON_FILE, json.dumps(document, indent=1).encode())


def _linked(origin: Path, folder: Path, digest: str, size: int) -> bool:
    """Whether the base of ``origin`` is this one and could be linked into the folder."""
    try:
        same = json.loads((origin / JSON_FILE).read_text("utf-8"))["sha256"][BASE_FILE] == digest
        if not same or (origin / BASE_FILE).stat().st_size != size:
            return False
        (folder / BASE_FILE).unlink(missing_ok=True)
        os.link(origin / BASE_FILE, folder / BASE_FILE)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # it is written anew: another disk, a file system without links, an origin that is gone
    return True


def load_reconstruction(folder: Path, *, device: str = "cpu") -> Reconstruction:
    """Read what :func:`save_reconstruction` wrote.

    Args:
        folder: that it wrote.
        device: where the tensors go.

    Raises:
        GtrError: ``bad_input`` when the files are missing, damaged, or from another version.
    """
    try:
        document = json.loads((folder / JSON_FILE).read_text("utf-8"))
        data = {name: (folder / name).read_bytes() for name in (BASE_FILE, TEXTURE_FILE)}
    except OSError as error:
        raise _bad(f"{folder} holds no reconstruction: {Path(str(error.filename)).name} cannot be read.") from error
    except ValueError as error:
        raise _bad(f"{JSON_FILE} in {folder} is damaged.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _bad(f"{JSON_FILE} in {folder} does not describe a reconstruction.")
    if document.get("version") != VERSION:
        raise _bad(f"The reconstruction in {folder} has version {document.get('version')}, this is version {VERSION}.")
    digests = document.get("sha256")
    for name, content in data.items():
        if not isinstance(digests, dict) or hashlib.sha256(content).hexdigest() != digests.get(name):
            raise _bad(f"{name} in {folder} is damaged.")
    try:
        tensors = load(data[BASE_FILE]) | load(data[TEXTURE_FILE])
        tensors |= {name: tensors[twin] for name, twin in document["twins"].items()}
        return _decode(document, tensors, device)
    except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise _bad(f"The reconstruction in {folder} is incomplete ({error}).") from error


def _decode(document: dict[str, Any], tensors: dict[str, Tensor], device: str) -> Reconstruction:
    height, width = document["size"]
    part = {name: _without_prefix(name, tensors) for name in ("views", "mesh", "field", "refinement")}
    views = part["views"]
    cameras = Cameras(views["c2w"], views["intrinsics"], int(height), int(width))
    rgba = views["rgba"].float() / 255 if views["rgba"].dtype == torch.uint8 else views["rgba"]
    config = document["field"]
    field = READERS[config["kind"]](part["field"], config).to(device)
    numbers = document["refinement"]
    refinement = None
    if numbers is not None:
        best = float("inf") if numbers["best_error"] is None else float(numbers["best_error"])
        state = {name: value.to(device) for name, value in part["refinement"].items()}
        refinement = RefinementState(
            int(numbers["steps"]), int(numbers["seed"]), int(numbers["best_step"]), best, state
        )
    return Reconstruction(
        Views(rgba, cameras, views.get("depth"), views.get("normal")).to(device),
        field,
        Mesh(*(part["mesh"].get(name) for name in _MESH_PARTS)).to(device),  # type: ignore[arg-type]
        str(document["preset"]),
        tuple(str(note) for note in document["notes"]),
        refinement,
    )


def _without_twins(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors that differ from each other, and for each other one the name of its twin.

    The field of ``fit`` keeps the pictures and depths of the views, which would be a sixth of the file.
    """
    kept: dict[str, Tensor] = {}
    twins: dict[str, str] = {}
    for name, value in tensors.items():
        twin = next((other for other, tensor in kept.items() if _same(tensor, value)), None)
        if twin is None:
            kept[name] = value
        else:
            twins[name] = twin
    return kept, twins


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def _encode_field(field: Field) -> tuple[str, dict[str, Tensor], dict[str, Any]]:
    if isinstance(field, FusedField):
        return "fused", *field.state()
    if isinstance(field, TriplaneField):
        return "triplane", *field.state()
    raise TypeError(f"a {type(field).__name__} cannot be stored")


def _view_tensors(views: Views) -> dict[str, Tensor | None]:
    eighths = (views.rgba * 255).round()
    # Pictures nearly always come from 8-bit files: a quarter of the bytes for the same values.
    exact = torch.equal(eighths / 255, views.rgba)
    return {
        "rgba": eighths.to(torch.uint8) if exact else views.rgba,
        "c2w": views.cameras.c2w,
        "intrinsics": views.cameras.intrinsics,
        "depth": views.depth,
        "normal": views.normal,
    }


def _refinement_numbers(state: RefinementState) -> dict[str, Any]:
    best = state.best_error if state.best_error != float("inf") else None  # JSON has no infinity
    return {"steps": state.steps, "seed": state.seed, "best_step": state.best_step, "best_error": best}


def _prefixed(prefix: str, tensors: dict[str, Any]) -> dict[str, Tensor]:
    return {
        # clone: safetensors refuses tensors that share memory
        f"{prefix}.{name}": value.detach().cpu().contiguous().clone()
        for name, value in tensors.items()
        if value is not None
    }


def _without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): v for name, v in tensors.items() if name.startswith(f"{prefix}.")}


def _bad(message: str) -> GtrError:
    return GtrError(ErrorCode.BAD_INPUT, message, "Reconstruct again.")
