"""What the network makes of a few fixed objects: a picture to look at while it trains, and a PSNR."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from gtr_core.data.dataset import Batch, BatchRequest, TrainingSource
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.nerf import render_volume
from gtr_core.fields.output import RenderOutput
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fields.surface import extract_mesh
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import Cameras
from gtr_core.io.images import to_pil
from gtr_core.metrics.image import psnr
from gtr_core.model.gtr import GTR
from gtr_core.training.batch_field import field_of
from gtr_core.training.recipe import StageName
from gtr_core.training.surface_pictures import draw_nothing

OBJECTS = 4
_VIEWS = 3
_SAMPLES = 64
_LARGEST = 96
"""Side in pixels of the pictures that are compared, at most."""
_BACKGROUND = 1.0
_GAP = 4


@dataclass(frozen=True)
class Validation:
    """Fixed objects.

    Args:
        batch: their input pictures and their views from elsewhere.
        stage: ``nerf`` looks at the volume, ``mesh`` at the surface as a result has it.
        grid_resolution: nodes per side of the grid in which surfaces are found.
    """

    batch: Batch
    stage: StageName
    grid_resolution: int

    @classmethod
    def of(
        cls,
        source: TrainingSource,
        request: BatchRequest,
        stage: StageName,
        *,
        objects: int = OBJECTS,
        grid_resolution: int = 96,
    ) -> Validation:
        """The first objects of a source that are there to judge by.

        Args:
            source: of the training.
            request: of the training; of its pictures, sizes and number of inputs are taken.
            stage: of the training.
            objects: how many.
            grid_resolution: nodes per side of the grid in which surfaces are found.
        """
        size = min(request.target_size, _LARGEST)
        plain = BatchRequest(request.input_views, request.input_size, _VIEWS, size)
        return cls(source.validation(range(objects), plain), stage, grid_resolution)

    def look(self, model: GTR) -> tuple[Image.Image, float]:
        """The picture, and the mean PSNR of the views from elsewhere in dB.

        Args:
            model: in evaluation mode, on any device.
        """
        device = next(model.parameters()).device
        batch = self.batch.to(device)
        assert batch.targets is not None
        rows, values = [], []
        with torch.no_grad():
            field = field_of(model, batch.inputs, model.config.density_head, bfloat16=False)
            for index in range(len(batch)):
                cameras = batch.targets.cameras(index)
                drawn = self._draw(field.one(index), cameras)
                truth = batch.targets.composite(_BACKGROUND)[index]
                values.append(psnr(drawn.rgb, truth))
                normals = drawn.normal_colors(cameras, _BACKGROUND)
                rows.append([*_resized(batch.inputs.composite()[index], cameras), *truth, *drawn.rgb, *normals])
        return _sheet(rows), float(torch.cat(values).mean())

    def _draw(self, field: TriplaneField, cameras: Cameras) -> RenderOutput:
        if self.stage == "nerf":
            return render_volume(field, cameras, num_samples=_SAMPLES, rays_at_once=8192)
        try:
            mesh = extract_mesh(field, self.grid_resolution, colors=False)
        except GtrError as error:
            if error.code is not ErrorCode.EMPTY_RECONSTRUCTION:
                raise
            return draw_nothing(cameras)
        drawn = render_mesh(mesh, cameras, field=field, supersample=2)
        return replace(drawn, rgb=drawn.rgb.clamp(0, 1))


def draw_samples(source: TrainingSource, request: BatchRequest, seed: int, count: int = 8) -> Image.Image:
    """The first samples of a training: the pictures that the network sees, then those that supervise it."""
    batch = source.batch(seed, range(count), replace(request, target_views=max(request.target_views, 1)))
    assert batch.targets is not None
    rows = []
    for index in range(count):
        inputs, targets = batch.inputs.composite()[index], batch.targets.composite()[index]
        rows.append([*inputs, *_resized(targets, batch.inputs.cameras(index))])
    return _sheet(rows)


def _resized(pictures: Tensor, cameras: Cameras) -> Tensor:
    """(V, H, W, 3) in the size of the cameras' pictures."""
    size = (cameras.height, cameras.width)
    return torch.nn.functional.interpolate(pictures.movedim(-1, 1), size, mode="area").movedim(1, -1)


def _sheet(rows: list[list[Tensor]]) -> Image.Image:
    """Objects below each other: inputs, truth, what the network shows, its normals."""
    side = rows[0][0].shape[0]
    scale = max(_LARGEST // side, 1)
    tile = side * scale
    sheet = Image.new("RGB", (len(rows[0]) * (tile + _GAP) + _GAP, len(rows) * (tile + _GAP) + _GAP), (160, 160, 160))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            small = to_pil(picture.cpu().clamp(0, 1))
            where = (_GAP + x * (tile + _GAP), _GAP + y * (tile + _GAP))
            sheet.paste(small.resize((tile, tile), Image.Resampling.NEAREST), where)
    return sheet
