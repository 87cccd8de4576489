"""Weights of which every process holds only a part (FSDP2), for networks that do not fit otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(module: nn.Module, units: Iterable[nn.Module], device: torch.device, size: int) -> None:
    """Divide the weights of a module among all processes; its parameters become ``DTensor``.

    Args:
        module: whose ``forward`` is the whole computation; what lies in no unit is gathered as long as that runs.
        units: parts of it that are gathered one after the other, when they compute.
        device: of this process.
        size: how many processes there are.
    """
    mesh = init_device_mesh(device.type, (size,))
    for unit in units:
        fully_shard(unit, mesh=mesh)
    fully_shard(module, mesh=mesh)


def gathered(value: Any, *, keep: bool) -> Any:
    """Tables and lists with whole tensors in main memory instead of parts; all processes have to call it.

    Args:
        value: tables and lists of tensors, numbers and words.
        keep: whether this process wants them; the others get None for each tensor that was divided.
    """
    if isinstance(value, DTensor):
        whole = value.full_tensor()
        return whole.cpu() if keep else None
    if isinstance(value, dict):
        return {key: gathered(entry, keep=keep) for key, entry in value.items()}
    if isinstance(value, list):
        return [gathered(entry, keep=keep) for entry in value]
    return value


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """This process's part of a tensor that every process has, divided as ``like`` is; a number stays whole."""
    if whole.ndim == 0 or not isinstance(like, DTensor):
        return whole
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
