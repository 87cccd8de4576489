"""Training samples from a folder of textured meshes, drawn when they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from gtr_core.data.dataset import Batch, BatchRequest, PosedPictures, join
from gtr_core.data.meshes import load_textured_mesh, normalized
from gtr_core.data.training_cameras import CameraRange, patches, sample_generator
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.cameras import Cameras
from gtr_core.geometry.depth import backproject
from gtr_core.geometry.mesh import Mesh

SUFFIXES = (".glb", ".gltf", ".obj", ".ply")
_HALF_EXTENT = 0.95
_VALIDATION = 0x5EED
"""Seed of the cameras that validate."""
_HELD = 64
"""Meshes that are kept in memory."""


class MeshSource:
    """Implements :class:`gtr_core.data.dataset.TrainingSource` for a small folder.

    Sample i shows mesh i mod N of the folder's N meshes, in the order of their names, from other cameras each time.
    Distances and colours in space are not given: a mesh from anywhere need not enclose a volume.

    Args:
        folder: looked through with its subfolders.
        objects: use the first so many meshes only; 0 uses all.
        cameras: from where they are seen.
        supersample: side of the square of colour samples per pixel.

    Raises:
        GtrError: ``bad_input`` when there is no mesh.
    """

    def __init__(
        self, folder: Path, *, objects: int = 0, cameras: CameraRange | None = None, supersample: int = 2
    ) -> None:
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise GtrError(
                ErrorCode.BAD_INPUT, f"There is no mesh in {folder}.", f"Meshes end in {', '.join(SUFFIXES)}."
            )
        self._folder = folder
        self._paths = found[:objects] if objects else found
        self._cameras, self._supersample = cameras or CameraRange(), supersample
        self._mesh = lru_cache(_HELD)(self._load)

    @property
    def name(self) -> str:
        """What the samples are made from."""
        return f"{len(self._paths)} meshes of {self._folder.name}"

    @property
    def has_points(self) -> bool:
        """Points in space are not given."""
        return False

    def batch(self, seed: int, indices: Sequence[int], request: BatchRequest) -> Batch:
        """See :meth:`gtr_core.data.dataset.TrainingSource.batch`.

        Raises:
            GtrError: ``bad_input`` when a mesh cannot be read.
        """
        return join([self._sample(seed, index, request) for index in indices])

    def validation(self, indices: Sequence[int], request: BatchRequest) -> Batch:
        """The same meshes from other cameras."""
        return self.batch(_VALIDATION, indices, request)

    def _sample(self, seed: int, index: int, request: BatchRequest) -> Batch:
        mesh = self._mesh(self._paths[index % len(self._paths)])
        generator = sample_generator(seed, index)
        sizes = (request.input_size, request.target_size)
        inputs, targets = self._cameras.draw(request.input_views, request.target_views, sizes, generator)
        targets = patches(targets, request.patch, generator)
        return Batch(
            torch.tensor([index]),
            draw_pictures(mesh, inputs, self._supersample),
            draw_pictures(mesh, targets, self._supersample) if request.target_views else None,
        )

    def _load(self, path: Path) -> Mesh:
        try:
            return normalized(load_textured_mesh(path), _HALF_EXTENT)
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise GtrError(ErrorCode.BAD_INPUT, f"{path} cannot be read as a mesh.", "Remove it.") from error


def draw_pictures(mesh: Mesh, cameras: Cameras, supersample: int = 1) -> PosedPictures:
    """Unlit pictures of one mesh, which need not show it: colour and mask are averaged over the pixel."""
    fine = render_mesh(mesh, cameras, background=0.0, supersample=supersample)
    centre = fine if supersample == 1 else render_mesh(Mesh(mesh.vertices, mesh.faces), cameras)
    alpha = fine.mask[..., None]
    rgba = torch.cat([fine.rgb / alpha.clamp(min=1e-6), alpha], dim=-1).clamp(0, 1)
    towards = cameras.positions[:, None, None] - backproject(cameras, centre.depth)
    normal = centre.normal * (centre.normal * towards).sum(-1, keepdim=True).sign()
    return PosedPictures(rgba[None], cameras.c2w[None], cameras.intrinsics[None], centre.depth[None], normal[None])
