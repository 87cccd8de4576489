"""Several processes that train one network, one per GPU, started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from gtr_core.devices import resolve_device
from gtr_core.errors import ErrorCode, GtrError


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Args:
        rank: number of this process, from 0.
        size: how many there are.
        device: of this process.
        sharded: whether every process holds only its part of the weights, of their average and of the optimiser.
    """

    rank: int
    size: int
    device: torch.device
    sharded: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def wrap(self, objective: nn.Module, units: Iterable[nn.Module]) -> nn.Module:
        """The objective with gradients averaged over the processes; to be done before its parameters are used.

        A trainable encoder may have weights without a gradient, hence the search for such.

        Args:
            objective: a loss as a function of a batch.
            units: its large parts, which are gathered one at a time where weights are sharded.
        """
        if self.size == 1:
            return objective
        if not self.sharded:
            return DistributedDataParallel(objective, find_unused_parameters=True, broadcast_buffers=False)
        # Imported here because it takes two seconds.
        from gtr_core.training.sharding import shard

        shard(objective, units, self.device, self.size)
        return objective

    def whole(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state with whole tensors; where weights are sharded all processes call it, and only the first gets them."""
        if not self.sharded:
            return state
        from gtr_core.training.sharding import gathered

        result: dict[str, Any] = gathered(state, keep=self.is_first)
        return result

    def part(self, whole: Tensor, like: Tensor) -> Tensor:
        """This process's part of a tensor that every process has whole, divided as another is; a number stays whole."""
        if not self.sharded:
            return whole
        from gtr_core.training.sharding import part_of

        return part_of(whole, like)

    def mean(self, values: Tensor) -> Tensor:
        """Mean of a tensor over the processes."""
        if self.size > 1:
            values = values.clone()
            distributed.all_reduce(values)
            values /= self.size
        return values

    def agree(self, stop: bool, seconds: float) -> tuple[bool, float]:
        """Whether any process wants to stop, and the first process's seconds: all do the same at the same step."""
        if self.size == 1:
            return stop, seconds
        said = torch.tensor([float(stop), seconds if self.is_first else 0.0], dtype=torch.float64, device=self.device)
        distributed.all_reduce(said)
        return bool(said[0] > 0), float(said[1])

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined_world(device: str = "auto", *, sharded: bool = False) -> Iterator[World]:
    """The processes that ``torchrun`` has started, or this process alone.

    Args:
        device: of a process alone; together each takes the GPU of its number, or the CPU if ``cpu`` is asked for.
        sharded: whether several processes divide the weights among them.

    Raises:
        GtrError: ``backend_unavailable`` when there is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, resolve_device(device))
        return
    own = _own_device(device)
    store, rank, _ = next(distributed.rendezvous("env://"))  # type: ignore[attr-defined]
    backend = "nccl" if own.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=_of_this_attempt(store), rank=rank, world_size=size)
    try:
        yield World(distributed.get_rank(), size, own, sharded)
    finally:
        distributed.destroy_process_group()


def _of_this_attempt(store: Any) -> Any:
    """The store without what was written before the last restart.

    torchrun's store outlives its processes: a new one that reads the address of a dead one waits for ever. The count of
    restarts tells attempts apart on one machine; several machines count apart, and docs/training.md says what to do.
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return store
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return distributed.PrefixStore(f"attempt {attempt}", store)  # type: ignore[attr-defined]


def _own_device(name: str) -> torch.device:
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise GtrError(
            ErrorCode.BACKEND_UNAVAILABLE,
            f"Process {local} of this machine has no GPU: there are {torch.cuda.device_count()}.",
            "Start at most as many processes as there are GPUs.",
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def share_of(position: int, batch: int, part: int, parts: int, world: World) -> range:
    """Numbers of the samples that a process works on.

    The samples of a step are consecutive; they are dealt out to the parts of the step and to the processes in blocks.

    Args:
        position: samples of all processes before this step.
        batch: samples of all processes in this step.
        part: of the step (gradient accumulation), from 0.
        parts: how many.
        world: the processes.

    Raises:
        GtrError: ``bad_input`` when the batch cannot be divided evenly.
    """
    if batch % (parts * world.size):
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"A batch of {batch} cannot be divided evenly among {world.size} processes in {parts} parts.",
            f"Choose a batch that is a multiple of {parts * world.size}.",
        )
    own = batch // (parts * world.size)
    first = position + (part * world.size + world.rank) * own
    return range(first, first + own)
