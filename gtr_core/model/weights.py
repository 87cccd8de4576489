"""Files of weights: safetensors with the network's configuration inside."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.atomic import unwritable
from gtr_core.model.config import ModelConfig
from gtr_core.model.gtr import GTR, is_heavy
from gtr_core.model.precision import fast_dtype

DType = Literal["auto", "float32", "bfloat16"]
_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
_GROUP = 64 << 20
"""Bytes of a file that are mapped at a time while its weights are converted; bounds the memory."""
_HINT = "Convert or download the weights again, or use the preset fit."


@dataclass(frozen=True)
class ModelHeader:
    """What a file of weights says about itself.

    Args:
        preset: that the network belongs to.
        config: its shape.
        licence: under which the weights may be used.
        source: where they come from.
        num_parameters: numbers in the file.
        dtype: in which most of them are stored: float32, float16 or bfloat16.
    """

    preset: str
    config: ModelConfig
    licence: str
    source: str
    num_parameters: int
    dtype: str


def read_header(path: Path) -> ModelHeader:
    """What the file says about itself, without reading its tensors.

    Raises:
        GtrError: ``model_unavailable`` when it is missing, damaged or no file of GTR weights.
    """
    header, _ = _read_header(path)
    return header


def load_model(path: Path, *, device: torch.device | str = "cpu", dtype: DType = "auto") -> GTR:
    """A network in evaluation mode from its file.

    Args:
        path: a file that :func:`save_model` or ``gtr convert`` wrote.
        device: where it shall compute.
        dtype: of the transformer's linear layers; ``auto`` takes bfloat16 where the device is fast in it. Everything
            else is float32. Weights that the file holds in this precision are mapped, not read.

    Raises:
        GtrError: ``model_unavailable`` when the file is missing, damaged or not of this network.
    """
    device = torch.device(device)
    header, shapes = _read_header(path)
    model = _without_weights(header.config)
    expected = dict(model.named_parameters()) | dict(model.named_buffers())
    if set(expected) != set(shapes):
        first = min(set(expected) ^ set(shapes))
        raise _unavailable(path, f"does not fit its own configuration: {first} is missing or unknown")
    for name, parameter in expected.items():
        if tuple(parameter.shape) != shapes[name]:
            raise _unavailable(
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
        save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, part, metadata)
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    except SafetensorError as error:
        raise unwritable(path, OSError(None, str(error))) from error
    finally:
        part.unlink(missing_ok=True)


def _read_header(path: Path) -> tuple[ModelHeader, dict[str, tuple[int, ...]]]:
    """The header and the shapes of all tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            counts: dict[str, int] = {}
            for name, part in slices.items():
                stored = _DTYPES.get(part.get_dtype(), "float32")
                counts[stored] = counts.get(stored, 0) + prod(shapes[name])
    except FileNotFoundError as error:
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"There is no file of weights at {path}.", _HINT) from error
    except (SafetensorError, OSError) as error:
        raise _unavailable(path, "cannot be read: it is damaged, cut short or of another kind") from error
    if "gtr_config" not in metadata:
        raise _unavailable(path, "holds no GTR network")
    try:
        config = ModelConfig.from_json(metadata["gtr_config"])
    except ValueError as error:
        raise _unavailable(path, f"has a configuration that this version does not understand: {error}") from error
    preset, licence, source = (metadata.get(key, "") for key in ("preset", "licence", "source"))
    most = max(counts, key=lambda stored: counts[stored], default="float32")
    return ModelHeader(preset, config, licence, source, sum(counts.values()), most), shapes


def _unavailable(path: Path, what: str) -> GtrError:
    return GtrError(ErrorCode.MODEL_UNAVAILABLE, f"The file of weights {path.name} {what}.", _HINT)


def _without_weights(config: ModelConfig) -> GTR:
    """A network whose weights take no memory yet, except where a pretrained encoder brings its own."""
    with torch.device("meta") if config.encoder == "conv" else nullcontext():
        return GTR(config)


def _read_tensors(path: Path, wanted: Mapping[str, torch.dtype]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file in the wanted precisions.

    If the large ones are stored so, they are views of the mapped file. Otherwise they are copied group by group, and
    the mapping is closed after each: pages of a mapping count as memory of the process as long as it lives.
    """
    for names, mapped in _groups(path, wanted):
        with safe_open(path, framework="pt") as file:
            for name in names:
                tensor = file.get_tensor(name)
                yield name, tensor.to(wanted[name], copy=not mapped)


def _groups(path: Path, wanted: Mapping[str, torch.dtype]) -> Iterator[tuple[list[str], bool]]:
    """Names to read with one mapping, and whether their tensors may stay in it."""
    with safe_open(path, framework="pt") as file:
        stored = {name: file.get_slice(name) for name in wanted}
        heavy = [name for name in wanted if is_heavy(name)]
        if all(_DTYPES.get(stored[name].get_dtype()) == str(wanted[name]).removeprefix("torch.") for name in heavy):
            yield list(wanted), True
            return
        sizes = {name: prod(part.get_shape()) * 4 for name, part in stored.items()}
    group: list[str] = []
    for name in sorted(wanted):
        if group and sum(sizes[n] for n in group) + sizes[name] > _GROUP:
            yield group, False
            group = []
        group.append(name)
    yield group, False
