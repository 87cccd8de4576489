"""What every field can do, whichever reconstructor made it."""

from __future__ import annotations

from typing import Protocol, Self

from torch import Tensor, nn


class Field(Protocol):
    """Density and colour at any point of the world (paper section 3).

    A field is a value: refinement returns a new one and leaves this one, and any network it shares, untouched.

    Its texture is ``planes`` read by ``color_mlp``; :func:`gtr_core.stages.texture.refine_texture` optimises these
    two and nothing else (paper section 3.3). ``base_color`` is what is known of the colour without them: nothing for
    the learned model, the projected input pixels for ``fit``.
    """

    @property
    def planes(self) -> Tensor:
        """(3, C, R, R) float32: XY, XZ, YZ."""
        ...

    @property
    def color_mlp(self) -> nn.Module:
        """(N, 3C) features -> (N, 3) raw colour; feature = channel * 3 + plane."""
        ...

    def density(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, 1) density >= 0; the surface is the level 10."""
        ...

    def color(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, 3) sRGB in [0, 1]."""
        ...

    def base_color(self, points: Tensor) -> Tensor | None:
        """(N, 3) world points -> (N, 3) sRGB known without the planes, constant in refinement; None if nothing is."""
        ...

    def shade(self, raw: Tensor, base: Tensor | None) -> Tensor:
        """Raw output of ``color_mlp`` (N, 3) and ``base_color`` (N, 3) -> (N, 3) sRGB, not clamped."""
        ...

    def with_texture(self, planes: Tensor, color_mlp: nn.Module) -> Self:
        """The same geometry with another texture."""
        ...
