"""Where the pretrained encoders of Appendix A come from: found on this machine, checked, never fetched, never pickled.

Looked for in this order: a folder of that path; a folder of that name in the models folder; the cache of the Hugging
Face hub. Only ``config.json`` and ``*.safetensors`` are read, and only into classes that the encoders name, so that
code in a weights folder is never run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.library import models_folder

FILES = ("config.json", "*.safetensors")
"""All that is read of a pretrained network."""

INSTALL_HINT = "Install it with: pip install 'gtr-for-blender[encoders]'."


@dataclass(frozen=True)
class PretrainedOptions:
    """The ``encoder_options`` of a model's configuration.

    Args:
        pretrained: folder (absolute, or inside the models folder) or hub name ("owner/name") of the weights.
        trainable: whether training changes them; if so they are stored with the model, otherwise they stay where
            they are and the model stores only their digest.
        subfolder: of the folder or hub repository, such as ``vae`` of a Stable Diffusion repository.
        revision: branch, tag or commit of the hub repository.
    """

    pretrained: str
    trainable: bool = False
    subfolder: str = ""
    revision: str = "main"

    @classmethod
    def of(cls, options: Mapping[str, object], default: str) -> PretrainedOptions:
        """Read and check ``encoder_options``; without an entry ``pretrained`` it is ``default``.

        Raises:
            GtrError: ``model_unavailable`` for an unknown or ill-typed entry.
        """
        kinds = {"pretrained": str, "trainable": bool, "subfolder": str, "revision": str}
        for name, value in options.items():
            if name not in kinds or not isinstance(value, kinds[name]):
                raise GtrError(
                    ErrorCode.MODEL_UNAVAILABLE,
                    f"The encoder_options hold {name} = {value!r}, which means nothing here.",
                    "Known are: pretrained, subfolder and revision (words), trainable (true or false).",
                )
        return cls(**{"pretrained": default, **options})  # type: ignore[arg-type]


def find_pretrained(options: PretrainedOptions) -> Path:
    """The folder with ``config.json`` and ``*.safetensors``; the network is not asked.

    Raises:
        GtrError: ``model_unavailable``, saying where was looked and how to fetch; ``backend_unavailable`` without the
            extra.
    """
    name = options.pretrained
    for folder in (Path(name).expanduser(), models_folder() / name):
        if folder.is_dir():
            break
    else:
        folder = _cached_by_the_hub(options)
    folder = folder / options.subfolder
    for pattern in FILES:
        if not any(folder.glob(pattern)):
            raise GtrError(
                ErrorCode.MODEL_UNAVAILABLE,
                f"The folder {folder} holds no pretrained encoder: there is no {pattern} in it.",
                "Weights in other formats than safetensors are not read.",
            )
    return folder


def load_pretrained(folder: Path, kinds: Mapping[str, Callable[..., Any]], label: str) -> nn.Module:
    """The network that a folder holds, in float32 on the CPU, in evaluation mode.

    Args:
        folder: from :func:`find_pretrained`.
        kinds: ``from_pretrained`` of the classes that may be there, by the name in ``config.json``.
        label: entry of ``config.json`` with that name: ``_class_name`` (diffusers) or ``model_type`` (transformers).

    Raises:
        GtrError: ``model_unavailable`` when the folder holds something else, or not all weights of it.
    """
    from huggingface_hub.errors import StrictDataclassError

    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))[label]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE, f"{folder / 'config.json'} does not describe a pretrained network."
        ) from error
    if kind not in kinds:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"The folder {folder} holds a network of kind {kind}.",
            f"This encoder knows: {', '.join(kinds)}.",
        )
    try:
        with torch.device("cpu"), _quiet():
            network, report = kinds[kind](
                folder,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # else the sizes are in a log instead of in the report
            )
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())[:300]
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"The weights in {folder} cannot be read: {reason}") from error
    missing = sorted([*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])])
    if missing:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"The weights in {folder} do not fit its config.json: {len(missing)} tensors are missing or have another "
            f"shape, the first is {missing[0]}.",
        )
    return network.eval()  # type: ignore[no-any-return]


def missing_package(package: str, error: Exception) -> GtrError:
    """What to say when a package cannot be imported; when a part of diffusers fails, that is a RuntimeError."""
    reason = " ".join(str(error).split())[:200]
    return GtrError(
        ErrorCode.BACKEND_UNAVAILABLE,
        f"The image encoder needs the package {package}, which is not installed or does not load ({reason}).",
        INSTALL_HINT,
    )


def _cached_by_the_hub(options: PretrainedOptions) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise missing_package("huggingface_hub", error) from error
    prefix = f"{options.subfolder}/" if options.subfolder else ""
    try:
        return Path(
            snapshot_download(
                options.pretrained,
                revision=options.revision,
                allow_patterns=[prefix + pattern for pattern in FILES],
                local_files_only=True,
            )
        )
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"The pretrained encoder {options.pretrained} is neither a folder, nor in the models folder "
            f"{models_folder()}, nor in the cache of the Hugging Face hub.",
            "Name a folder that exists." if isinstance(error, HFValidationError) else _fetch_hint(options),
        ) from error


def _fetch_hint(options: PretrainedOptions) -> str:
    revision = "" if options.revision == "main" else f" --revision {options.revision}"
    return f"Fetch it once, with a network: hf download {options.pretrained}{revision}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and load reports of diffusers and transformers; what matters becomes an error here."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
