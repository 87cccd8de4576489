"""The settings of texture refinement (paper section 3.3), by preset."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Learns = Literal["both", "planes", "color_mlp"]


@dataclass(frozen=True)
class TextureConfig:
    """How the planes and the colour network are pulled towards the input images.

    Args:
        loss: mean absolute (``l1``) or mean squared (``l2``) difference over pixels and channels.
        planes_lr: learning rate of the planes, the same in every step.
        planes_weight_decay: of the planes; above 0 it also fades texels that no image touches.
        color_mlp_lr: highest learning rate of the colour network.
        color_mlp_weight_decay: of its weights, never of its biases.
        warmup_steps: steps over which the network's rate rises from 0; the first step has rate 0.
        schedule_steps: step at which the network's rate has fallen to its floor along a cosine; 0 keeps it constant.
        schedule_floor: last rate as a share of ``color_mlp_lr``.
        betas: of AdamW.
        max_gradient_norm: the network's gradient is scaled down to this norm; 0 leaves it.
        colors_at: ``points`` asks the field at the surface point of every pixel; ``vertices`` asks it at the vertices
            and mixes the three colours of the face, as a viewer shows a mesh with vertex colours. The texture then
            makes up for what that mixing blurs.
        supersample: samples per pixel along each axis; the colours are averaged over them.
        background: grey value where no surface is hit.
        inner_pixels_only: leave out pixels at outlines and on surfaces seen at a grazing angle: their colour is a
            mixture.
        pixels_per_step: size of the random subsets of the pixels that the steps learn from in turn; 0 takes all of
            them in every step, which is what the paper does.
        held_out: share of the image blocks that is not learned from but tells whether the texture improves; with it
            the best texture met is returned, never one that is worse than the start. 0 returns the last.
        check_every: steps between two looks at the held-out blocks.
        learns: the planes and the colour network, which is the method; or one of them alone, which the paper's Table 3
            compares. What does not learn stays bit for bit as it is: no decay either.
    """

    loss: Literal["l1", "l2"]
    planes_lr: float
    planes_weight_decay: float
    color_mlp_lr: float
    color_mlp_weight_decay: float
    warmup_steps: int = 0
    schedule_steps: int = 0
    schedule_floor: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    max_gradient_norm: float = 0.0
    colors_at: Literal["points", "vertices"] = "points"
    supersample: int = 1
    background: float = 1.0
    inner_pixels_only: bool = False
    pixels_per_step: int = 0
    held_out: float = 0.0
    check_every: int = 5
    learns: Learns = "both"

    @property
    def learns_planes(self) -> bool:
        """Whether the planes change."""
        return self.learns != "color_mlp"

    @property
    def learns_color_mlp(self) -> bool:
        """Whether the colour network changes."""
        return self.learns != "planes"

    def color_mlp_rate(self, step: int) -> float:
        """Learning rate of the colour network in step ``step``, counted from 0."""
        if step < self.warmup_steps:
            return self.color_mlp_lr * step / self.warmup_steps
        if self.schedule_steps == 0:
            return self.color_mlp_lr
        share = min((step - self.warmup_steps) / (self.schedule_steps - self.warmup_steps), 1.0)
        cosine = (1 + math.cos(math.pi * share)) / 2
        return self.color_mlp_lr * (self.schedule_floor + (1 - self.schedule_floor) * cosine)


RELEASE_EXACT = TextureConfig(
    loss="l1",
    planes_lr=0.15,
    planes_weight_decay=0.05,
    color_mlp_lr=1e-4,
    color_mlp_weight_decay=0.05,
    warmup_steps=1,
    schedule_steps=500,
    max_gradient_norm=1.0,
    supersample=2,
)
"""What the released GTR does: drawn at twice the image size, every pixel in every step, white background."""

PAPER_EXACT = replace(RELEASE_EXACT, loss="l2")
"""As :data:`RELEASE_EXACT` with the paper's squared loss (equation 4)."""

_STOCHASTIC_PIXELS, _STOCHASTIC_RATE = 1 << 14, 0.05
RELEASE = replace(RELEASE_EXACT, pixels_per_step=_STOCHASTIC_PIXELS, planes_lr=_STOCHASTIC_RATE)
PAPER = replace(PAPER_EXACT, pixels_per_step=_STOCHASTIC_PIXELS, planes_lr=_STOCHASTIC_RATE)
"""The same on random subsets of the pixels, at a third of the planes' rate because their gradient is noisier.

60 such steps fade unseen texels as much as 20 exact ones. They are the default because novel views come out better in
the same seconds; docs/refinement.md has the table.
"""

FIT = TextureConfig(
    loss="l1",
    planes_lr=0.03,
    planes_weight_decay=0.0,
    color_mlp_lr=2e-3,
    color_mlp_weight_decay=0.0,
    colors_at="vertices",
    inner_pixels_only=True,
    pixels_per_step=1 << 15,
    held_out=0.06,
)
"""For the preset ``fit``: a residual on colours that are nearly right; few pixels a step, the best is kept.

The absolute loss, because the squared one leaves faint prints of one side on the others, which share its texels.
"""

TEXTURE_CONFIGS = {
    "release": RELEASE, "release-exact": RELEASE_EXACT, "paper": PAPER, "paper-exact": PAPER_EXACT, "fit": FIT,
}  # fmt: skip
"""The settings by name."""
