"""A network as bfloat16 in parts that are small enough to be brought back, beside an index of Hugging Face's kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from gtr_core.model.weights import load_model, read_header
from gtr_core.model.weights_parts import INDEX, part_name

PART_BYTES = 15_900_000
"""Of the tensors of a part; files of 16 MiB (16 777 216 bytes) can be brought back."""
_SMALL = 1 << 16
"""Numbers of a tensor that stays float32: norms, biases and decoders are small, and feel every digit."""


def write_parts(source: Path, folder: Path, name: str) -> Path:
    """Write the weights of a file in parts.

    Args:
        source: a file of weights.
        folder: made if need be; older parts of this name are removed.
        name: of the weights.

    Returns:
        The index.
    """
    header = read_header(source)
    model = load_model(source, dtype="float32")
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    shortened = {key: _shortened(value.detach()) for key, value in tensors.items()}
    metadata = {"format": "pt", "gtr_config": header.config.to_json(), "preset": header.preset}
    metadata |= {"licence": header.licence, "source": header.source}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}*.safetensors*"):
        old.unlink()
    groups = _groups(shortened)
    places: dict[str, str] = {}
    for number, group in enumerate(groups, 1):
        file = part_name(name, number, len(groups))
        save_file({key: shortened[key] for key in group}, folder / file, metadata)
        places |= dict.fromkeys(group, file)
    index = folder / f"{name}.safetensors{INDEX}"
    size = sum(_bytes(value) for value in shortened.values())
    index.write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": places}, indent=1) + "\n")
    return index


def _shortened(tensor: Tensor) -> Tensor:
    short = tensor.to(torch.bfloat16) if tensor.numel() > _SMALL else tensor.float()
    return short.contiguous()


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _groups(tensors: Mapping[str, Tensor]) -> list[list[str]]:
    """Names in the order of the network, in groups that fit a part."""
    groups: list[list[str]] = [[]]
    filled = 0
    for key, value in tensors.items():
        if groups[-1] and filled + _bytes(value) > PART_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(key)
        filled += _bytes(value)
    return groups
