"""Image tokens from a pretrained DINO vision transformer (paper Appendix A, Fig. 9), as earlier LRMs have them.

The paper does not say how its DINO runs see rays and masks, which the pretrained network cannot take. Here one strided
convolution over these seven channels, the convolutional encoder without its colours, is added to the projected
features.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gtr_core.model.backbone import Backbone, whole_patches
from gtr_core.model.config import CONDITIONING_CHANNELS, ModelConfig
from gtr_core.model.initial import normal_weights
from gtr_core.model.pretrained import PretrainedOptions, find_pretrained, load_pretrained, missing_package

DEFAULT_DINO = "facebook/dinov2-base"
"""The successor of the paper's DINO [3], published as safetensors; docs/model.md says how to take the paper's own."""

COLOR_MEAN = (0.485, 0.456, 0.406)
COLOR_DEVIATION = (0.229, 0.224, 0.225)
"""What DINO and DINOv2 standardise colours in [0, 1] with (ImageNet)."""


def build_dino_encoder(config: ModelConfig, *, generator: torch.Generator | None = None) -> DinoEncoder:
    """The encoder of a configuration whose ``encoder_options`` are those of :class:`PretrainedOptions`.

    Raises:
        GtrError: ``backend_unavailable`` without transformers, ``model_unavailable`` when the weights are not here.
    """
    options = PretrainedOptions.of(config.encoder_options, DEFAULT_DINO)
    network = load_dino(options)
    return DinoEncoder(network, config.width, config.patch_size, trainable=options.trainable, generator=generator)


class DinoEncoder(nn.Module):
    """Conditioning (B, V, 10, H, W) -> tokens (B, V*h*w, width) with h = H/patch, w = W/patch.

    Pictures are resized to h x w patches of the network's own size, so there is one feature per token (DINOv2 has
    patches of 14 px). Position codes are interpolated for any h, w.

    Args:
        network: a vision transformer of transformers, see :func:`load_dino`.
        width: channels of a token.
        patch_size: side of the square of pixels behind a token.
        trainable: whether training changes the vision transformer.
        generator: source of the weights of projection and ray convolution.
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
        self.project = nn.Linear(network.config.hidden_size, width, bias=False)
        self.rays = nn.Conv2d(CONDITIONING_CHANNELS - 3, width, patch_size, stride=patch_size, bias=False)
        normal_weights(self, generator)
        self.backbone = Backbone(network, _patch_features, trainable=trainable)
        self._own_patch_size = int(network.config.patch_size)

    def forward(self, conditioning: Tensor) -> Tensor:
        """See the class; tokens view-major, then row-major.

        Raises:
            ValueError: when H or W is not a multiple of the patch.
        """
        rows, columns = whole_patches(conditioning, self.patch_size)
        views = conditioning.flatten(0, 1)
        pictures = standardised(views[:, :3], rows * self._own_patch_size, columns * self._own_patch_size)
        features = self.backbone(pictures).flatten(2).transpose(1, 2)
        geometry = self.rays(views[:, 3:].to(self.rays.weight.dtype)).flatten(2).transpose(1, 2)
        tokens: Tensor = self.project(features.to(self.project.weight.dtype)) + geometry
        return tokens.reshape(len(conditioning), -1, tokens.shape[2])


def standardised(image: Tensor, height: int, width: int) -> Tensor:
    """Colours (N, 3, H, W) in [0, 1] -> (N, 3, height, width) as DINO and DINOv2 were trained on them."""
    if image.shape[2:] != (height, width):
        image = functional.interpolate(image, (height, width), mode="bicubic", align_corners=False, antialias=True)
    mean, deviation = (image.new_tensor(v)[:, None, None] for v in (COLOR_MEAN, COLOR_DEVIATION))
    return (image - mean) / deviation


def load_dino(options: PretrainedOptions) -> nn.Module:
    """A vision transformer of transformers, float32, on the CPU.

    Raises:
        GtrError: ``backend_unavailable`` without transformers, ``model_unavailable`` without the weights.
    """
    try:
        from transformers import Dinov2Model, Dinov2WithRegistersModel, ViTModel
    except (ImportError, RuntimeError) as error:
        raise missing_package("transformers", error) from error
    kinds = {
        "vit": partial(ViTModel.from_pretrained, add_pooling_layer=False, dtype=torch.float32),
        "dinov2": partial(Dinov2Model.from_pretrained, dtype=torch.float32),
        "dinov2_with_registers": partial(Dinov2WithRegistersModel.from_pretrained, dtype=torch.float32),
    }
    return load_pretrained(find_pretrained(options), kinds, "model_type")


def _patch_features(network: Any, pictures: Tensor) -> Tensor:
    """Normalised features of the last layer (N, F, h, w), without the class token and registers before them."""
    how = {"interpolate_pos_encoding": True} if network.config.model_type == "vit" else {}
    rows, columns = (side // network.config.patch_size for side in pictures.shape[2:])
    tokens = network(pictures, **how).last_hidden_state[:, -rows * columns :]
    return tokens.transpose(1, 2).unflatten(2, (rows, columns))  # type: ignore[no-any-return]
