"""Which LPIPS, if any: the network and its files of weights."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.download import hash_file

if TYPE_CHECKING:
    from gtr_core.metrics.lpips import Lpips

NETS = ("vgg", "alex", "squeeze")


@dataclass(frozen=True)
class LpipsChoice:
    """A backbone and where its weights are.

    Args:
        net: one of :data:`NETS`.
        backbone: file of the backbone, or of everything.
        linear: file of the linear layers; None when they are in the first.
        checksums: SHA-256 of the files.
    """

    net: Literal["vgg", "alex", "squeeze"]
    backbone: Path
    linear: Path | None
    checksums: tuple[str, ...]

    @property
    def key(self) -> str:
        """JSON that changes with the figures."""
        return json.dumps({"lpips": self.net, "weights": self.checksums})

    def load(self) -> Lpips:
        """The metric.

        Raises:
            GtrError: ``model_unavailable`` when the files are missing here or are not what they should be.
        """
        from gtr_core.metrics.lpips import Lpips

        for file, checksum in zip(filter(None, (self.backbone, self.linear)), self.checksums, strict=True):
            if hash_file(file) != checksum:
                raise GtrError(
                    ErrorCode.MODEL_UNAVAILABLE,
                    f"{file} on {platform.node()} is not the file that this evaluation began with.",
                    "Put the same file on every machine.",
                )
        return Lpips.load(self.net, self.backbone, self.linear).eval()


def parse_lpips(text: str) -> LpipsChoice:
    """``vgg=BACKBONE.pth`` or ``vgg=BACKBONE.pth,LINEAR.pth``; ``vgg`` alone takes weights that lie on this machine.

    Raises:
        GtrError: ``bad_input``; ``model_unavailable`` when the files do not hold such weights.
    """
    net, _, names = text.partition("=")
    files = [Path(name) for name in names.split(",") if name] or _known_files(text)
    if net not in NETS or not 1 <= len(files) <= 2:
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"{text} does not name weights of LPIPS.",
            "Write it as vgg=BACKBONE.pth or vgg=BACKBONE.pth,LINEAR.pth (or alex=..., squeeze=...).",
        )
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"There is no file {missing[0]}.", "Check the path of --lpips.")
    files = [file.resolve() for file in files]
    kind = cast(Literal["vgg", "alex", "squeeze"], net)
    choice = LpipsChoice(kind, files[0], files[1] if len(files) == 2 else None, tuple(hash_file(f) for f in files))
    choice.load()
    return choice


def _known_files(text: str) -> list[Path]:
    """Weights of a network in torch's cache and in installed packages; none for any other text."""
    if text not in NETS:
        return []
    from gtr_core.metrics.lpips_files import find_weights

    found = find_weights(cast(Literal["vgg", "alex", "squeeze"], text))
    if found is None:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"No weights of LPIPS with {text} were found on this machine.",
            f"Name their files: {text}=BACKBONE.pth,LINEAR.pth.",
        )
    return list(found)
