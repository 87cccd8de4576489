"""What a rasteriser backend must offer.

Conventions shared by all backends:

* Clip space is the one of :attr:`gtr_core.geometry.cameras.Cameras.clip_from_world`: row 0 of the image lies at
  NDC y = -1, pixel (row r, column c) has its centre at NDC (2(c + 0.5)/W - 1, 2(r + 0.5)/H - 1), z/w lies in [-1, 1].
* Both sides of a triangle are drawn; the smallest z/w wins.
* A pixel belongs to a triangle when its centre lies inside; a centre on an edge shared by two triangles belongs to
  exactly one of them, so there are neither holes nor double hits.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

MAX_FACES = (1 << 24) - 1
"""Face ids travel as float32, which counts exactly up to 2^24."""


class Rasterizer(Protocol):
    """The three operators that differentiable mesh rendering is made of."""

    def rasterize(self, pos_clip: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
        """Find the nearest triangle of every pixel.

        Args:
            pos_clip: (V, N, 4) float32 clip-space positions, one set per view.
            faces: (M, 3) integer vertex indices, shared by the views, M <= ``MAX_FACES``.
            size: (height, width) in pixels.

        Returns:
            (V, H, W, 4) float32: u, v, z/w and face id + 1. u and v are the perspective-correct barycentric
            coordinates of the face's vertices 0 and 1; an empty pixel is all zero. Gradients flow from u and v to
            ``pos_clip``; z/w and the id carry none.
        """
        ...

    def interpolate(self, attributes: Tensor, raster: Tensor, faces: Tensor) -> Tensor:
        """Spread vertex attributes over the pixels.

        Args:
            attributes: (N, C) for all views, or (V, N, C) float32.
            raster: (V, H, W, 4) from :meth:`rasterize`.
            faces: the (M, 3) faces that were rasterised.

        Returns:
            (V, H, W, C), zero in empty pixels. Gradients flow to ``attributes`` and, through u and v, to ``raster``.
        """
        ...

    def antialias(self, image: Tensor, raster: Tensor, pos_clip: Tensor, faces: Tensor) -> Tensor:
        """Blend pixel pairs across silhouette edges; the only operator through which visibility has gradients.

        Args:
            image: (V, H, W, C) float32.
            raster: (V, H, W, 4) from :meth:`rasterize`.
            pos_clip: the (V, N, 4) positions that were rasterised.
            faces: the (M, 3) faces that were rasterised.

        Returns:
            (V, H, W, C). Gradients flow to ``image`` and to the x, y and w of ``pos_clip``.
        """
        ...
