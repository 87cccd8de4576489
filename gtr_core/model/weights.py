"""Files of weights: safetensors with the network's configuration inside."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from math import prod
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gtr_core.io.atomic import unwritable
from gtr_core.model.config import ModelConfig
from gtr_core.model.gtr import GTR, is_heavy
from gtr_core.model.precision import fast_dtype
from gtr_core.model.weights_header import DTYPES, read_header_and_shapes, unavailable
from gtr_core.model.weights_header import ModelHeader as ModelHeader
from gtr_core.model.weights_header import read_header as read_header
from gtr_core.model.weights_parts import weight_files

DType = Literal["auto", "float32", "bfloat16"]
_GROUP = 64 << 20
"""Bytes of a file that are mapped at a time while its weights are converted; bounds the memory."""


def load_model(path: Path, *, device: torch.device | str = "cpu", dtype: DType = "auto") -> GTR:
    """A network in evaluation mode from its file.

    Args:
        path: a file that :func:`save_model` or ``gtr convert`` wrote; or the index, or a part, of one in parts.
        device: where it shall compute.
        dtype: of the transformer's linear layers; ``auto`` takes bfloat16 where the device is fast in it. Everything
            else is float32. Weights that the file holds in this precision are mapped, not read.

    Raises:
        GtrError: ``model_unavailable`` when the file is missing, damaged or not of this network.
    """
    device = torch.device(device)
    header, shapes = read_header_and_shapes(path)
    if header.config.num_blocks > len(shapes):
        raise unavailable(path, f"does not hold the {header.config.num_blocks} blocks of its configuration")
    model = _without_weights(header.config)
    expected = dict(model.named_parameters()) | dict(model.named_buffers())
    if set(expected) != set(shapes):
        first = min(set(expected) ^ set(shapes))
        raise unavailable(path, f"does not fit its own configuration: {first} is missing or unknown")
    for name, parameter in expected.items():
        if tuple(parameter.shape) != shapes[name]:
            raise unavailable(
                path, f"does not fit its own configuration: {name} is {shapes[name]}, not {tuple(parameter.shape)}"
            )
    heavy = fast_dtype(device) if dtype == "auto" else getattr(torch, dtype)
    wanted = {name: heavy if is_heavy(name) else value.dtype for name, value in expected.items()}
    weights = {name: tensor.to(device) for name, tensor in _read_tensors(path, wanted)}
    model.load_state_dict(weights, strict=False, assign=True)
    return model.to(device).eval()


def save_model(model: GTR, path: Path, *, description: Mapping[str, str]) -> None:
    """Write a network as :func:`load_model` reads it; the file appears when it is whole.

    Args:
        model: on any device.
        path: of the file; an older one is replaced.
        description: ``preset``, ``licence`` and ``source``, see :class:`ModelHeader`.

    Raises:
        GtrError: ``bad_input`` when it cannot be written, ``disk_full``.
    """
    # named_parameters tells shared tensors once, state_dict would tell them twice
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    save_tensors({name: t.detach() for name, t in tensors.items()}, model.config, path, description=description)


def save_tensors(
    tensors: Mapping[str, Tensor], config: ModelConfig, path: Path, *, description: Mapping[str, str]
) -> None:
    """Write the tensors of a network, named as in :class:`gtr_core.model.gtr.GTR`; see :func:`save_model`."""
    metadata = {"format": "pt", "gtr_config": config.to_json()}
    metadata |= {key: description[key] for key in ("preset", "licence", "source")}
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.touch(exist_ok=False)
        usual_mode = part.stat().st_mode
        save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, part, metadata)
        part.chmod(usual_mode)  # safetensors makes files that only their owner can read
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    except SafetensorError as error:
        raise unwritable(path, OSError(None, str(error))) from error
    finally:
        part.unlink(missing_ok=True)


def _without_weights(config: ModelConfig) -> GTR:
    """A network whose weights take no memory yet, except where a pretrained encoder brings its own."""
    with torch.device("meta") if config.encoder == "conv" else nullcontext():
        return GTR(config)


def _read_tensors(path: Path, wanted: Mapping[str, torch.dtype]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file, or of its parts one after the other, in the wanted precisions.

    If the large ones are stored so, they are views of the mapped file. Otherwise they are copied group by group, and
    the mapping is closed after each: pages of a mapping count as memory of the process as long as it lives.
    """
    for part in weight_files(path):
        for names, mapped in _groups(part, wanted):
            with safe_open(part, framework="pt") as file:
                for name in names:
                    tensor = file.get_tensor(name)
                    yield name, tensor.to(wanted[name], copy=not mapped)


def _groups(path: Path, wanted: Mapping[str, torch.dtype]) -> Iterator[tuple[list[str], bool]]:
    """Names to read with one mapping, and whether their tensors may stay in it."""
    with safe_open(path, framework="pt") as file:
        stored = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        heavy = [name for name in stored if is_heavy(name)]
        if all(DTYPES.get(stored[name].get_dtype()) == str(wanted[name]).removeprefix("torch.") for name in heavy):
            yield list(stored), True
            return
        sizes = {name: prod(part.get_shape()) * 4 for name, part in stored.items()}
    group: list[str] = []
    for name in sorted(stored):
        if group and sum(sizes[n] for n in group) + sizes[name] > _GROUP:
            yield group, False
            group = []
        group.append(name)
    yield group, False
