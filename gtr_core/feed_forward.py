"""The learned presets from views to field and mesh: one pass of the network, then the surface (paper section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.surface import extract_mesh
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.mesh import Mesh
from gtr_core.model.conditioning import conditioning
from gtr_core.progress import Progress, no_progress
from gtr_core.views import Views

if TYPE_CHECKING:
    from gtr_core.model.gtr import GTR

_HINT = (
    "Check that pictures and cameras belong together and that the object fills its pictures without being cut off, "
    "or use the preset fit."
)


def reconstruct_feed_forward(
    model: GTR,
    views: Views,
    *,
    grid_resolution: int = 256,
    usual_views: int = 4,
    progress: Progress = no_progress,
) -> tuple[TriplaneField, Mesh, tuple[str, ...]]:
    """Reconstruct an object with a trained network, which is only read.

    Args:
        model: the network, in evaluation mode.
        views: V posed pictures on the model's device, any number.
        grid_resolution: nodes along an edge of the grid in which the surface is found.
        usual_views: as many as the network was trained with; fewer are noted.
        progress: stages encode and extract.

    Returns:
        The field, its surface without colours yet, and sentences about what the views could not tell.

    Raises:
        GtrError: ``empty_reconstruction`` when nothing is as dense as a surface.
    """
    progress("encode", 0, model.config.num_blocks)
    with torch.no_grad():
        pictures = conditioning(views, model.config.image_size)
        planes = model.planes_from(pictures[None], progress=progress)[0].float()
    if not bool(torch.isfinite(planes).all()):
        raise GtrError(
            ErrorCode.EMPTY_RECONSTRUCTION,
            "The network gave numbers that are not finite: its weights are damaged, or the device computes wrongly.",
            "Convert or download the weights again, or choose the device cpu.",
        )
    field = model.field(planes)
    try:
        mesh = extract_mesh(field, grid_resolution, colors=False, progress=progress)
    except GtrError as error:
        if error.code is not ErrorCode.EMPTY_RECONSTRUCTION:
            raise
        raise GtrError(error.code, "The network found no surface in these pictures.", _HINT) from error
    return field, mesh, _notes(len(views), usual_views)


def _notes(num_views: int, usual: int) -> tuple[str, ...]:
    if num_views >= usual:
        return ()
    return (f"The network was trained with {usual} views; with {num_views} it has to guess more.",)
