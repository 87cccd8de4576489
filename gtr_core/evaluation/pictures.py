"""The pictures of a report: what the scores saw, side by side."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gtr_core.evaluation.ground_truth import GroundTruth
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.rows import SHOWN_VIEWS
from gtr_core.fields.output import RenderOutput
from gtr_core.io.images import encode_png
from gtr_core.views import Views

TILE = 256
"""Side of one picture in pixels."""
ERROR_SCALE = 4.0
"""The colour error is multiplied by this, so that a quarter of the range is the brightest colour."""
_HEAT = ((0.0, 0.0, 0.0), (0.35, 0.05, 0.45), (0.85, 0.2, 0.25), (1.0, 0.65, 0.1), (1.0, 1.0, 0.75))
"""Colours of errors from none to the largest, evenly spaced."""


def truth_picture(truth: GroundTruth, protocol: Protocol) -> bytes:
    """PNG of the true object in the shown views: a row of colours, a row of normals."""
    novel = truth.novel[_shown(len(truth.novel))]
    return _sheet([novel.composite(protocol.background), _centre(novel).normal_colors(novel.cameras, 1.0)])


def inputs_picture(truth: GroundTruth, protocol: Protocol) -> bytes:
    """PNG of the input views side by side."""
    return _sheet([truth.inputs.composite(protocol.background)])


def result_picture(images: Tensor, centre: RenderOutput | None, truth: GroundTruth, protocol: Protocol) -> bytes:
    """PNG of a result in the shown views: a row of colours, a row of normals, a row of errors.

    Args:
        images: (V, H, W, 3) all novel views of the result.
        centre: its depth, normals and mask; None without a surface.
        truth: what it is compared with.
        protocol: for the background.
    """
    shown = _shown(len(images))
    novel = truth.novel[shown]
    if centre is None:
        normals = torch.ones_like(images[shown])
    else:
        part = RenderOutput(centre.rgb[shown], centre.mask[shown], centre.depth[shown], centre.normal[shown])
        normals = part.normal_colors(novel.cameras, 1.0)
    return _sheet([images[shown], normals, error_colors(images[shown], novel.composite(protocol.background))])


def error_colors(images: Tensor, truth: Tensor) -> Tensor:
    """(V, H, W, 3) colours of the absolute error, mean over the channels, times :data:`ERROR_SCALE`."""
    error = ((images - truth).abs().mean(-1) * ERROR_SCALE).clamp(0, 1) * (len(_HEAT) - 1)
    table = torch.tensor(_HEAT)
    low = error.long().clamp(max=len(_HEAT) - 2)
    share = (error - low)[..., None]
    return table[low] * (1 - share) + table[low + 1] * share


def _shown(count: int) -> list[int]:
    """Indices of the shown views; fewer when there are not so many."""
    return [view for view in SHOWN_VIEWS if view < count]


def _centre(views: Views) -> RenderOutput:
    if views.depth is None or views.normal is None:
        raise ValueError("the novel views of the truth have depth and normals")
    return RenderOutput(views.rgba[..., :3], (views.depth > 0).float(), views.depth, views.normal)


def _sheet(rows: list[Tensor]) -> bytes:
    """PNG of rows (V, H, W, 3) of pictures, each shown at TILE x TILE."""
    sized = [row if row.shape[1:3] == (TILE, TILE) else _resized(row) for row in rows]
    return encode_png(torch.cat([torch.cat(list(row), dim=1) for row in sized]))


def _resized(row: Tensor) -> Tensor:
    return interpolate(row.permute(0, 3, 1, 2), size=(TILE, TILE), mode="area").permute(0, 2, 3, 1)
