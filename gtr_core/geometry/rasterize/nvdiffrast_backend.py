"""nvdiffrast behind our three operators; the only file that knows it."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.rasterize.interface import MAX_FACES


class NvdiffrastRasterizer:
    """Implements :class:`gtr_core.geometry.rasterize.interface.Rasterizer` on CUDA.

    nvdiffrast puts row 0 of its images at NDC y = -1, as our clip space does, so nothing is flipped.

    Args:
        device: the CUDA device whose context draws.

    Raises:
        GtrError: ``backend_unavailable`` when nvdiffrast is not installed.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            import nvdiffrast.torch as dr
        except ImportError as error:
            raise GtrError(
                ErrorCode.BACKEND_UNAVAILABLE,
                f"The rasteriser nvdiffrast is not installed ({error}).",
                "Install nvdiffrast or choose the backend torch.",
            ) from error
        self._dr = dr
        self._context = dr.RasterizeCudaContext(device=device)

    def rasterize(self, pos_clip: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
        """See :meth:`gtr_core.geometry.rasterize.interface.Rasterizer.rasterize`.

        nvdiffrast draws multiples of 8 pixels only; other sizes are drawn into a larger picture whose first
        ``size`` pixels are those asked for.
        """
        if len(faces) > MAX_FACES:
            raise ValueError(f"{len(faces)} faces; at most {MAX_FACES} can be told apart")
        height, width = size
        padded = (-(-height // 8) * 8, -(-width // 8) * 8)
        raster = self._dr.rasterize(
            self._context, _pad_frame(pos_clip, size, padded), _corners(faces), resolution=list(padded), grad_db=False
        )[0]
        result: Tensor = raster[:, :height, :width].contiguous()
        return result

    def interpolate(self, attributes: Tensor, raster: Tensor, faces: Tensor) -> Tensor:
        """See :meth:`gtr_core.geometry.rasterize.interface.Rasterizer.interpolate`."""
        result: Tensor = self._dr.interpolate(attributes.float().contiguous(), raster.contiguous(), _corners(faces))[0]
        return result

    def antialias(self, image: Tensor, raster: Tensor, pos_clip: Tensor, faces: Tensor) -> Tensor:
        """See :meth:`gtr_core.geometry.rasterize.interface.Rasterizer.antialias`."""
        result: Tensor = self._dr.antialias(
            image.float().contiguous(), raster.contiguous(), pos_clip.float().contiguous(), _corners(faces)
        )
        return result


def _corners(faces: Tensor) -> Tensor:
    return faces.to(torch.int32).contiguous()


def _pad_frame(pos_clip: Tensor, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """Clip positions for a frame of ``padded`` pixels whose top left ``size`` pixels show the same picture."""
    scale_x, scale_y = size[1] / padded[1], size[0] / padded[0]
    x, y, z, w = pos_clip.float().unbind(-1)
    return torch.stack([x * scale_x + (scale_x - 1) * w, y * scale_y + (scale_y - 1) * w, z, w], dim=-1).contiguous()
