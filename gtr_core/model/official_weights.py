"""From the released checkpoint's tensors to a file of weights; runs in the child process of :mod:`.convert`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.config import ModelConfig
from gtr_core.model.convert_child import Order
from gtr_core.model.gtr import GTR, is_heavy
from gtr_core.model.official_file import StateDict, fingerprint, read_state_dicts, recognise
from gtr_core.model.official_layout import (
    BOX,
    BOX_KEY,
    LICENCE,
    PARTS,
    PRESET,
    Entry,
    check_part,
    infer_config,
    official_entries,
)
from gtr_core.model.weights import save_tensors
from gtr_core.progress import Progress

_RESERVE = 64_000_000
"""Bytes that stay free on the disk."""


def write_weights(order: Order, progress: Progress) -> None:
    """Convert one checkpoint.

    The tensors of an archive are memory-mapped: at no time is a second copy of all of them in memory, unless they
    change their type.

    Args:
        order: what to convert, and how.
        progress: stages ``verify``, ``convert`` and ``save``.

    Raises:
        GtrError: ``bad_input``, ``disk_full``.
    """
    path = Path(order.path)
    container = recognise(path)
    digest = fingerprint(path, container, progress)
    config, weights = convert_tensors(
        read_state_dicts(path, container, trust_pickle=order.trust_pickle),
        half=order.half,
        num_heads=order.num_heads,
        progress=progress,
    )
    progress("save", 0, 1)
    out = Path(order.out)
    _check_room(weights, out)
    description = {"preset": PRESET, "licence": LICENCE, "source": f"{order.source} (SHA-256 {digest})"}
    save_tensors(weights, config, out, description=description)
    progress("save", 1, 1)


def convert_tensors(
    parts: Mapping[str, StateDict], *, half: bool, num_heads: int | None, progress: Progress
) -> tuple[ModelConfig, StateDict]:
    """The released weights under the names and in the shapes that :class:`gtr_core.model.gtr.GTR` has for them.

    Args:
        parts: ``field`` and ``generator`` as they are in the checkpoint; checked against the layout.
        half: whether the linear layers of the transformer become bfloat16; everything else is float32.
        num_heads: attention heads; None takes heads of 64 channels.
        progress: stage ``convert``, in tensors.

    Returns:
        The network's configuration, and its tensors by name; those that need no change share memory with ``parts``.

    Raises:
        GtrError: ``bad_input``: a tensor is missing, unknown, of another shape, or holds NaN or infinity.
    """
    shapes = {part: {key: tuple(tensor.shape) for key, tensor in parts[part].items()} for part in PARTS}
    config = infer_config(shapes["field"], shapes["generator"], num_heads=num_heads)
    entries = official_entries(config)
    for part in PARTS:
        check_part(part, shapes[part], entries)
    with torch.device("meta"):
        targets = GTR(config).state_dict()
    weights: StateDict = {}
    taken: set[int] = set()
    for index, entry in enumerate(entries):
        progress("convert", index, len(entries))
        tensor = parts[entry.part][entry.key]
        _check_numbers(entry, tensor)
        if entry.target:
            dtype = torch.bfloat16 if half and is_heavy(entry.target) else torch.float32
            weight = tensor.to(dtype).reshape(targets[entry.target].shape)
            place = weight.untyped_storage().data_ptr()
            weights[entry.target] = weight.clone() if place in taken else weight  # the file format shares nothing
            taken.add(place)
    progress("convert", len(entries), len(entries))
    return config, weights


def _check_numbers(entry: Entry, tensor: Tensor) -> None:
    name = f"{entry.part}.{entry.key}"
    if entry.key == BOX_KEY and tensor.tolist() != list(BOX):
        raise _unusable(f"its box {BOX_KEY} is {tensor.tolist()}, not {list(BOX)}")
    wrong = tensor.numel() - int(torch.isfinite(tensor).sum())
    if wrong:
        raise _unusable(f"{name} holds {wrong} values that are no numbers (NaN or infinity)")


def _check_room(weights: StateDict, out: Path) -> None:
    needed = sum(tensor.nbytes for tensor in weights.values()) + _RESERVE
    free = shutil.disk_usage(out.parent).free
    if needed > free:
        raise GtrError(
            ErrorCode.DISK_FULL,
            f"The weights need {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB left.",
            "Make room, choose another disk, or use half precision.",
        )


def _unusable(what: str) -> GtrError:
    return GtrError(ErrorCode.BAD_INPUT, f"This checkpoint cannot be used: {what}.", "Get the file again.")
