"""The reference rasteriser: plain torch, the same code on CPU and CUDA."""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.geometry.rasterize.coverage import visible_faces
from gtr_core.geometry.rasterize.interface import MAX_FACES
from gtr_core.geometry.rasterize.silhouettes import blend_silhouettes


class TorchRasterizer:
    """Implements :class:`gtr_core.geometry.rasterize.interface.Rasterizer`."""

    def rasterize(self, pos_clip: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
        """See :meth:`gtr_core.geometry.rasterize.interface.Rasterizer.rasterize`."""
        if len(faces) > MAX_FACES:
            raise ValueError(f"{len(faces)} faces; at most {MAX_FACES} can be told apart")
        faces = faces.long()
        with torch.no_grad():
            ids = torch.stack([visible_faces(view, faces, size) for view in pos_clip.detach()])
        return _barycentrics(pos_clip, faces, ids, size)

    def interpolate(self, attributes: Tensor, raster: Tensor, faces: Tensor) -> Tensor:
        """See :meth:`gtr_core.geometry.rasterize.interface.Rasterizer.interpolate`."""
        views = len(raster)
        flat = raster.reshape(-1, 4)
        pixels = (flat[:, 3] > 0).nonzero().squeeze(1)
        covered = flat[pixels]
        corners = faces.long()[covered[:, 3].detach().long() - 1]
        if attributes.dim() == 3:
            corners = corners + attributes.shape[1] * (pixels // (len(flat) // views))[:, None]
            attributes = attributes.flatten(0, 1)
        u, v = covered[:, 0:1], covered[:, 1:2]
        weights = torch.cat([u, v, 1 - u - v], dim=1)
        values = sum(weights[:, k : k + 1] * attributes.index_select(0, corners[:, k]) for k in range(3))
        result = attributes.new_zeros(len(flat), attributes.shape[1])
        return result.index_copy(0, pixels, values).view(*raster.shape[:3], -1)  # type: ignore[arg-type]

    def antialias(self, image: Tensor, raster: Tensor, pos_clip: Tensor, faces: Tensor) -> Tensor:
        """See :meth:`gtr_core.geometry.rasterize.interface.Rasterizer.antialias`."""
        return blend_silhouettes(image, raster.detach(), pos_clip, faces.long())


def _barycentrics(pos_clip: Tensor, faces: Tensor, ids: Tensor, size: tuple[int, int]) -> Tensor:
    """Perspective-correct barycentrics of known (pixel, face) pairs, differentiable in the positions.

    With p_i = (x_i - X w_i, y_i - Y w_i) for the pixel's NDC (X, Y), the weights are proportional to the areas
    p_1 x p_2, p_2 x p_0, p_0 x p_1. No division by w: also right for a vertex behind the camera.
    """
    height, width = size
    flat = ids.reshape(-1)
    pixels = (flat >= 0).nonzero().squeeze(1)
    face = flat[pixels]
    view, within = pixels // (height * width), pixels % (height * width)
    x = (2 * (within % width).double() + 1) / width - 1
    y = (2 * (within // width).double() + 1) / height - 1
    # float64 because neighbouring corners differ by a millionth of their distance from the camera; one tensor per
    # coordinate, because they lie side by side in memory then
    clip = pos_clip.flatten(0, 1).double().t().contiguous()
    corners = (faces.index_select(0, face) + (view * pos_clip.shape[1])[:, None]).t().contiguous()
    cx, cy, cz, cw = ([values.index_select(0, corner) for corner in corners] for values in clip)
    px, py = ([c - at * w for c, w in zip(values, cw, strict=True)] for values, at in ((cx, x), (cy, y)))
    area = [px[i] * py[j] - px[j] * py[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    whole = area[0] + area[1] + area[2]
    with torch.no_grad():
        depth = sum(a * z for a, z in zip(area, cz, strict=True)) / sum(a * w for a, w in zip(area, cw, strict=True))
    values = torch.stack([area[0] / whole, area[1] / whole, depth, (face + 1).double()], dim=1).float()
    result = pos_clip.new_zeros(len(flat), 4, dtype=torch.float32)
    return result.index_copy(0, pixels, values).view(len(ids), height, width, 4)
