"""How an encoder holds a network that others trained: frozen beside the model, or trained as a part of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from gtr_core.errors import ErrorCode, GtrError

PIXELS_AT_ONCE = {"cpu": 512**2, "cuda": 16 * 512**2}
"""Per call of the network, by device, whatever the number of views: on a CPU more is slower and needs more memory
(TAESD at 512 px: 8.3 CPU seconds and 0.3 GB for a view in calls of one picture, 10.3 and 1.1 GB in calls of four)."""


class Backbone(nn.Module):
    """A pretrained network on pictures.

    Frozen, it is no part of the model's parameters and state: its weights lie in their own file already, and the
    model keeps only their SHA-256, so that it refuses to run on other weights than it was trained with. It follows
    the model to its device and precision. Trainable, it is an ordinary part of the model.

    Args:
        network: in float32, in evaluation mode.
        features: calls it: pictures (N, 3, H, W) -> features (N, F, h, w).
        trainable: whether training changes it.
    """

    digest: Tensor

    def __init__(self, network: nn.Module, features: Callable[[Any, Tensor], Tensor], *, trainable: bool) -> None:
        super().__init__()
        self.trainable = trainable
        self._features = features
        if trainable:
            self.network = network
            return
        # In a tuple torch does not see it: parameters() and state_dict() leave it out, train() leaves it as it is.
        self._frozen = (network.requires_grad_(False),)
        self._own_digest = weights_digest(network)
        with torch.device("cpu"):
            self.register_buffer("digest", torch.tensor(list(self._own_digest), dtype=torch.uint8))
        self.register_load_state_dict_post_hook(_check_loaded)  # type: ignore[no-untyped-call]

    @property
    def _network(self) -> nn.Module:
        return self.network if self.trainable else self._frozen[0]

    def check(self) -> None:
        """Refuse weights that are not those the model was trained with.

        Raises:
            GtrError: ``model_unavailable``.
        """
        if not self.trainable and bytes(int(v) for v in self.digest.tolist()) != self._own_digest:
            raise GtrError(
                ErrorCode.MODEL_UNAVAILABLE,
                "The pretrained encoder on this machine has other weights than the one this model was trained with.",
                "Put the weights of the training in its place.",
            )

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) of any precision -> features (N, F, h, w) in the network's own."""
        network = self._network
        pictures = pictures.to(next(network.parameters()).dtype)
        at_once = max(1, PIXELS_AT_ONCE.get(pictures.device.type, 512**2) // pictures[0, 0].numel())
        with torch.set_grad_enabled(torch.is_grad_enabled() and (self.trainable or pictures.requires_grad)):
            return torch.cat([self._features(network, part) for part in torch.split(pictures, at_once)])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if not self.trainable:
            self._network._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _check_loaded(backbone: Backbone, _keys: object) -> None:
    backbone.check()


def whole_patches(pictures: Tensor, patch: int) -> tuple[int, int]:
    """How many patches pictures (..., H, W) have in a column and in a row.

    Raises:
        ValueError: when H or W is not a multiple of the patch.
    """
    height, width = pictures.shape[-2:]
    if height % patch or width % patch:
        raise ValueError(f"pictures of {width} x {height} px do not divide into patches of {patch} px")
    return height // patch, width // patch


def weights_digest(network: nn.Module) -> bytes:
    """SHA-256 over names, shapes and float32 values of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.digest()
