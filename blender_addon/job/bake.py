"""A texture for a surface: laid out here, coloured by the server, encoded here. In the job process, no bpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ClientError
from ..formats.export_mesh import MeshTexture
from ..formats.picture_files import encode_png
from ..packages import numpy
from ..texture.atlas import unwrap
from ..texture.texels import fill_texture, texel_positions
from ..texture.values import BakeSurface

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTS_AT_ONCE = 1 << 22
"""Points of one job at most: 48 MiB, and room for a request's head below the server's limit of 64 MiB."""

ColorsAt = Callable[["NDArray[np.float32]", int, int], "NDArray[np.uint8]"]
"""(points, number of this part, number of parts) -> (P,3) sRGB."""


def bake_texture(surface: BakeSurface, colors_at: ColorsAt, step: Callable[[str, float], None]) -> MeshTexture:
    """Make the texture.

    Args:
        surface: what gets it.
        colors_at: asks the field.
        step: told the stage and how much of it is done; may raise to stop here.

    Raises:
        ClientError: ``export_failed`` when the surface has too many pieces; what ``colors_at`` raises.
    """
    np = numpy()
    step("unwrap", 0.0)
    try:
        atlas = unwrap(surface.points, surface.faces, surface.size, lambda done: step("unwrap", 0.8 * done))
    except ValueError as error:
        raise ClientError("export_failed", details=str(error), values={"message": str(error)}) from error
    texels = texel_positions(atlas, surface.points, surface.faces)
    step("unwrap", 1.0)
    parts = np.array_split(texels.points, -(-len(texels.points) // POINTS_AT_ONCE))
    colors = np.concatenate([colors_at(part, number, len(parts)) for number, part in enumerate(parts)])
    step("picture", 0.0)
    picture = fill_texture(texels, colors)
    step("picture", 0.5)
    png = encode_png(picture)
    step("picture", 1.0)
    return MeshTexture(atlas.uv, atlas.vertex, atlas.faces, png, surface.size)
