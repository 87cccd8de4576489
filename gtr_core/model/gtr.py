"""The whole network: posed pictures to three feature planes (paper section 3.1, Figure 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.model.config import ModelConfig
from gtr_core.model.image_encoder import build_encoder
from gtr_core.model.initial import draw_normal
from gtr_core.model.shared_decoder import shared_decoders
from gtr_core.model.transformer import EPS, Transformer
from gtr_core.model.upsampler import build_upsampler
from gtr_core.progress import Progress, no_progress


class GTR(nn.Module):
    """Image encoder, transformer, upsampler and the two decoders.

    Args:
        config: the shape of the network.
        generator: source of the starting weights; None takes torch's own.
    """

    def __init__(self, config: ModelConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = build_encoder(config, generator=generator)
        self.image_norm = nn.LayerNorm(config.width, eps=EPS)
        side = config.plane_tokens
        self.planes = nn.Parameter(torch.empty(1, 3, config.width, side, side))
        draw_normal(self.planes, config.width**-0.5, generator)
        self.transformer = Transformer(config, generator=generator)
        self.upsampler = build_upsampler(config, generator=generator)
        features, hidden = 3 * config.plane_channels, config.decoder_width
        self.density_mlp: nn.Module = DensityMlp(features, hidden, generator=generator)
        self.color_mlp: nn.Module = ColorMlp(features, hidden, generator=generator)
        if config.shared_decoder:
            self.density_mlp, self.color_mlp = shared_decoders(features, hidden, generator=generator)
        _start_density_at(self.density_mlp, config.density_bias)

    def planes_from(self, conditioning: Tensor, *, progress: Progress = no_progress) -> Tensor:
        """Reconstruct B objects.

        Under ``torch.no_grad`` memory is kept low, and on a CPU the layers that hold bfloat16 take the fast path.

        Args:
            conditioning: (B, V, 10, H, W) float32, see :func:`gtr_core.model.conditioning.conditioning`; any V, any
                H and W divisible by the patch.
            progress: called as ``("encode", block, blocks)``; may raise :class:`gtr_core.progress.Cancelled`.

        Returns:
            (B, 3, C, R, R) float32 planes XY, XZ, YZ.
        """
        side, batch = self.config.plane_tokens, len(conditioning)
        image_tokens = self.image_norm(self.image_encoder(conditioning))
        plane_tokens = self.planes.permute(0, 1, 3, 4, 2).reshape(1, 3 * side**2, -1).expand(batch, -1, -1)
        tokens = torch.cat([plane_tokens, image_tokens], dim=1)
        kept = self.transformer(tokens, 3 * side**2, progress=progress)
        texels: Tensor = self.upsampler(kept.reshape(batch * 3, side, side, -1))
        return texels.view(batch, 3, *texels.shape[1:])

    def compute_in(self, dtype: torch.dtype) -> GTR:
        """Store and compute the transformer's linear layers in another precision; changes and returns this network."""
        for name, parameter in self.named_parameters():
            if is_heavy(name):
                parameter.data = parameter.data.to(dtype)
        return self

    def field(self, planes: Tensor) -> TriplaneField:
        """The field of one object's planes (3, C, R, R), read by this network's decoders."""
        return TriplaneField(planes, self.density_mlp, self.color_mlp, density_head=self.config.density_head)


def is_heavy(name: str) -> bool:
    """Whether a parameter of :class:`GTR` belongs to the transformer's linear layers, where nearly all work is done.

    Only these may be bfloat16: sums of tokens, norms, the first and the last layer and the decoders stay float32.
    """
    return name.startswith("transformer.blocks.") and (".attention.to_" in name or ".feed_forward." in name)


def _start_density_at(decoder: nn.Module, raw: float) -> None:
    last = [layer for layer in decoder.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.bias[0] = raw
