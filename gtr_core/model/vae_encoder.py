"""Image tokens from a pretrained autoencoder (paper Appendix A, Fig. 10).

An autoencoder takes three channels, so image, mask, ray direction and Plücker moment each go through it as a picture
of their own; one convolution joins the four results into tokens. The paper uses TAESD.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.backbone import Backbone, whole_patches
from gtr_core.model.config import ModelConfig
from gtr_core.model.initial import normal_weights
from gtr_core.model.pretrained import PretrainedOptions, find_pretrained, load_pretrained, missing_package

DEFAULT_VAE = "madebyollin/taesd"
"""The autoencoder of the paper's footnote 1."""

PICTURES = 4
"""Image, mask, ray direction, Plücker moment."""

LARGEST_MOMENT = math.sqrt(3.0)
"""|Plücker moment| is the ray's distance from the origin; rays that meet the box [-1,1]^3 stay below this."""


def build_vae_encoder(config: ModelConfig, *, generator: torch.Generator | None = None) -> VaeEncoder:
    """The encoder of a configuration whose ``encoder_options`` are those of :class:`PretrainedOptions`.

    Raises:
        GtrError: ``backend_unavailable`` without diffusers; ``model_unavailable`` when the weights are not here, or
            the patch is no multiple of what the autoencoder shrinks a picture by.
    """
    options = PretrainedOptions.of(config.encoder_options, DEFAULT_VAE)
    network = load_vae(options)
    if config.patch_size % shrinkage(network):
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"Patches of {config.patch_size} px are no multiple of {shrinkage(network)} px, "
            f"by which {options.pretrained} shrinks a picture.",
        )
    return VaeEncoder(network, config.width, config.patch_size, trainable=options.trainable, generator=generator)


class VaeEncoder(nn.Module):
    """Conditioning (B, V, 10, H, W) -> tokens (B, V*h*w, width) with h = H/patch, w = W/patch.

    Args:
        network: an autoencoder of diffusers, see :func:`load_vae`.
        width: channels of a token.
        patch_size: side of the square of pixels behind a token; a multiple of :func:`shrinkage`.
        trainable: whether training changes the autoencoder.
        generator: source of the joining convolution's weights.
    """

    def __init__(
        self,
        network: Any,
        width: int,
        patch_size: int,
        *,
        trainable: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        side = patch_size // shrinkage(network)
        self.join = nn.Conv2d(PICTURES * network.config.latent_channels, width, side, stride=side, bias=False)
        normal_weights(self, generator)
        self.backbone = Backbone(network, _latents, trainable=trainable)

    def forward(self, conditioning: Tensor) -> Tensor:
        """See the class; tokens view-major, then row-major.

        Raises:
            ValueError: when H or W is not a multiple of the patch.
        """
        whole_patches(conditioning, self.patch_size)
        pictures = as_pictures(conditioning.flatten(0, 1))
        latents = self.backbone(pictures.flatten(0, 1))
        joined = latents.reshape(len(pictures), -1, *latents.shape[2:]).to(self.join.weight.dtype)
        tokens: Tensor = self.join(joined).flatten(2).transpose(1, 2)
        return tokens.reshape(len(conditioning), -1, tokens.shape[2])


def as_pictures(conditioning: Tensor) -> Tensor:
    """(N, 10, H, W) -> image, mask, ray direction and Plücker moment as pictures (N, 4, 3, H, W) within [-1, 1]."""
    image, direction, moment, mask = (conditioning[:, a:b] for a, b in ((0, 3), (3, 6), (6, 9), (9, 10)))
    return torch.stack((image * 2 - 1, mask.expand_as(image) * 2 - 1, direction, moment / LARGEST_MOMENT), dim=1)


def load_vae(options: PretrainedOptions) -> nn.Module:
    """An autoencoder of diffusers without its decoder, float32, on the CPU.

    Raises:
        GtrError: ``backend_unavailable`` without diffusers, ``model_unavailable`` without the weights.
    """
    try:
        from diffusers import AutoencoderKL, AutoencoderTiny
    except (ImportError, RuntimeError) as error:
        raise missing_package("diffusers", error) from error
    kinds = {
        kind.__name__: partial(kind.from_pretrained, torch_dtype=torch.float32, low_cpu_mem_usage=False)
        for kind in (AutoencoderTiny, AutoencoderKL)
    }
    network = load_pretrained(find_pretrained(options), kinds, "_class_name")
    for name in ("decoder", "post_quant_conv"):
        if hasattr(network, name):
            delattr(network, name)
    return network


def shrinkage(network: Any) -> int:
    """Pixels along the side of one latent: every stage after the first halves the picture."""
    stages = network.config.get("encoder_block_out_channels") or network.config["block_out_channels"]
    return int(2 ** (len(stages) - 1))


def _latents(network: Any, pictures: Tensor) -> Tensor:
    """The mean latents, scaled to about unit variance."""
    encoded = network.encode(pictures)
    if hasattr(encoded, "latents"):
        return encoded.latents  # type: ignore[no-any-return]
    shift, scale = network.config.get("shift_factor") or 0.0, network.config["scaling_factor"]
    return (encoded.latent_dist.mode() - shift) * scale  # type: ignore[no-any-return]
